"""Training as it really runs, compiled where the backend compiles: seeds, and Ctrl-C on the way."""

import keras
import numpy as np
import pytest

import keras_bert_suite as kbs
from tests.support.layer_checks import numpy_of
from tests.support.selection import slow_to_compile
from tests.tasks.small import examples, small_classifier

# One length and one batch size, so that each fit is compiled once.
TEXTS, NAMES = examples(16)


def weights_of(classifier):
    return [numpy_of(weight) for weight in classifier.model.weights]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


class Stop(keras.callbacks.Callback):
    """Ctrl-C after the second step."""

    def on_train_batch_end(self, batch, logs=None):
        if batch == 1:
            raise KeyboardInterrupt


def trained_from(directory, global_seed, **options):
    keras.utils.set_random_seed(global_seed)
    classifier = kbs.TextClassifier.from_pretrained(directory, max_length=16)
    classifier.compile(learning_rate=1e-2)
    classifier.fit(TEXTS, NAMES, epochs=2, batch_size=8, verbose=0, **options)
    return weights_of(classifier)


def test_the_same_seed_gives_the_same_weights_bit_for_bit(encoder_directory):
    first = trained_from(encoder_directory, 10, seed=3)
    assert same(trained_from(encoder_directory, 11, seed=3), first)
    assert not same(trained_from(encoder_directory, 10, seed=4), first)


@slow_to_compile
def test_without_a_seed_the_global_one_governs(encoder_directory):
    first = trained_from(encoder_directory, 10)
    assert same(trained_from(encoder_directory, 10), first)
    assert not same(trained_from(encoder_directory, 11), first)


@slow_to_compile
def test_a_seed_leaves_a_trained_head_alone(trained_directory):
    """A head that was loaded is trained on, not drawn anew."""
    classifier = kbs.TextClassifier.from_pretrained(trained_directory)
    classifier.compile(learning_rate=1e-9)
    before = weights_of(classifier)
    classifier.fit(TEXTS[:4], NAMES[:4], epochs=1, seed=3, verbose=0)
    for one, other in zip(weights_of(classifier), before, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


@slow_to_compile
def test_an_interrupted_fit_leaves_a_usable_object(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    classifier = small_classifier(max_length=16, num_layers=1)
    classifier.compile(learning_rate=1e-2)
    with pytest.raises(KeyboardInterrupt):
        classifier.fit(TEXTS, NAMES, batch_size=8, verbose=0, callbacks=[Stop()])
    assert list(tmp_path.iterdir()) == []
    assert len(classifier.predict(TEXTS)) == len(TEXTS)
    classifier.fit(TEXTS, NAMES, batch_size=8, epochs=1, verbose=0)
    assert classifier.evaluate(TEXTS, NAMES)["loss"] > 0

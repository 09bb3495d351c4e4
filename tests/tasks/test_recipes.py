"""What a recipe asks for happens in `TextClassifier.fit`, and is put right when training ends."""

import keras
import numpy as np
import pytest

import keras_bert_suite as kbs
from keras_bert_suite import TextClassifier
from keras_bert_suite.errors import TrainingInterrupted
from keras_bert_suite.models import encoder_config
from tests.support.layer_checks import numpy_of
from tests.support.selection import slow_to_compile
from tests.tasks.small import LABELS, examples, small_classifier

TEXTS, ANSWERS = examples(24)


def weights_of(classifier):
    return {weight.path: numpy_of(weight) for weight in classifier.model.weights}


def changed(before, classifier):
    """The first parts of the paths of weights that training moved."""
    return {
        path.split("/")[0] for path, value in weights_of(classifier).items() if not np.array_equal(before[path], value)
    }


def fit(recipe, **options):
    classifier = small_classifier(labels=LABELS)
    before = weights_of(classifier)
    classifier.compile(**{"learning_rate": 1e-2, **recipe})
    history = classifier.fit(TEXTS, ANSWERS, **{"epochs": 2, "batch_size": 8, "seed": 1, "verbose": 0, **options})
    return classifier, before, history.history


@slow_to_compile
def test_frozen_blocks_keep_their_weights_and_are_free_again():
    classifier, before, _ = fit({"frozen_blocks": 1})
    parts = changed(before, classifier)
    assert "classifier" in parts
    assert not parts & {"embeddings", "block_0"}
    assert len(classifier.model.trainable_weights) == len(classifier.model.weights)


@slow_to_compile
def test_low_rank_updates_are_merged_and_saved(tmp_path):
    classifier, before, _ = fit({"lora_rank": 2})
    moved = {path for path, value in weights_of(classifier).items() if not np.array_equal(before[path], value)}
    assert weights_of(classifier).keys() == before.keys()
    assert any(path.endswith("self_attention/query/kernel") for path in moved)
    assert not any("feed_forward" in path or path.startswith("embeddings") for path in moved)
    classifier.save_pretrained(tmp_path / "saved")
    again = TextClassifier.from_pretrained(tmp_path / "saved")
    np.testing.assert_allclose(
        again.predict_probabilities(TEXTS), classifier.predict_probabilities(TEXTS), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize(
    "recipe",
    [
        {"optimizer": "lamb", "schedule": "cosine"},
        {"layer_decay": 0.8, "label_smoothing": 0.1},
        {"accumulation_steps": 3, "ema_momentum": 0.9},
        {"gradual_unfreezing": True},
        {"r_drop": 1.0},
    ],
    ids=str,
)
def test_every_recipe_trains(recipe):
    classifier, before, history = fit(recipe, validation_data=(TEXTS[:7], ANSWERS[:7]))
    assert np.isfinite(history["loss"]).all()
    assert np.isfinite(history["val_loss"]).all()
    assert "classifier" in changed(before, classifier)


@slow_to_compile
def test_training_stops_without_progress_and_keeps_the_best():
    classifier, _, history = fit({"patience": 1, "learning_rate": 1e-7}, validation_data=(TEXTS, ANSWERS), epochs=9)
    assert len(history["loss"]) < 9
    assert classifier.evaluate(TEXTS, ANSWERS)["accuracy"] == pytest.approx(max(history["val_accuracy"]))


def test_packed_and_bucketed_training_agree():
    """With all texts in one batch and no dropout both see the same, so both end at the same weights."""
    ends = []
    for packing in (True, False):
        classifier = small_classifier(dropout_rate=0.0, attention_dropout_rate=0.0)
        classifier.compile(learning_rate=1e-2)
        classifier.fit(TEXTS, ANSWERS, packing=packing, epochs=3, batch_size=32, seed=1, verbose=0)
        ends.append(classifier.predict_probabilities(TEXTS))
    np.testing.assert_allclose(*ends, atol=1e-4)


class Stop(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise RuntimeError("killed")


@slow_to_compile
def test_an_interrupted_fit_goes_on_to_the_same_weights(tmp_path):
    whole, _, expected = fit({}, epochs=3, directory=tmp_path / "whole")
    with pytest.raises(RuntimeError, match="killed"):
        fit({}, epochs=3, directory=tmp_path / "killed", save_every=1e-9, callbacks=[Stop()])
    resumed, _, history = fit({}, epochs=3, directory=tmp_path / "killed")
    assert history["loss"] == expected["loss"]
    for path, value in weights_of(resumed).items():
        np.testing.assert_array_equal(value, weights_of(whole)[path], err_msg=path)


@slow_to_compile
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ("weights", r"weights was '\w{64}' and is '\w{64}'"),
        ("dropout", r"encoder\.dropout_rate was 0\.\d+ and is 0\.5"),
        ("dtype", "dtype was 'float32' and is 'mixed_bfloat16'"),
        ("dev", "validation_data was .* and is "),
    ],
)
def test_a_training_goes_on_from_the_same_checkpoint_and_towards_the_same_scores(tmp_path, changed, message):
    small_classifier(labels=LABELS).save_pretrained(tmp_path / "checkpoint")

    def go_on(changed=None):
        dtype = "mixed_bfloat16" if changed == "dtype" else None
        classifier = TextClassifier.from_pretrained(tmp_path / "checkpoint", dtype=dtype)
        if changed == "weights":
            kernel = classifier.encoder.get_layer("block_0").weights[0]
            kernel.assign(kernel.value * 2)
        if changed == "dropout":
            encoder = kbs.models.build_encoder(encoder_config(classifier.encoder).replace(dropout_rate=0.5))
            classifier = TextClassifier(encoder, classifier.tokenizer, classifier.labels)
        classifier.compile(learning_rate=1e-3)
        count = 5 if changed == "dev" else 7
        dev = TEXTS[:count], ANSWERS[:count]
        return classifier.fit(
            TEXTS, ANSWERS, validation_data=dev, epochs=1, seed=1, directory=tmp_path / "state", verbose=0
        )

    expected = go_on().history
    assert go_on().history == expected
    with pytest.raises(ValueError, match=f"cannot go on from .* settings differ: .*{message}"):
        go_on(changed)


def test_the_same_task_goes_on_after_it_was_interrupted(tmp_path):
    """As in a notebook: its weights have changed since."""
    small_classifier(labels=LABELS).save_pretrained(tmp_path / "checkpoint")
    classifier = TextClassifier.from_pretrained(tmp_path / "checkpoint")
    classifier.compile(learning_rate=1e-3)
    arguments = {"epochs": 2, "seed": 1, "directory": tmp_path / "state", "save_every": 1e-9, "verbose": 0}
    with pytest.raises(RuntimeError, match="killed"):
        classifier.fit(TEXTS, ANSWERS, callbacks=[Stop()], **arguments)
    assert len(classifier.fit(TEXTS, ANSWERS, **arguments).history["loss"]) == 2


@pytest.mark.parametrize(
    ("recipe", "options", "message"),
    [
        ({"patience": 1}, {}, "patience watches the scores on validation_data. Received: none"),
        ({"accumulation_steps": 64}, {}, "accumulation_steps must be at most the .* batches of the training"),
        ({}, {"shuffle": False}, "shuffle is for token arrays"),
        ({"patience": 1, "ema_momentum": 0.9}, {}, "Leave out one of them"),
    ],
)
def test_what_would_do_nothing_is_refused(recipe, options, message):
    with pytest.raises(ValueError, match=message):
        fit(recipe, **options)


def test_two_passes_need_rows_that_can_be_passed_twice():
    classifier = small_classifier(labels=LABELS)
    classifier.compile(learning_rate=1e-3, r_drop=1.0)
    arrays = classifier.tokenizer(TEXTS, max_length=16)
    with pytest.raises(ValueError, match=r"r_drop needs texts, a file or a keras.utils.PyDataset.* Received: dict"):
        classifier.fit(arrays, np.zeros(len(TEXTS), "int32"), verbose=0)


@slow_to_compile
def test_validation_data_of_another_kind():
    classifier = small_classifier()
    classifier.compile(learning_rate=1e-3)
    arrays = classifier.tokenizer(TEXTS, max_length=16), np.zeros(len(TEXTS), "int32")
    history = classifier.fit(TEXTS, ANSWERS, validation_data=arrays, epochs=1, verbose=0).history
    assert np.isfinite(history["val_loss"]).all()
    with pytest.raises(ValueError, match="validation_data must be batches, as x is.* Received: str"):
        classifier.fit(*arrays, validation_data="dev.tsv", verbose=0)


def test_a_resumable_fit_needs_a_seed(tmp_path):
    with pytest.raises(ValueError, match="needs a seed"):
        fit({}, seed=None, directory=tmp_path)
    assert issubclass(TrainingInterrupted, RuntimeError)


@slow_to_compile
def test_a_report_has_the_scores_and_the_surest_mistakes(tmp_path):
    classifier, _, history = fit({})
    report = classifier.report(TEXTS, ANSWERS, history=history)
    scores = classifier.evaluate(TEXTS, ANSWERS)
    assert report.summary["accuracy"] == pytest.approx(scores["accuracy"])
    assert report.summary["loss"] == pytest.approx(scores["loss"], abs=1e-6)
    wrong = round(len(TEXTS) * (1 - scores["accuracy"]))
    assert len(report.mistakes) == wrong
    assert [mistake["score"] for mistake in report.mistakes] == sorted(
        (mistake["score"] for mistake in report.mistakes), reverse=True
    )


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"optimizer": "adam"}, "optimizer must be one of 'adamw', 'lamb'"),
        ({"layer_decay": 1.5}, "layer_decay must be from 0 to 1"),
        ({"learning_rate": float("nan")}, "learning_rate must be 0 or above"),
        ({"lora_rank": 2, "frozen_blocks": 1}, "lora_rank already freezes"),
    ],
)
def test_recipes_that_cannot_be(recipe, message):
    with pytest.raises(ValueError, match=message):
        small_classifier().compile(**recipe)

"""Freezing, and unfreezing by the epoch, through fit."""

import keras
import numpy as np
import pytest

from keras_bert_suite.models import build_multiple_choice, build_text_classifier
from keras_bert_suite.training.freezing import GradualUnfreezing, encoder_layers, freeze, unfreeze
from keras_bert_suite.training.optimizers import build_optimizer
from tests.support.layer_checks import numpy_of
from tests.support.tiny import tiny_encoder

PARTS = ["embeddings", "block_0", "block_1"]


def small_model():
    """A model with parts named like an encoder's, and compiled in a moment."""
    ids = keras.Input((5,), dtype="int32")
    hidden = keras.layers.Embedding(20, 6, name="embeddings")(ids)
    for name in ("block_0", "block_1"):
        hidden = keras.layers.Dense(6, "tanh", name=name)(hidden)
    return keras.Model(ids, keras.layers.Dense(2, name="classifier")(keras.layers.GlobalAveragePooling1D()(hidden)))


def compile_model(model, **options):
    optimizer = build_optimizer(0.01, **options)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def data():
    return np.random.default_rng(0).integers(0, 20, (8, 5)).astype("int32"), np.arange(8) % 2


def trained_parts(epochs, **options):
    """Train, and return for each epoch the parts whose weights changed in it."""
    found = []

    class Watch(keras.callbacks.Callback):
        def values(self):
            return {weight.path: numpy_of(weight) for weight in self.model.trainable_weights}

        def on_epoch_begin(self, epoch, logs=None):
            self.before = self.values()

        def on_epoch_end(self, epoch, logs=None):
            moved = {path for path, value in self.values().items() if not np.array_equal(value, self.before[path])}
            found.append(sorted({path.split("/")[0] for path in moved}))

    model = options.pop("model", None) or compile_model(small_model())
    callbacks = [GradualUnfreezing(options.pop("blocks_per_epoch", 1)), Watch()]
    model.fit(*data(), 4, epochs=epochs, verbose=0, callbacks=callbacks, **options)
    return found


@pytest.mark.parametrize("build", [lambda encoder: encoder, lambda encoder: build_text_classifier(encoder, 2)])
def test_freezing_takes_the_lowest_blocks_and_the_embeddings(build):
    model = build(tiny_encoder(num_layers=3))
    everything = [weight.path for weight in model.trainable_weights]
    freeze(model, 2)
    found = {weight.path.split("/")[0] for weight in model.trainable_weights}
    assert found == {path.split("/")[0] for path in everything} - {"embeddings", "block_0", "block_1"}
    unfreeze(model)
    assert [weight.path for weight in model.trainable_weights] == everything
    freeze(model, 1, embeddings=False)
    assert {path.split("/")[0] for path in everything} - {
        weight.path.split("/")[0] for weight in model.trainable_weights
    } == {"block_0"}


def test_unfreezing_reaches_all_that_is_inside():
    model = tiny_encoder()
    everything = [weight.path for weight in model.trainable_weights]
    blocks = encoder_layers(model)[1:]
    blocks[0].self_attention.trainable = False
    blocks[1].trainable = False
    blocks[1].self_attention.query.trainable = True
    blocks[1].self_attention.query.kernel.trainable = False
    unfreeze(model)
    assert [weight.path for weight in model.trainable_weights] == everything


def test_parts_are_found_in_nested_models():
    model = build_multiple_choice(tiny_encoder())
    assert [layer.name for layer in encoder_layers(model)] == PARTS


def test_what_is_frozen_does_not_learn():
    model = small_model()
    freeze(model, 1)
    compile_model(model)
    before = {weight.path: numpy_of(weight) for weight in model.weights}
    model.fit(*data(), 4, epochs=2, verbose=0)
    moved = {weight.path.split("/")[0] for weight in model.weights if (numpy_of(weight) != before[weight.path]).any()}
    assert moved == {"block_1", "classifier"}


@pytest.mark.parametrize("num_blocks", [-1, 3])
def test_blocks_that_there_are_not(num_blocks):
    with pytest.raises(ValueError, match=f"num_blocks must be from 0 to 2, .* Received: num_blocks={num_blocks}"):
        freeze(small_model(), num_blocks)


def test_a_model_without_an_encoder():
    with pytest.raises(ValueError, match="with layers named embeddings and block_0"):
        freeze(keras.Sequential([keras.layers.Dense(1)]), 0)


def test_each_epoch_unfreezes_one_block_from_the_top_and_the_embeddings_last():
    assert trained_parts(5) == [
        ["classifier"],
        ["block_1", "classifier"],
        ["block_0", "block_1", "classifier"],
        ["block_0", "block_1", "classifier", "embeddings"],
        ["block_0", "block_1", "classifier", "embeddings"],
    ]


def test_several_blocks_an_epoch():
    assert trained_parts(3, blocks_per_epoch=2) == [
        ["classifier"],
        ["block_0", "block_1", "classifier"],
        ["block_0", "block_1", "classifier", "embeddings"],
    ]


def test_what_was_frozen_before_stays_so():
    model = small_model()
    freeze(model, 1)
    assert trained_parts(4, model=compile_model(model))[-1] == ["block_1", "classifier"]


@pytest.mark.parametrize("options", [{}, {"name": "lamb"}, {"accumulation_steps": 2}])
def test_a_training_that_is_resumed_goes_on_alike(options):
    def fit(model, first, last):
        options = {"shuffle": False, "verbose": 0, "callbacks": [GradualUnfreezing()]}
        model.fit(*data(), 2, initial_epoch=first, epochs=last, **options)

    options = {"total_steps": 16 // options.get("accumulation_steps", 1), **options}
    whole, first, second = (compile_model(small_model(), **options) for _ in range(3))
    first.set_weights(whole.get_weights())
    fit(whole, 0, 4)
    fit(first, 0, 2)
    second.set_weights(first.get_weights())
    second.optimizer.build(second.trainable_variables)
    for variable, saved in zip(second.optimizer.variables, first.optimizer.variables, strict=True):
        variable.assign(saved)
    fit(second, 2, 4)
    for found, expected in zip(second.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_first_steps_of_a_part_are_no_longer_than_the_learning_rate():
    """A part whose moments are new has steps six times as long, some way into a training."""
    steps = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.before = numpy_of(self.model.get_layer("block_1").kernel)

        def on_train_batch_end(self, batch, logs=None):
            steps.append(np.abs(numpy_of(self.model.get_layer("block_1").kernel) - self.before).max())

    model = compile_model(small_model(), weight_decay=0.0)
    model.fit(*data(), 1, epochs=3, verbose=0, callbacks=[GradualUnfreezing(), Watch()])
    assert max(steps[:8]) == 0
    assert 0.001 < max(steps[8:]) < 0.02


def test_the_moving_average_takes_frozen_parts_too():
    model = compile_model(small_model(), ema_momentum=0.5)
    before = model.get_layer("embeddings").get_weights()[0]
    losses = model.fit(*data(), 2, epochs=3, verbose=0, callbacks=[GradualUnfreezing()]).history["loss"]
    np.testing.assert_allclose(model.get_layer("embeddings").get_weights()[0], before, atol=1e-6)
    assert np.isfinite(losses).all()


def test_in_other_trainings_everything_learns():
    model = compile_model(small_model())
    trained_parts(1, model=model)
    before = model.get_weights()
    model.fit(*data(), 4, verbose=0)
    assert all((old != new).any() for old, new in zip(before, model.get_weights(), strict=True))


def test_an_optimizer_that_cannot():
    model = small_model()
    model.compile(keras.optimizers.SGD(), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(ValueError, match=r"Received: SGD. Compile with build_optimizer\("):
        model.fit(*data(), verbose=0, callbacks=[GradualUnfreezing()])

"""Low-rank updates: what trains, what is left after merging, and the files of both."""

import keras
import numpy as np
import pytest

import keras_bert_suite as kbs
from keras_bert_suite.models import build_text_classifier
from keras_bert_suite.training.lora import add_lora, merge_lora
from tests.support.layer_checks import numpy_of
from tests.support.selection import rarely_all, slow_to_compile
from tests.support.tiny import tiny_encoder


def tiny_model(dtype=None, **changes):
    changes = {"dropout_rate": 0.0, "attention_dropout_rate": 0.0, **changes}
    return build_text_classifier(tiny_encoder(dtype, **changes), 2)


def inputs():
    ids = np.random.default_rng(0).integers(5, 20, (4, 6)).astype("int32")
    return {"token_ids": ids, "segment_ids": np.zeros_like(ids), "padding_mask": np.ones_like(ids)}


def train(model, epochs=3):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.05), loss)
    model.fit(inputs(), np.array([0, 1, 0, 1]), 2, epochs=epochs, verbose=0)


def updates(model):
    return {weight.path: numpy_of(weight) for weight in model.weights if "lora" in weight.path}


def test_outputs_are_the_same_until_it_trains_and_then_updates_and_head_alone_move():
    model = tiny_model()
    before = model.predict(inputs(), verbose=0)
    trainable = add_lora(model, rank=4)
    assert trainable == 2 * 2 * (12 * 4 + 4 * 12) + (12 * 2 + 2)
    np.testing.assert_allclose(model.predict(inputs(), verbose=0), before, atol=1e-6)
    values = {weight.path: numpy_of(weight) for weight in model.weights}
    train(model)
    moved = {weight.path for weight in model.weights if (numpy_of(weight) != values[weight.path]).any()}
    adapted = [f"block_{number}/self_attention/{part}" for number in "01" for part in ("query", "value")]
    updated = {f"{path}/lora_kernel_{factor}" for path in adapted for factor in "ab"}
    assert moved == updated | {"classifier/kernel", "classifier/bias"}


@slow_to_compile
@pytest.mark.parametrize("dtype", rarely_all([None, "mixed_bfloat16"], None))
def test_after_merging_it_is_the_model_it_was_but_for_what_it_learned(dtype, tmp_path):
    model = tiny_model(dtype)
    names = [(weight.path, weight.trainable) for weight in model.variables]
    kernel = model.get_layer("block_0").self_attention.query.kernel
    old = numpy_of(kernel)
    add_lora(model, rank=4, alpha=8)
    train(model)
    expected = model.predict(inputs(), verbose=0)
    first, second = (updates(model)[f"block_0/self_attention/query/lora_kernel_{part}"] for part in "ab")
    merge_lora(model)
    assert [(weight.path, weight.trainable) for weight in model.variables] == names
    np.testing.assert_allclose(numpy_of(kernel), old + 8 / 4 * first @ second, atol=1e-6)
    np.testing.assert_allclose(model.predict(inputs(), verbose=0), expected, atol=1e-5 if dtype is None else 0.05)
    with pytest.raises(ValueError, match="the model must have low-rank updates"):
        merge_lora(model)
    kbs.save_model(model, tmp_path / "saved")
    again = kbs.load_model(tmp_path / "saved", "text_classifier", dtype=dtype)
    np.testing.assert_allclose(again.predict(inputs(), verbose=0), model.predict(inputs(), verbose=0), atol=1e-5)
    train(model, epochs=1)  # and all of it learns again
    table, before = (some.get_layer("embeddings").trainable_weights[0] for some in (model, again))
    assert (numpy_of(table) != numpy_of(before)).any()


@slow_to_compile
def test_a_model_over_the_same_layers_follows():
    model = tiny_model()
    encoder = kbs.models.find_encoder(model)
    add_lora(model)
    train(model)
    expected = encoder.predict(inputs(), verbose=0)["pooled_output"]
    merge_lora(model)
    np.testing.assert_allclose(encoder.predict(inputs(), verbose=0)["pooled_output"], expected, atol=1e-5)


def test_the_seed_governs_the_updates():
    one, same, other = tiny_model(), tiny_model(), tiny_model()
    for model, seed in ((one, 1), (same, 1), (other, 2)):
        add_lora(model, seed=seed)
    firsts = {path: value for path, value in updates(one).items() if path.endswith("_a")}
    assert all(np.array_equal(value, updates(same)[path]) for path, value in firsts.items())
    assert not any(np.array_equal(value, updates(other)[path]) for path, value in firsts.items())
    assert len({value.tobytes() for value in firsts.values()}) == len(firsts)
    assert all(np.abs(value).max() <= 12**-0.5 for value in firsts.values())


@pytest.mark.parametrize(
    ("changes", "targets", "count"),
    [
        ({"num_layers": 4, "num_groups": 2}, ("query",), 2),
        ({}, ("intermediate", "output"), 6),
        ({"pre_norm": True, "num_segments": 0}, ("key", "output"), 6),
    ],
)
def test_targets_in_every_block(changes, targets, count):
    model = tiny_model(**changes)
    add_lora(model, targets=targets)
    assert len(updates(model)) == 2 * count


def test_what_cannot_be():
    model = tiny_model()
    with pytest.raises(
        ValueError, match=r"targets must be some of \['intermediate', .* Received: targets=\('queries',\)"
    ):
        add_lora(model, targets=("queries",))
    with pytest.raises(ValueError, match="rank must be above 0"):
        add_lora(model, rank=0)
    with pytest.raises(ValueError, match=r"rank must be at most \d+, the encoder's width. Received: rank=1000"):
        add_lora(model, rank=1000)
    assert len(model.trainable_weights) == len(model.weights)
    add_lora(model)
    with pytest.raises(ValueError, match="has low-rank updates already"):
        add_lora(model)

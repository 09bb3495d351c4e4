"""Rows that hold several texts give the outputs, gradients and losses of rows that hold one."""

import keras
import numpy as np
import pytest

from keras_bert_suite.layers import Pooling
from keras_bert_suite.models import (
    build_packed,
    build_text_classifier,
    build_text_embedder,
    build_token_classifier,
    can_pack,
    encoder_config,
    find_encoder,
)
from tests.models.packing import pack, unpack
from tests.models.tiny_families import HEADS, UNSEEN, call, tiny_config, tiny_family, tiny_inputs
from tests.support.layer_checks import check_saving
from tests.support.selection import rarely_all

LAYOUT = [[1, 2, 3], [0]]
TARGETS = np.array([3, 0, 4, 1])
each_graph = pytest.mark.parametrize("family", ["bert", "roberta", "albert", "electra", "modernbert"])


def classifier_of(family, **changes):
    return build_text_classifier(tiny_family(family, **changes), 5)


@each_graph
def test_packed_texts_have_the_logits_that_they_have_alone(family):
    model, inputs = classifier_of(family), tiny_inputs()
    expected = call(model, inputs)
    packed = build_packed(model)
    for layout in (LAYOUT, [[0, 2], [3, 1]]):
        logits = call(packed, pack(inputs, layout))
        assert logits.shape == (2, 4, 5)
        np.testing.assert_allclose(unpack(logits, layout), expected, rtol=0, atol=1e-5)


@each_graph
def test_neighbours_and_padding_do_not_matter(family):
    packed, inputs = build_packed(classifier_of(family)), tiny_inputs()
    before = call(packed, pack(inputs, LAYOUT))
    changed = {**inputs, "token_ids": inputs["token_ids"].copy()}
    changed["token_ids"][1] = UNSEEN
    after = pack(changed, LAYOUT)
    after["token_ids"][after["sequence_ids"] == 0] = UNSEEN
    after = call(packed, after)
    np.testing.assert_allclose(after[0, 1:3], before[0, 1:3], rtol=0, atol=1e-6)
    np.testing.assert_allclose(after[1, 0], before[1, 0], rtol=0, atol=1e-6)
    assert np.abs(after[0, 0] - before[0, 0]).max() > 1e-3


def test_rows_may_be_longer_than_a_text():
    """The positions that count are those in the text."""
    model, inputs = classifier_of("bert"), tiny_inputs()
    logits = call(build_packed(model), pack(inputs, [[0, 1, 2, 3]], length=40))
    np.testing.assert_allclose(logits[0], call(model, inputs), rtol=0, atol=1e-5)


def one_step(model, batch, jit_compile):
    """Loss, accuracy and weights after a step of 1, whose differences are gradients."""
    model.compile(
        keras.optimizers.SGD(1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight"),
        weighted_metrics=["accuracy"],
        jit_compile=jit_compile,
    )
    history = model.fit((part for part in [batch]), steps_per_epoch=1, shuffle=False, verbose=0).history
    return [history["loss"][0], history["accuracy"][0], *model.get_weights()]


@pytest.mark.parametrize("family", rarely_all(["bert", "roberta", "albert", "modernbert"], "bert", "modernbert"))
def test_loss_metrics_and_gradients_are_those_without_packing(family):
    model, inputs = classifier_of(family, dropout_rate=0.0, attention_dropout_rate=0.0), tiny_inputs()
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0  # of a head
    packed = build_packed(model)
    targets, weights = np.zeros((2, 4), int), np.zeros((2, 4), "float32")
    targets[0, :3], targets[1, 0] = TARGETS[1:], TARGETS[0]
    weights[0, :3] = weights[1, 0] = 1
    # Compiled wherever Keras compiles by itself; TensorFlow takes its time for that.
    jit_compile = keras.backend.backend() == "jax" or (keras.backend.backend() == "tensorflow" and family == "albert")
    start = model.get_weights()
    expected = one_step(model, (inputs, TARGETS, np.ones(4, "float32")), keras.backend.backend() == "jax")
    model.set_weights(start)
    found = one_step(packed, (pack(inputs, LAYOUT), targets, weights), jit_compile)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-5)
    assert max(np.abs(one - other).max() for one, other in zip(start, expected[2:], strict=True)) > 1e-2


def test_variables_are_shared():
    for family in ("bert", "roberta"):
        model = classifier_of(family)
        packed = build_packed(model)
        assert {id(weight) for weight in packed.variables} == {id(weight) for weight in model.variables}


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_what_is_known_of_models_is_known_of_packed_ones(family, tmp_path):
    model, inputs = classifier_of(family), tiny_inputs()
    loaded = check_saving(build_packed(model), pack(inputs, LAYOUT), tmp_path)
    for one in (build_packed(model), loaded, keras.models.clone_model(build_packed(model))):
        assert encoder_config(one) == tiny_config(family)
    found, expected = (call(find_encoder(one), inputs) for one in (loaded, model))
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=0, atol=1e-6)


@pytest.mark.parametrize("pooling", ["first", "mean"])
def test_heads_that_pool(pooling):
    model, inputs = build_text_embedder(tiny_family("bert"), pooling=pooling), tiny_inputs()
    vectors = unpack(call(build_packed(model), pack(inputs, LAYOUT)), LAYOUT)
    np.testing.assert_allclose(vectors, call(model, inputs), rtol=0, atol=1e-5)


def test_heads_over_tokens_answer_in_place():
    model, inputs = build_token_classifier(tiny_family("modernbert"), 5), tiny_inputs()
    packed = build_packed(model)
    assert "first_positions" not in packed.input
    arrays = pack(inputs, LAYOUT)
    del arrays["first_positions"]
    found, expected = call(packed, arrays), call(model, inputs)
    np.testing.assert_allclose(found[0, 8:13], expected[2, :5], rtol=0, atol=1e-5)
    np.testing.assert_allclose(found[1, :11], expected[0], rtol=0, atol=1e-5)


def test_mixed_precision():
    model, inputs = build_text_classifier(tiny_family("bert", dtype="mixed_bfloat16"), 5), tiny_inputs()
    packed = build_packed(model)
    assert packed.output.dtype == keras.backend.standardize_dtype(packed(pack(inputs, LAYOUT)).dtype) == "float32"
    logits = unpack(call(packed, pack(inputs, LAYOUT)), LAYOUT)
    np.testing.assert_allclose(logits, call(model, inputs), rtol=0, atol=0.05)


@pytest.mark.parametrize(("family", "policy"), [("bert", "bfloat16"), ("modernbert", "float16")])
def test_rows_of_padding_alone_are_finite(family, policy):
    packed = build_packed(build_text_classifier(tiny_family(family, dtype=policy), 5))
    assert np.isfinite(call(packed, pack(tiny_inputs(), [[0], []]))).all()


@pytest.mark.parametrize("head", HEADS)
def test_which_models_can_be_packed(head):
    model = HEADS[head](tiny_family("bert"))
    packs = head not in ("masked_lm", "masked_positions", "multiple_choice")
    assert can_pack(model) == packs
    if packs:
        assert encoder_config(build_packed(model)) == tiny_config("bert")
    else:
        with pytest.raises(ValueError, match=f"must be an encoder with one head, .*Received: '{model.name}'"):
            build_packed(model)


def test_models_that_cannot_be_packed():
    encoder = tiny_family("roberta")
    states, mask = encoder.output["sequence_output"], encoder.input["padding_mask"]
    first = keras.layers.Dense(2)(states[:, 0])  # nothing says what it reads
    both = keras.layers.Dense(2)(Pooling("mean")(states, padding_mask=mask) + states[:, 0])
    for outputs in (first, both, {"a": first}):
        assert not can_pack(keras.Model(encoder.input, outputs))
    assert not can_pack(encoder)
    assert not can_pack(build_text_embedder(encoder, pooling="max"))
    assert not can_pack(build_text_embedder(encoder, pooling=("first", "mean")))
    assert not can_pack(build_packed(build_text_classifier(encoder, 2)))
    with pytest.raises(ValueError, match="must contain an encoder"):
        build_packed(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]))
    assert not can_pack(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]))

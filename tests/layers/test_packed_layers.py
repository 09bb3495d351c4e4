"""Layers for rows that hold several sequences, and what attention and embeddings make of such rows."""

import keras
import numpy as np
import pytest

from keras_bert_suite.layers import (
    Embeddings,
    EncoderBlock,
    PackedMask,
    PackedMean,
    PreNormBlock,
    SelfAttention,
)
from tests.support.layer_checks import check_layer, numpy_of

RNG = np.random.default_rng(0)
SEQUENCE_IDS = np.array([[1, 1, 1, 2, 2, 0, 0], [1, 1, 2, 2, 2, 3, 3]], "int32")
POSITION_IDS = np.array([[0, 1, 2, 0, 1, 0, 0], [0, 1, 0, 1, 2, 0, 1]], "int32")
HIDDEN_STATES = RNG.normal(size=(2, 7, 12)).astype("float32")
#: `(row, sequence)` of every sequence.
SEQUENCES = [(0, 1), (0, 2), (1, 1), (1, 2), (1, 3)]


def test_packed_mask(tmp_path):
    expected = np.array([[[one == other for other in row] for one in row] for row in SEQUENCE_IDS.tolist()])
    check_layer(
        PackedMask, {}, {"sequence_ids": SEQUENCE_IDS}, {}, expected, tmp_path, mixed_dtype="bool",
        open_shape=(None, None, None),
    )  # fmt: skip


def test_packed_mean(tmp_path):
    expected = np.zeros((2, 4, 12))
    for row, sequence in SEQUENCES:
        expected[row, sequence - 1] = HIDDEN_STATES[row, SEQUENCE_IDS[row] == sequence].mean(axis=0)
    inputs = {
        "hidden_states": HIDDEN_STATES,
        "sequence_ids": SEQUENCE_IDS,
        "positions": np.array([[0, 3, 0, 0], [0, 2, 5, 0]], "int32"),
    }
    check_layer(PackedMean, {}, inputs, {}, expected, tmp_path)


def apart(layer):
    """What a layer makes of each sequence alone, in its place."""
    output = np.zeros_like(HIDDEN_STATES)
    for row, sequence in SEQUENCES:
        here = SEQUENCE_IDS[row] == sequence
        output[row, here] = numpy_of(layer(HIDDEN_STATES[row : row + 1, here]))[0]
    return output


@pytest.mark.parametrize(
    "layer",
    [
        SelfAttention(12, 3),
        SelfAttention(12, 3, rotary_base=100.0, local_window=2),
        EncoderBlock(12, 3, 20, initializer_range=0.3),
        PreNormBlock(12, 3, 20, rotary_base=100.0, initializer_range=0.3),
    ],
    ids=["attention", "rotary and local", "post-norm", "pre-norm"],
)
def test_sequences_of_a_row_are_kept_apart(layer):
    for variable in layer.weights or (layer(HIDDEN_STATES), layer.weights)[1]:
        if variable.path.endswith("kernel"):
            variable.assign(RNG.normal(0, 0.5, variable.shape))
    expected = apart(layer)
    real = SEQUENCE_IDS > 0
    mask = numpy_of(PackedMask()(SEQUENCE_IDS))
    for some in (mask, mask.astype("int32"), mask.astype("float32"), mask & real[:, None, :]):
        output = numpy_of(layer(HIDDEN_STATES, padding_mask=some))
        assert np.isfinite(output).all()
        np.testing.assert_allclose(output[real], expected[real], rtol=0, atol=1e-5)


def test_both_masks_say_the_same():
    layer = SelfAttention(12, 3, initializer_range=0.5)
    mask = SEQUENCE_IDS > 0
    both = np.broadcast_to(mask[:, None, :], (2, 7, 7))
    expected, found = (numpy_of(layer(HIDDEN_STATES, padding_mask=some)) for some in (mask, both))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_a_mask_may_have_a_direction():
    """Row i of the mask is what token i sees: with a triangle of ones, no token sees those after it."""
    layer = SelfAttention(12, 3, initializer_range=0.5)
    mask = np.broadcast_to(np.tril(np.ones((7, 7), "int32")), (2, 7, 7))
    changed = HIDDEN_STATES.copy()
    changed[:, 4:] += 1
    before, after = (numpy_of(layer(states, padding_mask=mask)) for states in (HIDDEN_STATES, changed))
    np.testing.assert_allclose(after[:, :4], before[:, :4], rtol=0, atol=1e-6)
    assert np.abs(after[:, 4:] - before[:, 4:]).max() > 1e-2


def test_dropout_with_a_mask_by_token():
    layer = SelfAttention(12, 3, dropout_rate=0.5, initializer_range=0.5)
    mask = numpy_of(PackedMask()(SEQUENCE_IDS))
    changed = np.where((SEQUENCE_IDS == 1)[..., None], HIDDEN_STATES, 50).astype("float32")
    outputs = []
    for states in (HIDDEN_STATES, changed):
        keras.utils.set_random_seed(0)
        layer.dropout.seed_generator.state.assign([0, 0])
        outputs.append(numpy_of(layer(states, padding_mask=mask, training=True)))
    before, after = outputs
    np.testing.assert_allclose(after[SEQUENCE_IDS == 1], before[SEQUENCE_IDS == 1], rtol=0, atol=1e-5)
    assert np.abs(before - numpy_of(layer(HIDDEN_STATES, padding_mask=mask))).max() > 1e-2


@pytest.mark.parametrize("positions", ["learned", "after_padding", "rotary"])
def test_position_ids_are_counted_in_the_sequence(positions):
    layer = Embeddings(31, 12, max_length=4, positions=positions, pad_token_id=3, initializer_range=0.5)
    ids = RNG.integers(4, 31, SEQUENCE_IDS.shape).astype("int32")
    found = numpy_of(layer(ids, 0 * ids, position_ids=POSITION_IDS))  # rows of 7 tokens: above max_length
    for row, sequence in SEQUENCES:
        here = SEQUENCE_IDS[row] == sequence
        alone = ids[row : row + 1, here]
        np.testing.assert_allclose(found[row, here], numpy_of(layer(alone, 0 * alone))[0], rtol=0, atol=1e-6)

"""Masked language models: weights that are tied or not, and scores at a few positions."""

import zipfile

import keras
import numpy as np
import pytest

from keras_bert_suite.models import at_masked_positions, build_masked_lm
from tests.models.tiny_families import FAMILIES, UNSEEN, call, tiny_config, tiny_family, tiny_inputs
from tests.support.layer_checks import check_saving, numpy_of

each_family = pytest.mark.parametrize("family", FAMILIES)
#: One family of each kind of table and head.
KINDS = ("bert", "roberta", "albert", "modernbert")


@each_family
def test_scores_at_masked_positions_are_those_of_the_whole_model(family):
    model = build_masked_lm(tiny_family(family))
    inputs = tiny_inputs(masked_positions=True)
    positions = inputs["masked_positions"]
    whole = {name: array for name, array in inputs.items() if name != "masked_positions"}
    expected = np.take_along_axis(call(model, whole), positions[..., None], axis=1)
    few = at_masked_positions(model)
    np.testing.assert_allclose(call(few, inputs), expected, rtol=0, atol=1e-5)
    assert few.output.shape == (None, None, 31)
    assert {id(weight) for weight in few.weights} == {id(weight) for weight in model.weights}


@pytest.mark.parametrize("tied", [True, False])
def test_built_with_masked_positions(tied):
    few = build_masked_lm(tiny_family("bert"), tied=tied, masked_positions=True)
    assert list(few.input) == ["token_ids", "segment_ids", "padding_mask", "masked_positions"]
    model = build_masked_lm(tiny_family("bert"), tied=tied)
    assert [weight.path for weight in few.weights] == [weight.path for weight in model.weights]
    model.set_weights(few.get_weights())
    inputs = tiny_inputs(masked_positions=True)
    np.testing.assert_array_equal(call(at_masked_positions(model), inputs), call(few, inputs))
    np.testing.assert_array_equal(call(at_masked_positions(few), inputs), call(few, inputs))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", KINDS)
def test_tied_weights_are_one_variable(family, tied, tmp_path):
    encoder = tiny_family(family)
    model = build_masked_lm(encoder, tied=tied)
    table = encoder.get_layer("embeddings").token.embeddings
    assert sum(weight is table for weight in model.weights) == 1
    assert ("masked_lm/kernel" in {weight.path for weight in model.weights}) is not tied
    vocabulary_by_width = sum(31 in weight.shape and len(weight.shape) == 2 for weight in model.weights)
    assert vocabulary_by_width == 2 - tied

    check_saving(model, tiny_inputs(), tmp_path)
    assert stored_matrices(tmp_path / "model.keras", tmp_path, 31) == 2 - tied

    before, scores = numpy_of(table), call(model, tiny_inputs())
    changed = before.copy()
    changed[UNSEEN] += 1.0  # a token that no input has: only the output can tell
    table.assign(changed)
    others = np.arange(31) != UNSEEN
    found = call(model, tiny_inputs())
    np.testing.assert_array_equal(found[..., others], scores[..., others])
    assert np.array_equal(found[..., UNSEEN], scores[..., UNSEEN]) is not tied


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", ["bert", "albert"])
def test_the_head_trains_the_embeddings_where_they_are_tied(family, tied):
    encoder = tiny_family(family)
    model = build_masked_lm(encoder, tied=tied)
    table = encoder.get_layer("embeddings").token.embeddings
    before = numpy_of(table)
    model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    inputs = tiny_inputs()
    model.fit(inputs, inputs["token_ids"], verbose=0)
    moved = np.abs(numpy_of(table) - before).max(axis=1)
    assert moved[inputs["token_ids"][0]].min() > 0
    assert (moved[UNSEEN] > 0) is np.bool_(tied)


def test_the_head_has_the_form_of_its_family():
    for family in FAMILIES:
        config = tiny_config(family)
        transform = build_masked_lm(tiny_family(family)).get_layer("masked_lm_transform")
        assert transform.units == (config.embedding_dim or 12)
        assert transform.use_bias is transform.norm_bias is (family != "modernbert")
        assert transform.activation == {"albert": "gelu_tanh"}.get(family, "gelu")
        assert transform.layer_norm_epsilon == config.layer_norm_epsilon


def stored_matrices(path, folder, rows):
    """How many matrices with `rows` on a side a `.keras` file holds."""
    import h5py

    with zipfile.ZipFile(path) as archive:
        archive.extract("model.weights.h5", folder)
    found = []
    with h5py.File(folder / "model.weights.h5") as file:
        file.visititems(lambda _, node: found.append(node.shape) if hasattr(node, "shape") else None)
    return sum(len(shape) == 2 and rows in shape for shape in found)

"""Likelihoods and best tags of a conditional random field are those of all paths, counted out."""

import itertools
import json

import keras
import numpy as np
import pytest

from keras_bert_suite.layers import CRF, Viterbi
from keras_bert_suite.training import CRFLoss, crf_targets
from tests.support.layer_checks import check_layer, numpy_of

RNG = np.random.default_rng(5)
LABELS = 3
WEIGHTS = {
    "start_transitions": RNG.normal(size=LABELS).astype("float32"),
    "end_transitions": RNG.normal(size=LABELS).astype("float32"),
    "transitions": RNG.normal(size=(LABELS, LABELS)).astype("float32"),
}
LOGITS = RNG.normal(size=(3, 6, LABELS)).astype("float32")
#: Words with gaps between them, a row without any, and a row of two texts, parted after its second word.
MASK = np.array([[0, 1, 0, 1, 1, 0], [0, 0, 0, 0, 0, 0], [1, 0, 1, 1, 1, 1]], "int32")
PARTED = 3  # the place in the last row where the second text begins


def field():
    layer = CRF()
    layer.build((None, None, LABELS))
    for name, value in WEIGHTS.items():
        getattr(layer, name).assign(value)
    return layer


def score(logits, path):
    """The score of one path over some words, in float64."""
    weights = {name: value.astype("float64") for name, value in WEIGHTS.items()}
    total = weights["start_transitions"][path[0]] + weights["end_transitions"][path[-1]]
    total += sum(weights["transitions"][one, other] for one, other in itertools.pairwise(path))
    return total + sum(float(row[tag]) for row, tag in zip(logits, path, strict=True))


def paths(logits):
    """Every path over some words, and its score."""
    return {path: score(logits, path) for path in itertools.product(range(LABELS), repeat=len(logits))}


def likelihood(logits, tags):
    """The negative log-likelihood of tags, summed up over all paths."""
    scores = np.array(list(paths(logits).values()))
    return float(np.log(np.exp(scores).sum()) - score(logits, tuple(tags)))


def test_the_field_puts_its_weights_before_the_logits(tmp_path):
    before = [WEIGHTS["start_transitions"][None], WEIGHTS["end_transitions"][None], WEIGHTS["transitions"]]
    expected = np.stack([np.concatenate([*before, row]) for row in LOGITS])
    check_layer(CRF, {}, {"logits": LOGITS}, WEIGHTS, expected, tmp_path)


def test_the_best_path_is_that_of_all_paths(tmp_path):
    lattice = numpy_of(field()(LOGITS))
    expected = np.full(MASK.shape, -1)
    for row, mask in enumerate(MASK.astype(bool)):
        if mask.any():
            found = paths(LOGITS[row, mask])
            expected[row, mask] = max(found, key=found.get)
    inputs = {"lattice": lattice, "word_mask": MASK}
    (tmp_path / "viterbi").mkdir()
    check_layer(Viterbi, {}, inputs, {}, expected, tmp_path / "viterbi", mixed_dtype="int32", open_shape=(None, None))


def row_targets():
    tags = np.where(MASK > 0, np.random.default_rng(1).integers(0, LABELS, MASK.shape), -1)
    firsts = np.zeros(MASK.shape, bool)
    firsts[0, 1] = firsts[2, 0] = firsts[2, PARTED] = True
    return tags, crf_targets(tags, firsts, LABELS)


def test_the_loss_is_the_likelihood_over_all_paths():
    tags, targets = row_targets()
    texts = [(0, MASK[0] > 0), (2, (MASK[2] > 0) & (np.arange(6) < PARTED)), (2, np.arange(6) >= PARTED)]
    expected = [likelihood(LOGITS[row, mask], tags[row, mask]) for row, mask in texts]
    losses = numpy_of(CRFLoss(reduction=None)(targets, field()(LOGITS)))
    found = [losses[row, mask].sum() for row, mask in texts]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert not losses[MASK == 0].any()
    weights = np.where(MASK > 0, np.array([[2.0], [1.0], [0.5]]), 0.0).astype("float32")
    weighted = 2.0 * expected[0] + 0.5 * (expected[1] + expected[2])
    mean = float(numpy_of(CRFLoss()(targets, field()(LOGITS), sample_weight=weights)))
    np.testing.assert_allclose(mean, weighted / weights.sum(), rtol=1e-5)


def test_the_gradient_is_that_of_the_likelihood():
    """One step of gradient descent moves each weight by what finite differences say."""
    _, targets = row_targets()
    inputs = keras.Input((None, LABELS))
    layer = CRF(name="crf")
    model = keras.Model(inputs, layer(inputs))
    for name, value in WEIGHTS.items():
        getattr(layer, name).assign(value)
    weights = (MASK > 0).astype("float32")
    loss = CRFLoss()

    def value():
        return float(numpy_of(loss(targets, model(LOGITS), sample_weight=weights)))

    expected = {}
    for name in WEIGHTS:
        expected[name] = np.zeros(WEIGHTS[name].shape)
        for place in np.ndindex(WEIGHTS[name].shape):
            moved = []
            for step in (0.05, -0.05):
                shifted = WEIGHTS[name].copy()
                shifted[place] += step
                getattr(layer, name).assign(shifted)
                moved.append(value())
            getattr(layer, name).assign(WEIGHTS[name])
            expected[name][place] = (moved[0] - moved[1]) / 0.1
    model.compile(keras.optimizers.SGD(1.0), loss)
    model.fit(LOGITS, targets, sample_weight=weights, batch_size=3, verbose=0)
    for name, slope in expected.items():
        np.testing.assert_allclose(WEIGHTS[name] - numpy_of(getattr(layer, name)), slope, atol=2e-3)


def test_a_new_field_does_as_a_softmax_does():
    tags, targets = row_targets()
    found = float(numpy_of(CRFLoss(reduction="sum")(targets, CRF()(LOGITS))))
    logs = LOGITS - np.log(np.exp(LOGITS).sum(axis=-1, keepdims=True))
    expected = -sum(logs[row, token, tags[row, token]] for row, token in zip(*np.nonzero(MASK), strict=True))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    best = numpy_of(Viterbi()(CRF()(LOGITS), word_mask=MASK))
    assert np.array_equal(best, np.where(MASK > 0, LOGITS.argmax(axis=-1), -1))


def test_the_loss_survives_its_config():
    loss = CRFLoss(reduction="sum", name="mine")
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
    assert keras.saving.deserialize_keras_object(config).get_config() == loss.get_config()


@pytest.mark.parametrize("length", [1, 2, 6])
def test_lengths_are_open(length):
    inputs = {
        "logits": keras.Input((None, LABELS), name="logits"),
        "word_mask": keras.Input((None,), dtype="int32", name="word_mask"),
    }
    model = keras.Model(inputs, Viterbi()(CRF()(inputs["logits"]), word_mask=inputs["word_mask"]))
    ones = np.ones((2, length), "int32")
    found = model.predict({"logits": LOGITS[:2, :length], "word_mask": ones}, verbose=0)
    assert np.array_equal(found, LOGITS[:2, :length].argmax(axis=-1))

"""Cross-entropy with smoothing and R-Drop, against torch, and through fit."""

import json

import keras
import numpy as np
import pytest

from keras_bert_suite.training.losses import ClassificationLoss, RDropLoss
from tests.support.layer_checks import numpy_of


def batch(*shape, labels=3, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (*shape, labels)).astype("float32")
    return rng.integers(0, labels, shape), logits, rng.random(shape).astype("float32")


def weighted_mean(losses, weights):
    return float((losses * weights).sum() / weights.sum())


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("shape", [(5,), (4, 3)])
def test_equal_to_the_cross_entropy_of_torch(smoothing, shape):
    torch = pytest.importorskip("torch")
    labels, logits, weights = batch(*shape)
    theirs = torch.nn.CrossEntropyLoss(label_smoothing=smoothing, reduction="none")
    expected = theirs(torch.tensor(logits).reshape(-1, 3), torch.tensor(labels).reshape(-1)).numpy().reshape(shape)
    loss = ClassificationLoss(label_smoothing=smoothing)
    assert float(numpy_of(loss(labels, logits))) == pytest.approx(expected.mean(), abs=1e-6)
    found = float(numpy_of(loss(labels, logits, sample_weight=weights)))
    assert found == pytest.approx(weighted_mean(expected, weights), abs=1e-6)
    assert float(numpy_of(loss(labels[..., None], logits))) == pytest.approx(expected.mean(), abs=1e-6)


def r_drop(labels, logits, alpha, smoothing):
    """One value an example: the mean of both cross-entropies and of both divergences, as the authors compute them."""
    torch = pytest.importorskip("torch")
    from torch.nn import functional

    first, second = torch.tensor(logits[0::2]), torch.tensor(logits[1::2])
    labels = torch.tensor(labels[0::2])
    entropies = [
        functional.cross_entropy(some, labels, label_smoothing=smoothing, reduction="none") for some in (first, second)
    ]
    divergences = [
        functional.kl_div(functional.log_softmax(one, -1), functional.softmax(other, -1), reduction="none").sum(-1)
        for one, other in ((first, second), (second, first))
    ]
    return (sum(entropies) / 2 + alpha * sum(divergences) / 2).numpy()


@pytest.mark.parametrize(("alpha", "smoothing"), [(0.0, 0.0), (1.0, 0.0), (4.0, 0.1)])
def test_r_drop_is_that_of_the_paper(alpha, smoothing):
    labels, logits, weights = batch(6)
    labels[1::2], weights[1::2] = labels[0::2], weights[0::2]
    expected = r_drop(labels, logits, alpha, smoothing)
    loss = RDropLoss(alpha, label_smoothing=smoothing)
    assert float(numpy_of(loss(labels, logits))) == pytest.approx(expected.mean(), abs=1e-5)
    found = float(numpy_of(loss(labels, logits, sample_weight=weights)))
    assert found == pytest.approx(weighted_mean(expected, weights[0::2]), abs=1e-5)


def test_two_equal_passes_do_not_diverge():
    labels, logits, _ = batch(3)
    labels, logits = labels.repeat(2), logits.repeat(2, axis=0)
    assert float(numpy_of(RDropLoss(5.0)(labels, logits))) == pytest.approx(
        float(numpy_of(ClassificationLoss()(labels, logits))), abs=1e-6
    )


def test_r_drop_stays_finite_where_one_label_is_certain():
    logits = np.array([[200.0, -200.0], [-200.0, 200.0]], "float32")
    assert np.isfinite(float(numpy_of(RDropLoss(1.0)(np.array([0, 0]), logits))))


@pytest.mark.parametrize("loss", [ClassificationLoss(0.1), RDropLoss(2.0, label_smoothing=0.1)])
def test_trains_through_fit_and_survives_saving(loss, tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dropout(0.2), keras.layers.Dense(3)])
    model.compile(keras.optimizers.SGD(0.1), loss, jit_compile=keras.backend.backend() != "torch")
    rng = np.random.default_rng(0)
    inputs, labels = rng.normal(size=(12, 4)).repeat(2, axis=0).astype("float32"), np.arange(24) // 2 % 3
    history = model.fit(inputs, labels, 8, epochs=5, shuffle=False, sample_weight=np.ones(24), verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.loss.get_config() == loss.get_config()
    assert loaded.evaluate(inputs, labels, 8, verbose=0) == pytest.approx(
        model.evaluate(inputs, labels, 8, verbose=0), abs=1e-6
    )


def test_config_survives_json():
    loss = RDropLoss(2.0, label_smoothing=0.1, name="mine")
    again = RDropLoss.from_config(json.loads(json.dumps(loss.get_config())))
    assert again.get_config() == loss.get_config()
    assert (again.alpha, again.label_smoothing, again.name) == (2.0, 0.1, "mine")


def test_what_cannot_be():
    with pytest.raises(ValueError, match="ClassificationLoss: label_smoothing must be in"):
        ClassificationLoss(label_smoothing=1.0)
    with pytest.raises(ValueError, match="alpha must be 0 or above. Received: alpha=-1"):
        RDropLoss(-1)
    labels, logits, _ = batch(5)
    with pytest.raises(ValueError, match=r"so that B is even. Received: shape \(5, 3\)"):
        RDropLoss()(labels, logits)
    labels, logits, _ = batch(2, 4)
    with pytest.raises(ValueError, match=r"logits must be \(B, L\)"):
        RDropLoss()(labels, logits)

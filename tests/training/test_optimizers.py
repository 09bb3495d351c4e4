"""AdamW as BERT is fine-tuned with: what decays, what is clipped, how fast."""

import keras
import numpy as np
import pytest

from keras_bert_suite.models import build_text_classifier
from keras_bert_suite.training import build_optimizer
from tests.support.layer_checks import numpy_of
from tests.support.tiny import tiny_encoder


def step(optimizer, variables, gradients):
    """Apply one step and return by how much each variable changed."""
    before = [numpy_of(variable) for variable in variables]
    optimizer.apply([keras.ops.convert_to_tensor(gradient) for gradient in gradients], variables)
    return [numpy_of(variable) - old for variable, old in zip(variables, before, strict=True)]


def test_with_zero_gradients_only_kernels_and_embeddings_decay():
    model = build_text_classifier(tiny_encoder(), 3)
    variables = model.trainable_weights
    for variable in variables:
        variable.assign(np.ones(variable.shape, "float32"))
    changes = step(
        build_optimizer(0.1, weight_decay=0.5),
        variables,
        [np.zeros(variable.shape, "float32") for variable in variables],
    )
    decayed = {}
    for variable, change in zip(variables, changes, strict=True):
        kind = variable.path.rsplit("/", 1)[1]
        decayed.setdefault(kind, set()).update(round(value, 6) for value in np.unique(change).tolist())
    assert decayed == {
        "embeddings": {-0.05},
        "kernel": {-0.05},
        "bias": {0.0},
        "gamma": {0.0},
        "beta": {0.0},
    }


def test_gradients_are_clipped_together():
    variables = [keras.Variable(np.zeros(3), name=name) for name in ("one", "two")]
    optimizer = build_optimizer(1.0, weight_decay=0.0, clip_norm=1.0)
    gradients = [np.array([3.0, 0, 0], "float32"), np.array([0, 4.0, 0], "float32")]
    step(optimizer, variables, gradients)
    first_moments = [numpy_of(moment) for moment in optimizer._momentums]
    np.testing.assert_allclose(np.concatenate(first_moments) / 0.1, [0.6, 0, 0, 0, 0.8, 0], atol=1e-6)


def test_the_rate_follows_the_schedule():
    optimizer = build_optimizer(1e-3, total_steps=20, warmup_ratio=0.1)
    variable = keras.Variable(np.zeros(1), name="kernel")
    sizes = [float(np.abs(step(optimizer, [variable], [np.ones(1, "float32")])[0][0])) for _ in range(20)]
    expected = [0, 0.5e-3, *(1e-3 * (20 - number) / 18 for number in range(2, 20))]
    np.testing.assert_allclose(sizes, expected, atol=2e-7)


def test_constant_without_a_number_of_steps():
    assert float(numpy_of(build_optimizer(1e-3).learning_rate)) == pytest.approx(1e-3)


def test_like_adamw_of_torch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    start = rng.normal(size=4).astype("float32")
    theirs = torch.nn.Parameter(torch.tensor(start))
    reference = torch.optim.AdamW([theirs], lr=1e-2, weight_decay=0.01, eps=1e-8)
    ours = keras.Variable(start, name="kernel")
    optimizer = build_optimizer(1e-2, clip_norm=None)
    for _ in range(10):
        gradient = rng.normal(size=4).astype("float32")
        theirs.grad = torch.tensor(gradient)
        reference.step()
        step(optimizer, [ours], [gradient])
    np.testing.assert_allclose(numpy_of(ours), theirs.detach().numpy(), atol=1e-6)

"""AdamW and LAMB as BERT is trained with: what decays, what is clipped, how fast, and against torch and NumPy."""

import keras
import numpy as np
import pytest

from keras_bert_suite.models import build_text_classifier
from keras_bert_suite.training.optimizers import AdamW, Lamb, build_optimizer
from tests.support.layer_checks import numpy_of
from tests.support.tiny import tiny_encoder

#: Every optimizer there is to choose.
VARIANTS = [
    {},
    {"schedule": "cosine", "clip_norm": None, "ema_momentum": 0.5},
    {"accumulation_steps": 3, "ema_momentum": 0.5},
    {"schedule": "constant", "layer_decay": 0.9, "accumulation_steps": 2},
    {"name": "lamb"},
    {"name": "lamb", "layer_decay": 0.9, "accumulation_steps": 2, "ema_momentum": 0.5},
]
IDS = [",".join(f"{key}={value}" for key, value in variant.items()) or "default" for variant in VARIANTS]


def small_model(dtype=None):
    """A model with parts named like an encoder's, and compiled in a moment."""
    ids = keras.Input((5,), dtype="int32")
    hidden = keras.layers.Embedding(20, 6, dtype=dtype, name="embeddings")(ids)
    for name in ("block_0", "block_1"):
        hidden = keras.layers.Dense(6, "tanh", dtype=dtype, name=name)(hidden)
    pooled = keras.layers.GlobalAveragePooling1D(dtype=dtype)(hidden)
    return keras.Model(ids, keras.layers.Dense(2, dtype="float32", name="classifier")(pooled))


def fit(model, optimizer, epochs=1, callbacks=()):
    """Train for some epochs of 4 batches, compiled with XLA where there is XLA; return the losses."""
    jit_compile = keras.backend.backend() != "torch"
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=jit_compile)
    ids = np.random.default_rng(0).integers(0, 20, (8, 5)).astype("int32")
    if len(model.inputs) > 1:
        ids = {"token_ids": ids, "segment_ids": np.zeros_like(ids), "padding_mask": np.ones_like(ids)}
    options = {"shuffle": False, "verbose": 0, "callbacks": list(callbacks)}
    return model.fit(ids, np.arange(8) % 2, 2, epochs=epochs, **options).history["loss"]


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


def test_gradients_within_the_bound_stay_as_they_are_and_broken_ones_show():
    for given, expected in ((0.5, 0.5), (np.inf, np.nan), (np.nan, np.nan)):
        variables = [keras.Variable(np.zeros(2), name=name) for name in ("one", "two")]
        optimizer = build_optimizer(1.0, weight_decay=0.0, clip_norm=1.0)
        step(optimizer, variables, [np.array([given, 0], "float32"), np.array([0, 0.5], "float32")])
        moments = np.concatenate([numpy_of(moment) for moment in optimizer._momentums]) / 0.1
        np.testing.assert_allclose(moments, [expected, *[0 * expected] * 2, 0.5 + 0 * expected], atol=1e-6)


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


@pytest.mark.parametrize("variant", VARIANTS, ids=IDS)
def test_every_optimizer_trains_through_fit(variant):
    updates = 24 // variant.get("accumulation_steps", 1)
    optimizer = build_optimizer(0.03, total_steps=updates, **variant)
    model = small_model()
    losses = fit(model, optimizer, epochs=6)
    assert losses[-1] < losses[0]
    assert int(numpy_of(optimizer.iterations)) == updates
    assert all(np.isfinite(numpy_of(weight)).all() for weight in model.weights)


def test_weights_stay_float32_where_the_model_computes_in_bfloat16():
    model = small_model("mixed_bfloat16")
    losses = fit(model, build_optimizer(0.03, total_steps=24, name="lamb", layer_decay=0.9), epochs=6)
    assert losses[-1] < losses[0]
    assert {weight.dtype for weight in model.trainable_weights} == {"float32"}


def test_a_classifier_trains_with_layer_decay_and_accumulation():
    model = build_text_classifier(tiny_encoder("mixed_bfloat16", num_layers=1), 2)
    optimizer = build_optimizer(0.01, total_steps=8, layer_decay=0.8, accumulation_steps=2)
    losses = fit(model, optimizer, epochs=4)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("layer_decay", [1.0, 0.5])
def test_layer_decay_is_a_parameter_group_of_torch_for_each_part(layer_decay):
    torch = pytest.importorskip("torch")
    variables = small_model().trainable_weights
    shares = {"embeddings": layer_decay**3, "block_0": layer_decay**2, "block_1": layer_decay}
    theirs, groups = [], []
    for variable in variables:
        theirs.append(torch.nn.Parameter(torch.tensor(numpy_of(variable))))
        share = shares.get(variable.path.split("/")[0], 1.0)
        decay = 0.0 if variable.path.endswith(("bias", "gamma", "beta")) else 0.1
        groups.append({"params": [theirs[-1]], "lr": 1e-2 * share, "weight_decay": decay})
    reference = torch.optim.AdamW(groups, eps=1e-8)
    optimizer = AdamW(1e-2, weight_decay=0.1, epsilon=1e-8, layer_decay=layer_decay)
    rng = np.random.default_rng(0)
    for _ in range(5):
        gradients = [rng.normal(size=variable.shape).astype("float32") for variable in variables]
        for parameter, gradient in zip(theirs, gradients, strict=True):
            parameter.grad = torch.tensor(gradient)
        reference.step()
        step(optimizer, variables, gradients)
    for variable, parameter in zip(variables, theirs, strict=True):
        np.testing.assert_allclose(numpy_of(variable), parameter.detach().numpy(), atol=1e-5, err_msg=variable.path)


def test_blocks_that_layers_share_count_once():
    encoder = tiny_encoder(num_layers=4, num_groups=2)
    variables = [variable for variable in encoder.trainable_weights if variable.path.endswith("bias")]
    variables.append(encoder.get_layer("embeddings").trainable_weights[0])
    optimizer = AdamW(0.1, weight_decay=0.0, layer_decay=0.5)
    changes = step(optimizer, variables, [np.ones(variable.shape, "float32") for variable in variables])
    rates = {"embeddings": 0.0125, "block_0": 0.025, "block_1": 0.05, "pooler": 0.1}
    for variable, change in zip(variables, changes, strict=True):
        np.testing.assert_allclose(-change, rates[variable.path.split("/")[0]], atol=1e-6, err_msg=variable.path)


def test_what_it_does_not_compute_is_refused():
    with pytest.raises(ValueError, match="amsgrad must be False"):
        AdamW(1e-3, amsgrad=True)


def lamb(weights, gradients, rate, decay, adapted, epsilon=1e-6):
    """Algorithm 2 of You et al. 2020 with phi the identity, in float64."""
    weights = weights.astype("float64")
    mean = square = 0.0
    for number, gradient in enumerate(gradients.astype("float64"), start=1):
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        ratio = mean / (1 - 0.9**number) / (np.sqrt(square / (1 - 0.999**number)) + epsilon)
        if adapted:
            ratio = ratio + decay * weights
            lengths = np.sqrt((weights**2).sum()), np.sqrt((ratio**2).sum())
            ratio = ratio * (lengths[0] / lengths[1] if all(lengths) else 1.0)
        weights = weights - rate * ratio
    return weights


def test_lamb_is_that_of_the_paper():
    rng = np.random.default_rng(0)
    values = {"kernel": rng.normal(size=(3, 4)), "table": np.zeros((2, 3, 2)), "bias": rng.normal(size=4)}
    variables = [keras.Variable(value.astype("float32"), name=name) for name, value in values.items()]
    gradients = [rng.normal(size=(6, *value.shape)).astype("float32") for value in values.values()]
    optimizer = Lamb(0.1, weight_decay=0.3)
    for number in range(6):
        step(optimizer, variables, [gradient[number] for gradient in gradients])
    for variable, (name, value), gradient in zip(variables, values.items(), gradients, strict=True):
        expected = lamb(value.astype("float32"), gradient, 0.1, 0.3, adapted=name != "bias")
        np.testing.assert_allclose(numpy_of(variable), expected, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("variant", [{}, {"layer_decay": 0.5}, {"name": "lamb"}])
def test_accumulating_equal_batches_is_training_on_one(variant):
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(4, 4)).astype("float32") * 3
    whole, parts = (keras.Variable(np.ones(4, "float32"), name="kernel") for _ in range(2))
    plain = build_optimizer(1e-2, total_steps=4, **variant)
    optimizer = build_optimizer(1e-2, total_steps=4, accumulation_steps=4, **variant)
    for gradient in gradients:
        step(plain, [whole], [gradient])
        for share in (0.0, 2.0, 1.5, 0.5):  # their mean is `gradient`; each alone would be clipped
            step(optimizer, [parts], [gradient * share])
        np.testing.assert_allclose(numpy_of(parts), numpy_of(whole), atol=1e-6)
    assert float(numpy_of(plain.learning_rate)) == float(numpy_of(optimizer.learning_rate)) == 0.0


@pytest.mark.parametrize("variant", [{}, {"layer_decay": 0.9}, {"accumulation_steps": 2}])
def test_after_fit_the_weights_are_their_moving_average(variant):
    kept = []

    class Keep(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            kept.append(numpy_of(self.model.get_layer("classifier").kernel))

    model = small_model()
    fit(model, build_optimizer(1e-2, ema_momentum=0.6, **variant), callbacks=[Keep()])
    every, average = variant.get("accumulation_steps", 1), 0.0
    for number, value in enumerate(kept):
        updates = number // every  # before this batch
        momentum = min(0.6, (updates / (updates + 9))) ** (1 / every)
        average = momentum * average + (1 - momentum) * value
    np.testing.assert_allclose(numpy_of(model.get_layer("classifier").kernel), average, atol=1e-6)
    assert np.abs(average - kept[-1]).max() > 1e-4


@pytest.mark.parametrize("variant", [{"layer_decay": 0.9}, {"name": "lamb", "accumulation_steps": 2}])
def test_a_saved_optimizer_goes_on_alike(variant):
    optimizer = build_optimizer(1e-2, total_steps=10, schedule="cosine", **variant)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert again.get_config() == optimizer.get_config()
    one, other = ([keras.Variable(np.ones(3, "float32"), name=name) for name in ("kernel", "bias")] for _ in range(2))
    for _ in range(4):
        gradients = [np.arange(3, dtype="float32"), np.ones(3, "float32")]
        for found, expected in zip(step(again, one, gradients), step(optimizer, other, gradients), strict=True):
            assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": "adam"}, "name must be one of 'adamw', 'lamb'. Received: name='adam'"),
        ({"schedule": "step", "total_steps": 3}, "name must be one of 'linear', 'cosine', 'constant'"),
        ({"layer_decay": 1.5}, "layer_decay must be above 0 and at most 1. Received: layer_decay=1.5"),
        ({"accumulation_steps": 0}, "accumulation_steps must be above 0"),
    ],
)
def test_choices_that_cannot_be(wrong, message):
    with pytest.raises(ValueError, match=message):
        build_optimizer(1e-3, **wrong)

"""The functional graphs: numbers, saving, precision, compilation, distribution."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_bert_suite import EncoderConfig
from keras_bert_suite.models import INPUT_NAMES, build_encoder, build_text_classifier, encoder_config, find_encoder
from tests.models.tiny_families import call
from tests.support.golden import golden, golden_classifier, golden_config
from tests.support.layer_checks import check_saving, numpy_of


@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh"])
def test_numbers_are_those_of_transformers(activation):
    inputs, outputs, _ = golden(activation)
    model = golden_classifier(activation)
    np.testing.assert_allclose(model.predict(inputs, verbose=0), outputs["logits"], atol=1e-5, rtol=0)
    encoded = find_encoder(model).predict(inputs, verbose=0)
    for name in ("sequence_output", "pooled_output"):
        np.testing.assert_allclose(encoded[name], outputs[name], atol=1e-5, rtol=0)


def test_config_is_read_back_off_the_layers():
    config = EncoderConfig(
        vocabulary_size=31, hidden_dim=12, num_layers=3, num_heads=3, intermediate_dim=20, max_length=17,
        num_segments=4, activation="relu", layer_norm_epsilon=1e-5, dropout_rate=0.2, attention_dropout_rate=0.3,
        initializer_range=0.05,
    )  # fmt: skip
    encoder = build_encoder(config)
    assert encoder_config(encoder) == config
    assert encoder_config(build_text_classifier(encoder, 3)) == config
    with pytest.raises(ValueError, match="must contain an encoder made by build_encoder"):
        encoder_config(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]))


def test_keras_files_give_equal_outputs_and_config(tmp_path):
    inputs, _, _ = golden()
    model = golden_classifier()
    check_saving(find_encoder(model), inputs, tmp_path)
    assert encoder_config(check_saving(model, inputs, tmp_path)) == golden_config()


# Compiled in mixed precision: test_families_of_models.py, every family.
@pytest.mark.parametrize(
    ("policy", "jit_compile"),
    [pytest.param("mixed_bfloat16", False, marks=pytest.mark.slow), ("float32", False), ("float32", True)],
)
def test_fit_and_predict(policy, jit_compile):
    if jit_compile and keras.backend.backend() == "torch":
        pytest.skip("Keras hands jit_compile=True to torch.compile, which needs a C++ compiler at run time")
    if not jit_compile and keras.backend.backend() == "jax":
        pytest.skip("the default on JAX is to compile; without, each operation takes its own time")
    inputs, _, _ = golden()
    model = golden_classifier(dtype=policy)
    model.compile(
        keras.optimizers.SGD(0.1),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=jit_compile,
    )
    losses = model.fit(inputs, np.array([0, 1, 2, 3]), epochs=12, verbose=0).history["loss"]
    assert np.mean(losses[-6:]) < np.mean(losses[:3])  # with dropout, no two of them tell
    logits = model.predict(inputs, verbose=0)
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()
    assert {weight.dtype for weight in model.trainable_weights} == {"float32"}


def test_mixed_precision_stays_close():
    inputs, outputs, _ = golden()
    logits = golden_classifier(dtype="mixed_bfloat16").predict(inputs, verbose=0)
    assert np.abs(logits - outputs["logits"]).max() < 0.2


def test_padding_never_reaches_real_positions():
    inputs, _, _ = golden()
    encoder = find_encoder(golden_classifier())
    mask = inputs["padding_mask"].astype(bool)
    changed = {**inputs, "token_ids": np.where(mask, inputs["token_ids"], 30).astype("int32")}
    for name, rows in (("sequence_output", mask), ("pooled_output", slice(None))):
        one, other = (call(encoder, some)[name][rows] for some in (inputs, changed))
        np.testing.assert_allclose(one, other, atol=1e-6, rtol=0)


def test_padding_to_another_length_changes_nothing():
    inputs, _, _ = golden()
    inputs = {**inputs, "padding_mask": np.ones_like(inputs["padding_mask"])}
    model = golden_classifier()
    longer = {name: np.pad(array, ((0, 0), (0, 6))) for name, array in inputs.items()}
    np.testing.assert_allclose(call(model, longer), call(model, inputs), atol=1e-5, rtol=0)


def test_batches_of_any_length_up_to_the_longest():
    encoder = build_encoder(golden_config())
    for batch, length in ((1, 1), (3, 17), (2, 5), (5, 2)):
        inputs = {name: np.ones((batch, length), "int32") for name in INPUT_NAMES}
        outputs = encoder.predict_on_batch(inputs)
        assert outputs["sequence_output"].shape == (batch, length, 12)
        assert outputs["pooled_output"].shape == (batch, 12)


def test_a_batch_longer_than_the_position_table():
    encoder = build_encoder(golden_config())
    inputs = {name: np.ones((1, 18), "int32") for name in INPUT_NAMES}
    with pytest.raises(ValueError, match="at most max_length tokens.*18 tokens, max_length=17"):
        encoder(inputs)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16", "bfloat16", "float16"])
def test_rows_of_padding_alone_are_finite(policy):
    inputs, _, _ = golden()
    mask = inputs["padding_mask"].copy()
    mask[::2] = 0
    model = golden_classifier(dtype=policy)
    assert np.isfinite(call(model, {**inputs, "padding_mask": mask})).all()
    encoded = call(find_encoder(model), {**inputs, "padding_mask": 0 * mask})
    assert np.isfinite(encoded["sequence_output"]).all()


def test_training_through_a_row_of_padding_alone_stays_finite():
    inputs, _, _ = golden()
    model = golden_classifier()
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit({**inputs, "padding_mask": 0 * inputs["padding_mask"]}, np.array([0, 1, 2, 3]), verbose=0)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_the_encoder_is_shared_by_the_classifier():
    encoder = build_encoder(golden_config())
    model = build_text_classifier(encoder, 3)
    assert find_encoder(encoder) is encoder
    found = find_encoder(model)
    assert found.name == encoder.name
    assert [weight is other for weight, other in zip(found.weights, encoder.weights, strict=True)].count(False) == 0
    inputs, _, _ = golden()
    for name, output in encoder(inputs).items():
        assert np.array_equal(numpy_of(found(inputs)[name]), numpy_of(output))


def test_paths_of_variables_do_not_change():
    """Checkpoints, layout maps and optimizers find variables by these."""
    block = [
        *(
            f"self_attention/{name}/{part}"
            for name in ("query", "key", "value", "output")
            for part in ("kernel", "bias")
        ),
        *(f"feed_forward/{name}/{part}" for name in ("intermediate", "output") for part in ("kernel", "bias")),
        *(f"{name}/{part}" for name in ("attention_norm", "output_norm") for part in ("gamma", "beta")),
    ]
    expected = {
        *(f"embeddings/{name}/embeddings" for name in ("token", "segment", "position")),
        "embeddings/norm/gamma",
        "embeddings/norm/beta",
        *(f"block_{index}/{name}" for index in range(2) for name in block),
        "pooler/dense/kernel",
        "pooler/dense/bias",
        "classifier/kernel",
        "classifier/bias",
    }
    for _ in range(2):  # a second model in the same process has the same names
        model = build_text_classifier(build_encoder(golden_config()), 3)
        paths = [weight.path for weight in model.trainable_weights]
        assert len(paths) == len(set(paths))
        assert set(paths) == expected
    assert model.count_params() == sum(weight.size for weight in model.get_weights())


def test_inputs_have_their_names_and_types():
    model = build_text_classifier(build_encoder(golden_config()), 3)
    assert list(model.input) == list(INPUT_NAMES) == ["token_ids", "segment_ids", "padding_mask"]
    assert {(tensor.dtype, tensor.shape) for tensor in model.input.values()} == {("int32", (None, None))}
    assert sorted(find_encoder(model).output) == ["pooled_output", "sequence_output"]


def test_config_errors():
    with pytest.raises(ValueError, match="num_heads. Received: hidden_dim=10, num_heads=4. Use num_heads=2 or 5"):
        EncoderConfig(hidden_dim=10, num_heads=4)
    with pytest.raises(ValueError, match="activation must be one of 'gelu'"):
        EncoderConfig(activation="gulu")
    with pytest.raises(TypeError, match="num_layers must be an int. Received: num_layers=2.0"):
        EncoderConfig(num_layers=2.0)
    with pytest.raises(ValueError, match="num_labels must be above 0"):
        build_text_classifier(build_encoder(golden_config()), 0)


#: Trains the same model alone and under each distribution of the backend, in one fresh process.
SCRIPT = """
import contextlib
import keras
import numpy as np
from keras_bert_suite.models import build_encoder, build_text_classifier
from tests.support.golden import golden, golden_classifier, golden_config

def losses(distribution=None, scope=contextlib.nullcontext()):
    if keras.backend.backend() == "jax":
        keras.distribution.set_distribution(None)
        values = golden_classifier().get_weights()
        keras.distribution.set_distribution(distribution)
    else:
        values = golden_classifier().get_weights()
    with scope:
        config = golden_config().replace(dropout_rate=0.0, attention_dropout_rate=0.0)
        model = build_text_classifier(build_encoder(config), 5)
        model.compile(keras.optimizers.SGD(1e-2), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    for weight, value in zip(model.trainable_weights, values):
        weight.assign(value)
    history = model.fit(golden()[0], np.array([0, 1, 2, 3]), batch_size=4, epochs=2, shuffle=False, verbose=0)
    return history.history["loss"], model

if keras.backend.backend() == "jax":
    devices = keras.distribution.list_devices("cpu")
    assert len(devices) == 4
    alone, _ = losses()
    data_parallel, _ = losses(keras.distribution.DataParallel(devices=devices))
    mesh = keras.distribution.DeviceMesh((2, 2), ["batch", "model"], devices)
    layout = keras.distribution.LayoutMap(mesh)
    layout[".*(query|key|value|intermediate)/kernel"] = (None, "model")
    layout[".*output/kernel"] = ("model", None)
    model_parallel, model = losses(keras.distribution.ModelParallel(layout_map=layout, batch_dim_name="batch"))
    sharded = [weight for weight in model.weights if weight.path == "block_0/feed_forward/intermediate/kernel"]
    assert sharded[0].value.sharding.shard_shape((12, 20)) == (12, 10)
    found = [alone, data_parallel, model_parallel]
else:
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    assert strategy.num_replicas_in_sync == 2
    found = [losses()[0], losses(scope=strategy.scope())[0]]
print("losses", found)
"""


@pytest.mark.slow
def test_distribution_gives_the_losses_of_one_device():
    if keras.backend.backend() not in ("tensorflow", "jax"):
        pytest.skip("Keras has no distribution on torch")
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr[-2000:]
    alone, *distributed = json.loads(run.stdout.split("losses")[-1])
    assert len(distributed) == {"tensorflow": 1, "jax": 2}[keras.backend.backend()]
    for losses in distributed:
        np.testing.assert_allclose(losses, alone, rtol=1e-5)

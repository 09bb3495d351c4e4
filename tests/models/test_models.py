"""The functional graphs: numbers, saving, precision, compilation, distribution."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_bert_suite import EncoderConfig
from keras_bert_suite.models import build_encoder, build_text_classifier, encoder_config
from tests.support.golden import golden, golden_classifier, golden_config
from tests.support.layer_checks import check_saving


@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh"])
def test_numbers_are_those_of_transformers(activation):
    inputs, outputs, _ = golden(activation)
    model = golden_classifier(activation)
    np.testing.assert_allclose(model.predict(inputs, verbose=0), outputs["logits"], atol=1e-5, rtol=0)
    encoded = model.get_layer("encoder").predict(inputs, verbose=0)
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
    check_saving(model, inputs)
    check_saving(model.get_layer("encoder"), inputs)
    model.save(tmp_path / "model.keras")
    assert encoder_config(keras.saving.load_model(tmp_path / "model.keras")) == golden_config()


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float32"])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_fit_and_predict(policy, jit_compile):
    if jit_compile and keras.backend.backend() == "torch":
        pytest.skip("Keras hands jit_compile=True to torch.compile, which needs a C++ compiler at run time")
    inputs, _, _ = golden()
    model = golden_classifier(dtype=policy)
    model.compile(
        keras.optimizers.Adam(1e-2),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=jit_compile,
    )
    losses = model.fit(inputs, np.array([0, 1, 2, 3]), epochs=12, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert model.predict(inputs, verbose=0).dtype == np.float32


def test_mixed_precision_stays_close():
    inputs, outputs, _ = golden()
    logits = golden_classifier(dtype="mixed_bfloat16").predict(inputs, verbose=0)
    assert np.abs(logits - outputs["logits"]).max() < 0.2


def test_padding_never_reaches_real_positions():
    inputs, _, _ = golden()
    encoder = golden_classifier().get_layer("encoder")
    mask = inputs["padding_mask"].astype(bool)
    changed = {**inputs, "token_ids": np.where(mask, inputs["token_ids"], 30).astype("int32")}
    for name, rows in (("sequence_output", mask), ("pooled_output", slice(None))):
        one, other = (encoder.predict(some, verbose=0)[name][rows] for some in (inputs, changed))
        np.testing.assert_allclose(one, other, atol=1e-6, rtol=0)


def test_padding_to_another_length_changes_nothing():
    inputs, _, _ = golden()
    inputs = {**inputs, "padding_mask": np.ones_like(inputs["padding_mask"])}
    model = golden_classifier()
    longer = {name: np.pad(array, ((0, 0), (0, 6))) for name, array in inputs.items()}
    np.testing.assert_allclose(model.predict(longer, verbose=0), model.predict(inputs, verbose=0), atol=1e-5, rtol=0)


def test_rows_of_padding_alone_are_finite():
    inputs, _, _ = golden()
    inputs = {**inputs, "padding_mask": np.zeros_like(inputs["padding_mask"])}
    assert np.isfinite(golden_classifier().predict(inputs, verbose=0)).all()


def test_config_errors():
    with pytest.raises(ValueError, match="num_heads. Received: hidden_dim=10, num_heads=4. Use num_heads=2 or 5"):
        EncoderConfig(hidden_dim=10, num_heads=4)
    with pytest.raises(ValueError, match="activation must be one of 'gelu'"):
        EncoderConfig(activation="gulu")
    with pytest.raises(TypeError, match="num_layers must be an int. Received: num_layers=2.0"):
        EncoderConfig(num_layers=2.0)
    with pytest.raises(ValueError, match="num_labels must be above 0"):
        build_text_classifier(build_encoder(golden_config()), 0)


DISTRIBUTED = {
    "mirrored": """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
scope = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope()
""",
    "data_parallel": """
keras.distribution.set_distribution(keras.distribution.DataParallel(devices=keras.distribution.list_devices("cpu")))
""",
    "model_parallel": """
mesh = keras.distribution.DeviceMesh((2, 2), ["batch", "model"], keras.distribution.list_devices("cpu"))
layout = keras.distribution.LayoutMap(mesh)
layout[".*(query|key|value|intermediate)/kernel"] = (None, "model")
layout[".*output/kernel"] = ("model", None)
keras.distribution.set_distribution(
    keras.distribution.ModelParallel(layout_map=layout, batch_dim_name="batch"))
""",
    "none": "",
}

SCRIPT = """
import contextlib
import keras
import numpy as np
scope = contextlib.nullcontext()
{setup}
from tests.support.golden import golden, golden_classifier, golden_config
from keras_bert_suite.models import build_encoder, build_text_classifier
inputs = golden()[0]
source = golden_classifier().get_weights()
with scope:
    config = golden_config().replace(dropout_rate=0.0, attention_dropout_rate=0.0)
    model = build_text_classifier(build_encoder(config), 5)
    model.compile(keras.optimizers.SGD(1e-2), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
values = {{weight.path: value for weight, value in zip(golden_classifier().weights, source)}}
for weight in model.weights:
    if weight.path in values:
        weight.assign(values[weight.path])
history = model.fit(inputs, np.array([0, 1, 2, 3]), batch_size=4, epochs=3, shuffle=False, verbose=0)
print("losses", *history.history["loss"])
"""


def losses_under(name):
    environment = {
        **os.environ,
        "XLA_FLAGS": "" if name in ("mirrored", "none") else "--xla_force_host_platform_device_count=4",
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(setup=DISTRIBUTED[name])], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [float(word) for word in done.stdout.split("losses")[-1].split()]


def test_distribution_gives_the_losses_of_one_device():
    names = {"tensorflow": ["mirrored"], "jax": ["data_parallel", "model_parallel"]}.get(keras.backend.backend())
    if names is None:
        pytest.skip("Keras has no distribution on torch")
    alone = losses_under("none")
    for name in names:
        np.testing.assert_allclose(losses_under(name), alone, rtol=1e-5)

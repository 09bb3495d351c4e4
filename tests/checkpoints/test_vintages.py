"""Every way in which BERT checkpoints were written since 2018 opens, and gives the golden numbers."""

import json
import logging

import keras
import numpy as np
import pytest
import safetensors.numpy

import keras_bert_suite as kbs
from keras_bert_suite.checkpoints import load_model, open_checkpoint
from keras_bert_suite.models import build_encoder, build_text_classifier, encoder_config
from tests.support.golden import GOLDEN_ACTIVATIONS, golden_config, load_golden, write_directory

HEAD = ("classifier.",)


def outputs_of(model, inputs):
    return {name: keras.ops.convert_to_numpy(values) for name, values in model(inputs, training=False).items()}


def check_golden(encoder, activation="gelu", names=("sequence_output", "pooled_output")):
    golden = load_golden(activation)
    found = outputs_of(encoder, golden.inputs)
    for name in names:
        np.testing.assert_allclose(found[name], golden.outputs[name], rtol=0, atol=1e-5)


def old_norms(key):
    for new, old in (("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")):
        key = key.replace(new, old)
    return key


VINTAGES = {
    "with the prefix": {},
    "without the prefix": {"rename": lambda key: key.removeprefix("bert.")},
    "gamma and beta": {"rename": old_norms},
    "gamma and beta without the prefix": {"rename": lambda key: old_norms(key).removeprefix("bert.")},
    "no architectures": {"architectures": None},
    "no classifier": {"drop": HEAD},
    "no position_embedding_type, another dtype key": {"torch_dtype": "float32", "transformers_version": "2.1.0"},
    "extra keys in config.json": {"pooler_fc_size": 768, "directionality": "bidi", "id2label": None},
}


@pytest.mark.parametrize("activation", GOLDEN_ACTIVATIONS)
@pytest.mark.parametrize("vintage", VINTAGES)
def test_every_naming_opens(vintage, activation, tmp_path, caplog):
    directory = load_golden(activation).write(tmp_path / "model", **VINTAGES[vintage])
    encoder = kbs.load_encoder(directory)
    assert encoder_config(encoder) == golden_config(activation)
    check_golden(encoder, activation)
    assert caplog.records == []


def test_buffers_of_old_versions_are_left_aside(tmp_path):
    golden = load_golden()
    for prefix in ("", "bert."):
        buffers = {
            f"{prefix}embeddings.position_ids": np.arange(17)[None],
            f"{prefix}embeddings.token_type_ids": np.zeros((1, 17), "int64"),
        }
        weights = {key.removeprefix("bert."): array for key, array in golden.weights.items()}
        weights = {key if key.startswith("classifier") else prefix + key: array for key, array in weights.items()}
        check_golden(kbs.load_encoder(write_directory(tmp_path / f"{prefix}x", golden.config, weights | buffers)))


def test_a_missing_pooler_is_new_and_said_so(tmp_path, caplog):
    directory = load_golden().write(tmp_path / "model", drop=("bert.pooler", *HEAD))
    with caplog.at_level(logging.WARNING):
        encoder = kbs.load_encoder(directory)
    assert "has no pooler: starting from new weights there" in caplog.text
    assert str(directory) in caplog.text
    check_golden(encoder, names=["sequence_output"])
    assert np.isfinite(outputs_of(encoder, load_golden().inputs)["pooled_output"]).all()


def test_pretraining_heads_are_left_aside(tmp_path, caplog):
    golden = load_golden()
    heads = {
        "cls.predictions.bias": np.zeros(31, "float32"),
        "cls.predictions.transform.dense.weight": np.zeros((12, 12), "float32"),
        "cls.predictions.transform.dense.bias": np.zeros(12, "float32"),
        "cls.predictions.transform.LayerNorm.gamma": np.ones(12, "float32"),
        "cls.predictions.transform.LayerNorm.beta": np.ones(12, "float32"),
        "cls.predictions.decoder.weight": np.zeros((31, 12), "float32"),
        "cls.seq_relationship.weight": np.zeros((2, 12), "float32"),
        "cls.seq_relationship.bias": np.zeros(2, "float32"),
    }
    directory = write_directory(tmp_path / "model", golden.config, {**golden.weights, **heads})
    check_golden(kbs.load_encoder(directory))
    assert caplog.records == []


def test_the_classifier_head(tmp_path, caplog):
    golden = load_golden()
    directory = golden.write(tmp_path / "model")
    checkpoint = open_checkpoint(directory)
    assert checkpoint.heads == ("text_classifier",)
    assert checkpoint.num_outputs("text_classifier") == 5
    model = load_model(directory, "text_classifier")
    np.testing.assert_allclose(model.predict(golden.inputs, verbose=0), golden.outputs["logits"], rtol=0, atol=1e-5)
    assert caplog.records == []


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ({"id2label": {"0": "no", "1": "yes"}}, ["no", "yes"]),
        ({"id2label": {"1": "yes", "0": "no"}}, ["no", "yes"]),
        ({"id2label": {str(index): f"l{index}" for index in range(11)}}, [f"l{index}" for index in range(11)]),
        ({"num_labels": 3}, ["LABEL_0", "LABEL_1", "LABEL_2"]),
        ({}, None),
    ],
)
def test_labels_of_config_json(values, labels, tmp_path):
    assert open_checkpoint(load_golden().write(tmp_path / "model", **values)).labels == labels


@pytest.mark.parametrize(
    ("foreign", "ours"),
    [
        ("gelu", "gelu"),
        ("gelu_new", "gelu_tanh"),
        ("gelu_pytorch_tanh", "gelu_tanh"),
        ("gelu_fast", "gelu_tanh"),
        ("relu", "relu"),
        ("silu", "silu"),
        ("swish", "silu"),
        ("tanh", "tanh"),
    ],
)
def test_names_of_activations(foreign, ours, tmp_path):
    directory = load_golden().write(tmp_path / "model", hidden_act=foreign)
    assert open_checkpoint(directory).config.activation == ours


def as_type(array, name):
    import ml_dtypes

    return array.astype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


@pytest.mark.parametrize("stored", ["float16", "bfloat16", "float64"])
def test_other_types_of_float_load_as_float32(stored, tmp_path):
    golden = load_golden()
    weights = {key: as_type(array, stored) for key, array in golden.weights.items()}
    directory = tmp_path / "model"
    if stored == "bfloat16":
        write_bfloat16(directory, golden.config, weights)
    else:
        write_directory(directory, golden.config, weights)
    encoder = kbs.load_encoder(directory)
    assert {weight.dtype for weight in encoder.weights} == {"float32"}
    kernel = next(weight for weight in encoder.weights if weight.path == "block_1/feed_forward/output/kernel")
    expected = weights["bert.encoder.layer.1.output.dense.weight"].T.astype("float32")
    assert np.array_equal(keras.ops.convert_to_numpy(kernel.value), expected)
    expected = golden.outputs["sequence_output"]
    assert np.abs(outputs_of(encoder, golden.inputs)["sequence_output"] - expected).max() < 0.1


def write_bfloat16(directory, config, weights):
    """Write the file by its specification, as the frame for NumPy has no bfloat16."""
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
    header, data = {}, b""
    for key, array in weights.items():
        content = array.tobytes()
        header[key] = {
            "dtype": "BF16",
            "shape": list(array.shape),
            "data_offsets": [len(data), len(data) + len(content)],
        }
        data += content
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    (directory / "model.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + data)


@pytest.mark.parametrize("dtype", [None, "mixed_bfloat16"])
def test_an_encoder_saved_and_loaded_is_equal(dtype, tmp_path):
    golden = load_golden("gelu_tanh")
    encoder = kbs.load_encoder(golden.write(tmp_path / "first"), dtype=dtype)
    kbs.save_encoder(encoder, tmp_path / "second")
    again = kbs.load_encoder(tmp_path / "second", dtype=dtype)
    assert encoder_config(again) == encoder_config(encoder)
    for one, other in zip(encoder.get_weights(), again.get_weights(), strict=True):
        assert np.array_equal(one, other)
    first, second = (outputs_of(model, golden.inputs) for model in (encoder, again))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert sorted(path.name for path in (tmp_path / "second").iterdir()) == ["config.json", "model.safetensors"]
    stored = safetensors.numpy.load_file(tmp_path / "second" / "model.safetensors")
    expected = {key.removeprefix("bert."): array for key, array in golden.weights.items() if "classifier" not in key}
    assert stored.keys() == expected.keys()
    assert all(np.array_equal(stored[key], expected[key]) for key in stored)


def test_the_encoder_inside_a_classifier_can_be_saved(tmp_path):
    encoder = kbs.load_encoder(load_golden().write(tmp_path / "first"))
    kbs.save_encoder(build_text_classifier(encoder, 3), tmp_path / "second")
    check_golden(kbs.load_encoder(tmp_path / "second"))


def test_a_directory_in_use_is_not_written_to(tmp_path):
    directory = load_golden().write(tmp_path / "model")
    encoder = kbs.load_encoder(directory)
    before = (directory / "model.safetensors").read_bytes()
    with pytest.raises(FileExistsError, match="already exists and is not empty"):
        kbs.save_encoder(encoder, directory)
    assert (directory / "model.safetensors").read_bytes() == before
    kbs.save_encoder(encoder, directory, overwrite=True)
    check_golden(kbs.load_encoder(directory))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_weights_that_are_not_finite_are_saved_with_a_warning(tmp_path, caplog):
    encoder = build_encoder(golden_config())
    weight = encoder.get_layer("pooler").weights[1]
    weight.assign(np.full(12, np.nan, "float32"))
    kbs.save_encoder(encoder, tmp_path / "model")
    assert "1 weights are not finite: pooler/dense/bias" in caplog.text

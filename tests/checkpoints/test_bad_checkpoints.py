"""A checkpoint that is incomplete, damaged or contradicts itself is refused whole, in one clear message."""

import json

import numpy as np
import pytest
import safetensors.numpy

import keras_bert_suite as kbs
from keras_bert_suite.checkpoints import Checkpoint, resolve_source
from keras_bert_suite.errors import CheckpointError
from keras_bert_suite.models import build_encoder
from tests.support.golden import golden_config, load_golden, write_directory


@pytest.fixture
def directory(tmp_path):
    return load_golden().write(tmp_path / "model", drop=["classifier."])


def refusal(directory, *words):
    """Assert that loading is refused with a one-line message that has all of `words`, and return it."""
    with pytest.raises(CheckpointError) as caught:
        kbs.load_encoder(directory)
    message = str(caught.value)
    assert [word for word in (str(directory), *words) if word not in message] == [], message
    assert "\n" not in message
    return message


def rewrite(directory, change):
    """Rewrite the weights of a directory after `change(weights)`."""
    weights = dict(safetensors.numpy.load_file(directory / "model.safetensors"))
    change(weights)
    safetensors.numpy.save_file(weights, directory / "model.safetensors")


def configure(directory, **changes):
    path = directory / "config.json"
    values = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    values = {key: value for key, value in values.items() if value is not None}
    path.write_text(json.dumps(values), encoding="utf-8")


def test_no_directory(tmp_path):
    refusal(tmp_path / "nowhere", "no such directory", "all-MiniLM-L6-v2", "Give the folder")
    with pytest.raises(CheckpointError, match=r"no such directory\. Give the folder"):
        Checkpoint(tmp_path / "nowhere")


def test_a_file_in_place_of_a_directory(directory):
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        resolve_source(directory / "model.safetensors")


def test_no_config(directory):
    (directory / "config.json").unlink()
    refusal(directory, "config.json: not found", "the folder holds model.safetensors", "Hugging Face layout")


def test_no_weights(directory):
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")
    refusal(directory, "model.safetensors: not found", "pytorch_model.bin", "read from safetensors")


@pytest.mark.parametrize("kept", [0, 1, 7, 8, 9, 200, 0.5, 0.99, -1])
def test_truncated_weights(kept, directory):
    path = directory / "model.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    refusal(directory, "model.safetensors: damaged or truncated", "Download the checkpoint again")


def test_weights_that_are_something_else(directory):
    path = directory / "model.safetensors"
    for content in (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", b"\xff" * 5000, b"<html>" * 99):
        path.write_bytes(content)
        refusal(directory, "model.safetensors: damaged or truncated", "Download the checkpoint again")


@pytest.mark.parametrize("content", [b"", b"{", b'{"vocab_size": 31', b"\xff\xfe{}", b"<html></html>", b"\0" * 40])
def test_config_that_is_not_json(content, directory):
    (directory / "config.json").write_bytes(content)
    refusal(directory, "config.json: not valid JSON", "Download the checkpoint again")


@pytest.mark.parametrize("content", ["[]", "3", '"bert"', "null"])
def test_config_that_is_no_object(content, directory):
    (directory / "config.json").write_text(content)
    refusal(directory, "config.json: must hold a JSON object")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "roberta"}, ["model_type must be 'bert'", "model_type='roberta'"]),
        ({"position_embedding_type": "relative_key"}, ["position_embedding_type must be 'absolute'", "relative_key"]),
        ({"is_decoder": True}, ["is_decoder must be False", "is_decoder=True"]),
        ({"hidden_act": "mish"}, ["hidden_act must be one of gelu, gelu_new", "hidden_act='mish'"]),
        ({"hidden_act": ["gelu"]}, ["hidden_act must be one of gelu, gelu_new", "hidden_act=['gelu']"]),
        ({"hidden_size": None, "vocab_size": None}, ["missing hidden_size, vocab_size"]),
        ({"num_attention_heads": 5}, ["hidden_dim must be divisible by num_heads", "num_heads=5"]),
        ({"num_hidden_layers": 0}, ["num_layers must be above 0"]),
        ({"num_hidden_layers": "2"}, ["num_layers must be an int"]),
        ({"hidden_dropout_prob": 1.5}, ["dropout_rate must be in [0, 1)"]),
        ({"hidden_dropout_prob": None, "layer_norm_eps": "small"}, ["layer_norm_epsilon"]),
        ({"layer_norm_eps": 0}, ["layer_norm_epsilon must be above 0"]),
    ],
)
def test_config_values_that_cannot_be(changes, words, directory):
    configure(directory, **changes)
    refusal(directory, "config.json: ", *words)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hidden_size": 24}, ["do not fit config.json", "has shape (31, 12), config.json says (31, 24)"]),
        ({"vocab_size": 30}, ["word_embeddings.weight has shape (31, 12), config.json says (30, 12)"]),
        ({"vocab_size": 40}, ["word_embeddings.weight has shape (31, 12), config.json says (40, 12)"]),
        ({"intermediate_size": 21}, ["0.intermediate.dense.weight has shape (20, 12), config.json says (21, 12)"]),
        ({"max_position_embeddings": 16}, ["position_embeddings.weight has shape (17, 12)"]),
        ({"type_vocab_size": 3}, ["token_type_embeddings.weight has shape (2, 12), config.json says (3, 12)"]),
        ({"num_hidden_layers": 3}, ["16 of 55", "missing encoder.layer.2.attention.self.query.weight", "8 more"]),
        ({"num_hidden_layers": 1}, ["16 weights have no place in a BERT of 1 layers", "encoder.layer.1.attention"]),
    ],
)
def test_a_config_that_does_not_fit_its_weights(changes, words, directory):
    configure(directory, **changes)
    refusal(directory, "model.safetensors: ", "Use the config.json", *words)


def test_a_missing_weight(directory):
    rewrite(directory, lambda weights: weights.pop("bert.encoder.layer.1.output.dense.bias"))
    refusal(directory, "1 of 39", "missing encoder.layer.1.output.dense.bias", "download the checkpoint again")


def test_half_a_pooler(directory):
    rewrite(directory, lambda weights: weights.pop("bert.pooler.dense.bias"))
    refusal(directory, "missing pooler.dense.bias")


def test_a_stray_weight(directory):
    rewrite(directory, lambda weights: weights.update({"bert.encoder.adapter.weight": np.zeros(3, "float32")}))
    refusal(directory, "1 weights have no place", "encoder.adapter.weight")


def test_one_weight_under_two_names(directory):
    rewrite(directory, lambda weights: weights.update({"embeddings.LayerNorm.gamma": np.zeros(12, "float32")}))
    refusal(directory, "two weights mean embeddings.LayerNorm.weight", "Remove one")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite(value, directory):
    def spoil(weights):
        weights["bert.encoder.layer.0.output.dense.weight"][3, 5] = value

    rewrite(directory, spoil)
    refusal(directory, "encoder.layer.0.output.dense.weight is not finite", "download the checkpoint again")


def test_every_fault_is_reported_at_once(directory):
    def spoil(weights):
        del weights["bert.embeddings.LayerNorm.weight"]
        weights["bert.embeddings.LayerNorm.bias"] = np.zeros(13, "float32")

    rewrite(directory, spoil)
    refusal(directory, "2 of 39", "missing embeddings.LayerNorm.weight", "embeddings.LayerNorm.bias has shape (13,)")


@pytest.mark.parametrize("fault", ["missing", "shape", "stray", "nan"])
def test_nothing_is_assigned_when_refused(fault, directory):
    last = "bert.encoder.layer.1.output.LayerNorm.bias"
    faults = {
        "missing": lambda weights: weights.pop(last),
        "shape": lambda weights: weights.update({last: np.zeros(11, "float32")}),
        "stray": lambda weights: weights.update({"bert.x": np.zeros(11, "float32")}),
        "nan": lambda weights: weights.update({last: np.full(12, np.nan, "float32")}),
    }
    rewrite(directory, faults[fault])
    encoder = build_encoder(golden_config())
    before = encoder.get_weights()
    with pytest.raises(CheckpointError):
        Checkpoint(directory).load_into(encoder)
    assert all(np.array_equal(one, other) for one, other in zip(before, encoder.get_weights(), strict=True))


@pytest.mark.parametrize("id2label", [{"0": "a", "2": "b"}, {"one": "a"}, ["a", "b"]])
def test_labels_without_order(id2label, directory):
    configure(directory, id2label=id2label)
    with pytest.raises(CheckpointError, match=r"config\.json: id2label must"):
        _ = Checkpoint(directory).labels


def test_a_checkpoint_of_something_else(tmp_path):
    directory = write_directory(tmp_path / "model", {"model_type": "bert"}, {"x": np.zeros(2, "float32")})
    refusal(directory, "config.json: missing hidden_size, num_hidden_layers")

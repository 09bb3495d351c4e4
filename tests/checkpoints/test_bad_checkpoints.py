"""A checkpoint that is incomplete, damaged or contradicts itself is refused whole, in one clear message."""

import json
import time
import tracemalloc

import numpy as np
import pytest
import safetensors.numpy

import keras_bert_suite as kbs
from keras_bert_suite.checkpoints import load_weights, open_checkpoint
from keras_bert_suite.errors import CheckpointError
from keras_bert_suite.models import build_encoder
from tests.support.families import make_model
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
        open_checkpoint(tmp_path / "nowhere")


def test_a_file_in_place_of_a_directory(directory):
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        open_checkpoint(directory / "model.safetensors")


def test_no_config(directory):
    (directory / "config.json").unlink()
    refusal(directory, "config.json: not found", "the folder holds model.safetensors", "Hugging Face layout")


def test_no_weights(directory):
    (directory / "model.safetensors").rename(directory / "weights.safetensors")
    refusal(directory, "model.safetensors: not found", "weights.safetensors", "Give the folder with the weights")
    (directory / "weights.safetensors").rename(directory / "pytorch_model.bin")
    refusal(directory, "pytorch_model.bin: damaged or truncated", "neither a zip nor a pickle")


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
        ({"model_type": "t5"}, ["model_type must be one of bert, roberta", "model_type='t5'"]),
        ({"model_type": ["bert"]}, ["model_type must be one of bert, roberta", "model_type=['bert']"]),
        ({"model_type": None, "architectures": ["T5Model"]}, ["model_type must be one of bert, roberta"]),
        ({"position_embedding_type": "relative_key"}, ["position_embedding_type must be 'absolute'", "relative_key"]),
        ({"is_decoder": True}, ["is_decoder must be False", "is_decoder=True"]),
        ({"hidden_act": "mish"}, ["hidden_act must be one of gelu, gelu_new", "hidden_act='mish'"]),
        ({"hidden_act": ["gelu"]}, ["hidden_act must be one of gelu, gelu_new", "hidden_act=['gelu']"]),
        ({"hidden_size": None, "vocab_size": None}, ["missing vocab_size, hidden_size"]),
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
        ({"hidden_size": 24}, ["37 of 39", "embeddings/token/embeddings has shape (31, 12), the config says (31, 24)"]),
        ({"vocab_size": 30}, ["1 of 39", "token/embeddings has shape (31, 12), the config says (30, 12)"]),
        ({"vocab_size": 40}, ["1 of 39", "token/embeddings has shape (31, 12), the config says (40, 12)"]),
        ({"intermediate_size": 21}, ["block_0/feed_forward/intermediate/kernel has shape (12, 20)", "says (12, 21)"]),
        ({"max_position_embeddings": 16}, ["position/embeddings has shape (17, 12), the config says (16, 12)"]),
        ({"type_vocab_size": 3}, ["segment/embeddings has shape (2, 12), the config says (3, 12)"]),
        ({"num_hidden_layers": 3}, ["16 of 55", "missing block_2/self_attention/query/kernel", "8 more"]),
        ({"num_hidden_layers": 1}, ["16 weights have no place", "bert encoder of 1 layers", "encoder.layer.1"]),
        ({"model_type": "roberta"}, ["37 of 37", "missing embeddings/token/embeddings"]),
    ],
)
def test_a_config_that_does_not_fit_its_weights(changes, words, directory):
    configure(directory, **changes)
    refusal(directory, "saved with these weights", *words)


ABSURD = [
    *(
        (family, {key: value})
        for family, keys in {
            "bert": ("hidden_size", "vocab_size", "num_hidden_layers", "max_position_embeddings", "intermediate_size"),
            "albert": ("num_hidden_layers", "num_hidden_groups", "embedding_size"),
            "modernbert": ("num_hidden_layers", "local_attention"),
            "distilbert": ("n_layers", "dim"),
        }.items()
        for key in keys
        for value in (10**9, 10**12, 10**4000)
        if (key, value) != ("local_attention", 10**9)  # every token sees all others: odd and possible
    ),
    *(
        ("bert", {key: value})
        for key in ("hidden_size", "num_attention_heads", "type_vocab_size", "layer_norm_eps", "hidden_dropout_prob")
        for value in (2.5, "12", True, None, [12], {"a": 12}, -1, float("nan"))
        if (key, value) != ("layer_norm_eps", 2.5)
        and not (key == "layer_norm_eps" and value is True)
        and not (value is None and key in ("hidden_size", "num_attention_heads"))
    ),
    ("bert", {"hidden_size": 10**9 + 7, "num_attention_heads": 10**9}),
    ("bert", {"hidden_size": None}),
    ("bert", {"hidden_act": ["gelu"]}),
    ("bert", {"hidden_act": {"name": "gelu"}}),
    ("bert", {"hidden_act": None}),
    ("bert", {"num_labels": 10**12}),
    ("bert", {"num_labels": "many"}),
    ("bert", {"id2label": {"0": "a", "1000000000000": "b"}}),
    ("bert", {"id2label": 3}),
    ("modernbert", {"rope_parameters": 3}),
    ("modernbert", {"rope_parameters": {"full_attention": 3}}),
    ("modernbert", {"rope_parameters": {"full_attention": {"rope_theta": "wide"}}}),
    ("modernbert", {"layer_types": "full"}),
]


@pytest.mark.parametrize(
    ("family", "changes"), ABSURD, ids=[f"{family}-{str(changes)[1:-1]:.60}" for family, changes in ABSURD]
)
def test_absurd_configs_are_refused_at_once(family, changes, tmp_path):
    """Nothing is counted out, multiplied or allocated that only a config asks for."""
    if family == "bert":
        directory = load_golden().write(tmp_path / "model")
    else:
        directory = tmp_path / "model"
        make_model(family, "Model").save_pretrained(directory)
    path = directory / "config.json"
    values = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    path.write_text(json.dumps(values), encoding="utf-8")
    start = time.perf_counter()
    tracemalloc.start()
    try:
        message = refusal(directory)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(message) < 2000
    assert peak < 20e6
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    "content",
    [b"[" * 100_000, b'{"a":' * 100_000, b'{"vocab_size": 1' + b"0" * 5000 + b"}", b"{" + b" " * 100_000_001],
    ids=["lists", "objects", "digits", "huge"],
)
def test_json_that_would_cost_too_much(content, directory):
    (directory / "config.json").write_bytes(content)
    assert len(refusal(directory, "config.json: ")) < 1000


def test_a_missing_weight(directory):
    rewrite(directory, lambda weights: weights.pop("bert.encoder.layer.1.output.dense.bias"))
    refusal(directory, "1 of 39", "missing block_1/feed_forward/output/bias", "download the checkpoint again")


def test_half_a_pooler(directory):
    rewrite(directory, lambda weights: weights.pop("bert.pooler.dense.bias"))
    refusal(directory, "missing pooler/dense/bias")


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
    refusal(directory, "block_0/feed_forward/output/kernel is not finite", "download the checkpoint again")


def test_every_fault_is_reported_at_once(directory):
    def spoil(weights):
        del weights["bert.embeddings.LayerNorm.weight"]
        weights["bert.embeddings.LayerNorm.bias"] = np.zeros(13, "float32")

    rewrite(directory, spoil)
    refusal(directory, "2 of 39", "missing embeddings/norm/gamma", "embeddings/norm/beta has shape (13,)")


@pytest.mark.parametrize("fault", ["missing", "shape", "stray", "nan", "later"])
def test_a_failed_load_leaves_nothing_behind(fault, directory, tmp_path):
    """Loading puts initializers of its own into variables: none of them may outlive it."""
    last = "bert.encoder.layer.1.output.LayerNorm.bias"
    faults = {
        "missing": lambda weights: weights.pop(last),
        "shape": lambda weights: weights.update({last: np.zeros(11, "float32")}),
        "stray": lambda weights: weights.update({"bert.x": np.zeros(11, "float32")}),
        "nan": lambda weights: weights.update({last: np.full(12, np.nan, "float32")}),
    }
    golden = load_golden()
    sound = golden.write(tmp_path / "sound", drop=["classifier."])
    checkpoint = open_checkpoint(directory)
    if fault == "later":  # the file is cut after it was opened
        path = directory / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-500])
    else:
        rewrite(directory, faults[fault])
        refusal(directory)
    if fault in ("later", "nan"):
        with pytest.raises(CheckpointError):
            load_weights(checkpoint, lambda: build_encoder(checkpoint.config))
    assert all(np.isfinite(values).all() for values in build_encoder(golden_config()).get_weights())
    found = kbs.load_encoder(sound).predict_on_batch(golden.inputs)["sequence_output"]
    np.testing.assert_allclose(np.asarray(found), golden.outputs["sequence_output"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("id2label", [{"0": "a", "2": "b"}, {"one": "a"}, ["a", "b"]])
def test_labels_without_order(id2label, directory):
    configure(directory, id2label=id2label)
    with pytest.raises(CheckpointError, match=r"config\.json: id2label must"):
        open_checkpoint(directory)


def test_a_checkpoint_of_something_else(tmp_path):
    directory = write_directory(tmp_path / "model", {"model_type": "bert"}, {"x": np.zeros(2, "float32")})
    refusal(directory, "config.json: missing vocab_size, hidden_size, num_hidden_layers")

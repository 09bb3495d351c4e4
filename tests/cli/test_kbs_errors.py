"""Bad input ends in one line that names file, line, rule and remedy, a code, and nothing written."""

import importlib.util
import json
import shutil

import pytest

HEADER = b"text\tlabel\n"
GOOD = HEADER + b"where is it\ttrack\nstop that\tcancel\nmoney back\trefund\n"


def listing(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def finetune(kbs, model, tmp_path):
    """Run `kbs finetune` on files of these bytes."""

    def run(train=GOOD, *more, dev=None, start=model):
        words = ["finetune", "text-classification", "--model", start, "--epochs", 1]
        for name, content in (("train", train), ("dev", dev)):
            if content is not None:
                path = tmp_path / f"{name}.tsv"
                path.write_bytes(content)
                words += [f"--{name}", path]
        if "--output" not in more:
            words += ["--output", tmp_path / "out"]
        before = listing(tmp_path)
        result = kbs(*words, *more)
        assert listing(tmp_path) == before, "something was left"
        return result

    return run


def check_refused(result, *parts, code=2):
    """Assert one error line that holds all `parts`."""
    found, output, errors = result
    lines = [line for line in errors.splitlines() if line.startswith("kbs: error: ")]
    assert (found, len(lines)) == (code, 1), errors
    assert "Traceback" not in errors
    assert output == "" or json.loads(output) == {"error": lines[0].removeprefix("kbs: error: "), "exit_code": code}
    for part in parts:
        assert part in lines[0]


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (GOOD + b"no label\n", ["train.tsv:5: ", "Expected 2, received 1", "Add the missing tabs"]),
        (GOOD + b"a\tb\tc\n", ["train.tsv:5: ", "Expected 2, received 3", "Take the extra tabs out"]),
        (GOOD + b"a\t\n", ["train.tsv:5: ", "must have a label", "Fill it in"]),
        (b"", ["train.tsv: the file is empty", "header line"]),
        (HEADER, ["train.tsv: the file holds no examples", "Give it"]),
        (b"a\tb\nc\td\n", ["train.tsv:1: ", 'column called "text"', "header line"]),
        (GOOD + b"a\0b\ttrack\n", ["train.tsv:5: NUL byte at byte 2", "Check that"]),
        (GOOD + b"caf\xe9\ttrack\n", ["train.tsv:5: invalid UTF-8: 0xE9 at byte 4", "iconv"]),
        (HEADER + b"a\tx\nb\tx\n", ["train.tsv: ", "at least two different labels", "Add rows"]),
        (GOOD + b"a\tunheard of\n", ["train.tsv:5: ", "'unheard of' (line 5)", "Correct these rows"]),
    ],
)
def test_a_fault_in_the_training_file(finetune, content, parts):
    more = () if b"unheard" in content else ("--replace-head",)
    check_refused(finetune(content, *more), *parts)


def test_an_unknown_label_in_dev(finetune):
    dev = HEADER + b"where\ttrack\nstop\tcancels\n"
    result = finetune(GOOD, "--replace-head", dev=dev)
    check_refused(result, "dev.tsv:3: ", "did you mean 'cancel'?", "Correct these rows")
    assert "Epoch" not in result[1]


def test_json_says_the_same_on_standard_output(finetune):
    code, output, errors = finetune(b"", "--json")
    assert code == 2
    assert json.loads(output)["exit_code"] == 2
    assert f"kbs: error: {json.loads(output)['error']}\n" in errors


def test_a_missing_file(kbs, model, tmp_path):
    for words in (
        ("finetune", "text-classification", "--model", model, "--train", "absent.tsv", "--output", tmp_path / "out"),
        ("evaluate", model, "--data", "absent.tsv"),
        ("predict", model, "--input", "absent.tsv"),
    ):
        check_refused(kbs(*words), "absent.tsv: no such file", "Check the path")
    assert listing(tmp_path) == []


def test_an_output_that_exists(finetune, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    check_refused(finetune(), "out already exists and is not empty", "Choose another path")


def test_an_output_that_cannot_be_written(finetune, tmp_path):
    (tmp_path / "file").touch()
    check_refused(finetune(GOOD, "--output", tmp_path / "file" / "out"), "cannot write", "out: Not a directory")
    check_refused(finetune(GOOD, "--output", tmp_path / "file"), "file is a file", "Choose another path")


def test_a_disk_without_room(finetune, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    result = finetune()
    check_refused(result, "cannot write", "the disk has 0.0 MB left", "Free some space")
    assert "Epoch" not in result[1]


# Models


@pytest.fixture
def broken(model, tmp_path):
    """A copy of the model to break."""
    return shutil.copytree(model, tmp_path / "broken")


def test_a_missing_model(kbs):
    check_refused(kbs("predict", "absent", "--text", "a"), "absent: no such directory", "config.json")


def test_truncated_weights(kbs, broken):
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    check_refused(kbs("predict", broken, "--text", "a"), "model.safetensors: damaged or truncated", "Download")


def test_missing_weights(kbs, broken):
    (broken / "model.safetensors").unlink()
    check_refused(kbs("predict", broken, "--text", "a"), "model.safetensors: not found", "config.json")


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("hidden_size", 48, "weights do not fit the config"),
        ("num_hidden_layers", 2, "weights do not fit the config"),
        ("vocab_size", 1000, "the tokenizer has"),
        ("vocab_size", 20, "tokens"),
        ("num_attention_heads", 5, "num_heads=5"),
        ("hidden_act", "swish9", "hidden_act='swish9'"),
    ],
)
def test_a_config_that_does_not_fit(kbs, broken, name, value, part):
    values = json.loads((broken / "config.json").read_text(encoding="utf-8"))
    assert name in values
    (broken / "config.json").write_text(json.dumps({**values, name: value}), encoding="utf-8")
    check_refused(kbs("predict", broken, "--text", "a"), part)


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_a_config_that_is_no_json_object(kbs, broken, content):
    (broken / "config.json").write_text(content, encoding="utf-8")
    check_refused(kbs("predict", broken, "--text", "a"), "config.json")


# What is not installed


def hide(monkeypatch, *hidden):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name in hidden else find(name, *more))


def test_a_backend_that_is_not_installed(kbs, model, monkeypatch):
    hide(monkeypatch, "jax")
    result = kbs("predict", model, "--text", "a", "--backend", "jax")
    check_refused(result, "backend jax is not installed", 'pip install "keras_bert_suite[jax]"', code=3)


def test_no_backend_at_all(kbs, model, monkeypatch):
    monkeypatch.delenv("KERAS_BACKEND")
    hide(monkeypatch, "tensorflow", "jax", "torch")
    check_refused(kbs("predict", model, "--text", "a"), "no backend is installed", "pip install", code=3)

"""`kbs convert` and `kbs inspect` as a person types them, and what they print and return."""

import json
import subprocess
import sys

import pytest

from tests.test_conversion import files, write_source

KBS = [sys.executable, "-c", "import sys; from keras_bert_suite.cli.main import main; sys.exit(main())"]


def run(*words):
    return subprocess.run(KBS + [str(word) for word in words], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    directory = tmp_path_factory.mktemp("convert") / "source"
    write_source(directory, keras_hub=True, hidden_act="gelu", vocab_size=37)
    return directory


# In a process of their own ---------------------------------------------------------------


def test_convert_and_inspect(source, tmp_path):
    target = tmp_path / "new" / "tf1"
    done = run("convert", source, target, "--to", "tf1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"Saved {target}: huggingface to tf1, text_classifier, float32, with tokenizer.\n"
        "Largest difference of outputs: 0.\n"
    )
    shown = run("inspect", target)
    assert (shown.returncode, shown.stderr) == (0, "")
    lines = dict(line.split(maxsplit=1) for line in shown.stdout.splitlines())
    assert lines == {
        "path": str(target),
        "format": "tf1",
        "family": "bert",
        "encoder": "3 layers, hidden size 12, 3 attention heads, feed-forward size 20, gelu",
        "input": "vocabulary of 37, up to 19 tokens a row, 2 segments",
        "parameters": "4,428 in the encoder, 65 in heads, of type float32",
        "heads": "text classifier",
        "labels": "5: größe 0, größe 1, größe 2, größe 3, größe 4",
        "tokenizer": "WordPiece, 30 tokens, for rows of up to 17 tokens",
        "missing": "nothing",
    }


def test_numbers_that_differ_are_exit_code_1(source, tmp_path):
    words = ("convert", source, tmp_path / "hub", "--to", "kerashub", "--json", "--tolerance")
    refused = run(*words, 1.01e-4)
    assert refused.returncode == 1
    error = json.loads(refused.stdout)
    assert error["exit_code"] == 1
    assert "more than the tolerance of 0.000101. Nothing was written" in error["error"]
    assert f"kbs: error: {error['error']}\n" in refused.stderr
    assert list(tmp_path.iterdir()) == []


# In this process -------------------------------------------------------------------------


def test_json(kbs, source, tmp_path):
    code, out, _ = kbs("convert", source, tmp_path / "hub", "--to", "kerashub", "--json", "--tolerance", 0.05)
    assert code == 0
    result = json.loads(out)
    assert 1e-5 < result.pop("difference") < 0.05
    assert result == {
        "target": str(tmp_path / "hub"),
        "source_format": "huggingface",
        "target_format": "kerashub",
        "heads": ["text_classifier"],
        "dtype": "float32",
        "tokenizer": True,
    }
    code, out, errors = kbs("inspect", tmp_path / "hub", "--json")
    assert (code, errors) == (0, "")
    assert json.loads(out)["sizes"]["activation"] == "gelu_tanh"
    _, out, _ = kbs("inspect", tmp_path / "hub")
    assert "feed-forward size 20, gelu (tanh form)\n" in out


def test_parts_dtype_and_pooling(kbs, source, tmp_path):
    words = ["--dtype", "bfloat16", "--drop", "text_classifier", "pooler", "--pooling", "first"]
    code, out, _ = kbs("convert", source, tmp_path / "st", "--to", "sentence-transformers", *words)
    assert code == 0
    assert "huggingface to sentence-transformers, no head, bfloat16, with tokenizer.\n" in out
    _, out, _ = kbs("inspect", tmp_path / "st")
    assert "0 in heads, of type bfloat16\n" in out
    assert (
        "embeddings  first pooling, 12 dimensions, any length, compared by cosine, texts cut after 17 tokens\n" in out
    )
    assert "heads       none\n" in out
    assert "labels" not in out


def test_what_is_missing_in_words(kbs, source, tmp_path):
    kbs("convert", source, tmp_path / "bare", "--to", "huggingface", "--drop", "text_classifier", "pooler")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "bare" / name).unlink()
    for path in (tmp_path / "bare").glob("vocab.txt"):
        path.unlink()
    code, out, errors = kbs("inspect", tmp_path / "bare")
    assert (code, errors) == (0, "")
    lines = [line.removeprefix("missing").strip() for line in out.splitlines() if line.startswith("missing")]
    assert lines[0].startswith("tokenizer (")
    assert [line.partition(":")[0] for line in lines[1:]] == ["pooler", "head"]


def check_refused(result, *parts):
    code, output, errors = result
    [line] = errors.splitlines()
    assert (code, output) == (2, "")
    assert line.startswith("kbs: error: ")
    for part in parts:
        assert part in line


def test_a_target_that_is_there(kbs, source, tmp_path):
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    words = ("convert", source, tmp_path, "--to", "huggingface")
    check_refused(kbs(*words), str(tmp_path), "already exists and is not empty")
    assert files(tmp_path) == {"mine.txt": b"mine"}
    check_refused(kbs("convert", source, tmp_path / "mine.txt", "--to", "tf1"), "mine.txt is a file")
    assert kbs(*words, "--overwrite")[0] == 0
    assert "mine.txt" not in files(tmp_path)


def test_bad_input(kbs, source, tmp_path):
    check_refused(kbs("convert", tmp_path / "absent", tmp_path / "new", "--to", "tf1"), "absent: no such directory")
    check_refused(
        kbs("convert", source, tmp_path / "new", "--to", "kerashub"), "cannot express activation='gelu'", "tolerance"
    )
    check_refused(
        kbs("convert", source, tmp_path / "new", "--to", "tf1", "--drop", "masked_lm"),
        "drop must be one of 'pooler', 'tokenizer', 'text_classifier'",
    )
    check_refused(kbs("convert", source, tmp_path / "new", "--to", "tf1", "--revision", "v1"), "revision must be left")
    check_refused(kbs("inspect", tmp_path / "absent"), "absent: no such directory")
    check_refused(kbs("inspect", tmp_path), "config.json: not found")
    code, out, _ = kbs("inspect", tmp_path, "--json")
    assert (code, json.loads(out)["exit_code"]) == (2, 2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ["convert", "a", "b"],
        ["convert", "a", "--to", "tf1"],
        ["convert", "a", "b", "--to", "onnx"],
        ["convert", "a", "b", "--to", "tf1", "--tolerance", "0"],
        ["convert", "a", "b", "--to", "tf1", "--dtype", "int8"],
        ["inspect"],
    ],
)
def test_wrong_usage(words, kbs, capsys):
    with pytest.raises(SystemExit) as end:
        kbs(*words)
    assert end.value.code == 2
    assert "usage: kbs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "examples"),
    [
        ("convert", ["kbs convert google-bert/bert-base-cased bert-tf1 --to tf1", "--to kerashub --tolerance 0.02"]),
        ("inspect", ["kbs inspect all-MiniLM-L6-v2", "kbs inspect saved_models/intents --json"]),
    ],
)
def test_help_has_examples(command, examples, kbs, capsys):
    with pytest.raises(SystemExit) as end:
        kbs(command, "--help")
    shown = capsys.readouterr().out
    assert end.value.code == 0
    assert all(example in shown.split("example:\n")[1] for example in examples)

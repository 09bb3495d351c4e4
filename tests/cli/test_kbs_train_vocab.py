"""`kbs train-vocab` as a person types it."""

import gzip
import json
import os

import pytest

from keras_bert_suite.text import load_tokenizer

TEXT = "The lowest of the low rivers.\n\nA newer river, a wider river; the widest rivers.\n" * 3


@pytest.fixture
def files(tmp_path):
    """The same text as plain text, compressed and as JSON Lines."""
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "a.txt").write_text(TEXT, encoding="utf-8")
    (folder / "b.txt.gz").write_bytes(gzip.compress(TEXT.encode()))
    lines = [json.dumps({"body": line}) for line in TEXT.splitlines()]
    (folder / "c.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


def test_a_vocabulary_is_learnt_and_saved(kbs, files, tmp_path):
    code, out, err = kbs("train-vocab", files, "--output", tmp_path / "new", "--size", 60, "--column", "body")
    assert (code, err) == (0, "")
    assert out.startswith(f"Saved {tmp_path / 'new'}: ")
    tokenizer = load_tokenizer(tmp_path / "new")
    assert tokenizer.tokenize("The widest rivers") == ["the", "widest", "rivers"]
    assert tokenizer.max_length == 512


def test_each_form_of_a_text_gives_the_same_vocabulary(kbs, files, tmp_path):
    found = []
    for name in ("a.txt", "b.txt.gz", "c.jsonl"):
        words = ("--size", 50, "--column", "body", "--cased", "--unused", 2, "--reserved", "Ocean", "--json")
        code, out, _ = kbs("train-vocab", files / name, "--output", tmp_path / name, *words)
        assert code == 0
        assert json.loads(out)["files"] == 1
        found.append((tmp_path / name / "tokenizer.json").read_text(encoding="utf-8"))
    assert found[0] == found[1] == found[2]
    assert load_tokenizer(tmp_path / "a.txt").tokenize("Ocean [unused1]")[0] == "Ocean"


def test_what_cannot_be_done_is_refused(kbs, files, tmp_path):
    (tmp_path / "bad.txt").write_bytes(b"good\nb\xff\n")
    (tmp_path / "empty.txt").write_bytes(b"")
    for words, message in [
        ((tmp_path / "none.txt",), "no such file"),
        ((tmp_path / "bad.txt",), "bad.txt:2: invalid UTF-8: 0xFF"),
        ((tmp_path / "empty.txt",), "needs text"),
        ((files / "c.jsonl",), "'text'"),
        ((files / "a.txt", "--size", 6), "vocab_size must hold"),
        ((files / "a.txt", "--strip-accents", "--keep-accents"), "exclude each other"),
    ]:
        code, _, err = kbs("train-vocab", *words, "--output", tmp_path / "new")
        assert (code, message in err) == (2, True), err
        assert not (tmp_path / "new").exists()
    code, _, _ = kbs("train-vocab", tmp_path / "bad.txt", "--output", tmp_path / "new", "--errors", "replace")
    assert code == 0
    assert kbs("train-vocab", files / "a.txt", "--output", tmp_path / "new")[0] == 2


def test_a_pipe_is_refused(kbs, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    code, _, err = kbs("train-vocab", tmp_path / "pipe", "--output", tmp_path / "new")
    assert code == 2
    assert "pipe: a pipe cannot be gone through twice" in err

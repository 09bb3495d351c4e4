"""`kbs pretrain-data`: from files to a corpus, in one command that can be repeated."""

import json

import pytest

from keras_bert_suite.cli.main import main
from keras_bert_suite.data.corpus import Corpus
from tests.support.tiny import tiny_tokenizer

pytest.importorskip("sentencex")

TEXT = "The food was good. It was great.\nAll was fine!\n\nA bad place. One was not at all good.\n\n" * 40


@pytest.fixture
def files(tmp_path):
    tiny_tokenizer().save_pretrained(tmp_path / "vocabulary")
    (tmp_path / "a.txt").write_text(TEXT, encoding="utf-8")
    rows = [json.dumps({"body": text}) for text in TEXT.split("\n\n")]
    (tmp_path / "b.jsonl").write_text("\n".join(rows), encoding="utf-8")
    return tmp_path


def kbs(files, *options, source="a.txt"):
    places = ("--tokenizer", str(files / "vocabulary"), "--output", str(files / "corpus"))
    return main(["pretrain-data", str(files / source), *places, *options])


def split_at_bars(text):
    return text.split("|")


def test_a_corpus_is_written_and_told_of(files, capsys):
    assert kbs(files, "--json", "--max-length", "32") == 0
    result = json.loads(capsys.readouterr().out)
    corpus = Corpus(files / "corpus")
    assert result["rows"] == corpus.num_rows > 80
    assert result["documents"] == 80
    assert result["sentences"] == 200
    assert kbs(files, "--max-length", "32") == 0
    assert f"{corpus.num_rows} rows" in capsys.readouterr().out


def test_options_reach_the_corpus(files):
    code = kbs(
        files, "--kind", "documents", "--copies", "2", "--column", "body", "--seed", "3", "--short-rate", "0.2",
        "--language", "de", "--errors", "replace", "--lines", "paragraphs", "--workers", "2", source="b.jsonl",
    )  # fmt: skip
    assert code == 0
    manifest = Corpus(files / "corpus").manifest
    assert manifest["kind"] == "documents"
    given = {"copies": 2, "column": "body", "seed": 3, "short_rate": 0.2, "language": "de"}
    assert {name: manifest["settings"][name] for name in given} == given


def test_a_segmenter_is_imported_by_name(files):
    assert kbs(files, "--segmenter", "tests.cli.test_pretrain_data:split_at_bars") == 0
    assert Corpus(files / "corpus").manifest["sentences"] == 80
    assert kbs(files, "--segmenter", "nowhere:nothing", "--overwrite") == 2


def test_other_settings_are_refused_by_name(files, capsys):
    assert kbs(files) == 0
    assert kbs(files, "--seed", "1") == 2
    assert "seed 0 -> 1" in capsys.readouterr().err
    assert kbs(files, "--seed", "1", "--overwrite") == 0


def test_bad_text_is_named_in_one_line(files, capsys):
    (files / "a.txt").write_bytes(b"good\n\nba\xffd")
    assert kbs(files) == 2
    assert capsys.readouterr().err.startswith(f"kbs: error: {files / 'a.txt'}:3: invalid UTF-8: 0xFF at byte 3")
    assert kbs(files, "--errors", "replace") == 0

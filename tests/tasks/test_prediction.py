"""Answers come in the caller's order, whatever the lengths and however the texts are given."""

import json
from pathlib import Path

import numpy as np
import pytest

from keras_bert_suite.errors import DataError
from tests.tasks.small import LABELS, examples, write_tsv


@pytest.fixture(scope="module")
def texts():
    return ["", *examples(33, seed=5)[0], "where is my order " * 20]


@pytest.fixture(scope="module")
def probabilities(trained, texts):
    return trained.predict_probabilities(texts)


def test_it_has_learnt_a_trivial_task(trained):
    assert trained.labels == LABELS
    assert trained.evaluate(*examples(90, seed=9))["accuracy"] > 0.95


def test_answers_keep_the_callers_order(trained, texts, probabilities):
    one_by_one = np.concatenate([trained.predict_probabilities([text]) for text in texts])
    np.testing.assert_allclose(probabilities, one_by_one, rtol=0, atol=1e-5)
    assert len({row.tobytes() for row in probabilities.round(4)}) > 20, "answers too alike to show their order"


def test_probabilities_sum_to_1(probabilities):
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)


def test_the_answer_is_the_most_probable_label(trained, texts, probabilities):
    answers = trained.predict(texts)
    assert [answer["label"] for answer in answers] == [LABELS[row.argmax()] for row in probabilities]
    np.testing.assert_allclose([answer["score"] for answer in answers], probabilities.max(axis=1), rtol=1e-6)


def test_a_single_str_is_one_text(trained):
    assert trained.predict("where is my parcel") == trained.predict(["where is my parcel"])


def test_no_texts_give_no_answers(trained):
    assert trained.predict([]) == []
    assert trained.predict(np.array([], dtype=str)) == []
    assert trained.predict_probabilities([]).shape == (0, len(LABELS))


@pytest.mark.parametrize("form", ["array", "tuple", "dict", "path", "str", "txt", "generator"])
def test_texts_in_any_form(trained, texts, probabilities, form, tmp_path):
    texts = texts[1:]  # a blank line in a file of one column is skipped
    if form == "txt":
        given = tmp_path / "texts.txt"
        given.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    else:
        path = write_tsv(tmp_path / "data.tsv", texts, ["label nobody knows"] * len(texts))
        forms = {
            "array": np.array(texts),
            "tuple": tuple(texts),
            "dict": {"text": texts},
            "path": path,
            "str": str(path),
            "generator": list(texts),
        }
        given = forms[form]
    found = trained.predict_probabilities(given)
    np.testing.assert_allclose(found, probabilities[1:], rtol=0, atol=1e-6)


def test_a_file_larger_than_a_chunk_passes_in_order(trained, texts, probabilities, tmp_path, monkeypatch):
    from keras_bert_suite.tasks import inputs, text_classifier

    path = write_tsv(tmp_path / "data.tsv", texts, ["x"] * len(texts))
    monkeypatch.setattr(
        text_classifier, "stream_texts", lambda x, **options: inputs.stream_texts(x, **options, chunk_size=10)
    )
    found = trained.predict_probabilities(path)
    np.testing.assert_allclose(found, probabilities, rtol=0, atol=1e-5)


def test_a_file_in_a_file_out(trained, texts, tmp_path):
    path = write_tsv(tmp_path / "data.tsv", texts, ["x"] * len(texts))
    output = tmp_path / "answers" / "out.jsonl"
    assert trained.predict_file(path, output) == len(texts)
    rows = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert [row.pop("text") for row in rows] == texts
    assert rows == trained.predict(texts)


def test_pairs_of_a_file_are_written_too(trained, tmp_path):
    pairs = [("where is it", "my order"), ("cancel", "größe 中文")]
    path = write_tsv(tmp_path / "data.tsv", pairs, ["x", "x"])
    trained.predict_file(path, tmp_path / "out.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row["text"], row["text_b"]) for row in rows] == pairs
    assert [row["score"] for row in rows] == pytest.approx([row["score"] for row in trained.predict(pairs)], abs=1e-6)


def test_a_fault_in_the_middle_of_a_file_leaves_no_output(trained, tmp_path):
    path = tmp_path / "data.tsv"
    path.write_bytes(b"text\nwhere is it\nca\xffncel\n")
    with pytest.raises(DataError, match=r"data\.tsv:3: invalid UTF-8"):
        trained.predict_file(path, tmp_path / "out.jsonl")
    assert [entry.name for entry in tmp_path.iterdir()] == ["data.tsv"]


def test_a_missing_file_is_not_taken_for_a_text(trained):
    for name in ("absent.tsv", Path("absent")):
        with pytest.raises(DataError, match="absent.*no such file"):
            trained.predict(name)


def test_what_is_no_text_is_refused_with_its_row(trained):
    with pytest.raises(TypeError, match="row 1"):
        trained.predict(["fine", None])
    with pytest.raises(ValueError, match="two texts.*row 1"):
        trained.predict([("a", "b"), ("a", "b", "c")])

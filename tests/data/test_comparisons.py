"""Pairs, scored pairs and triplets are read from any format by the names that the field uses."""

import json

import pytest

from keras_bert_suite.data import Comparison, read_comparisons
from keras_bert_suite.errors import DataError

SCORED = [("It rains.", "Rain falls.", 4.5), ("It rains.", "The sun shines.", 0)]
TRIPLETS = [("a", "b", "c"), ("d, e", "f", 'g "h"')]


def write(path, names, rows):
    """Write rows in the format that the path's suffix says."""
    if path.suffix == ".jsonl":
        text = "".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows)
    elif path.suffix == ".parquet":
        arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        rows = [dict(zip(names, row, strict=True)) for row in rows]
        parquet.write_table(arrow.Table.from_pylist(rows), path)
        return path
    else:

        def cell(value):
            value = str(value)
            return value if path.suffix == ".tsv" else '"' + value.replace('"', '""') + '"'

        separator = "\t" if path.suffix == ".tsv" else ","
        text = "".join(separator.join(map(cell, row)) + "\n" for row in (names, *rows))
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", ["tsv", "csv", "jsonl", "parquet"])
@pytest.mark.parametrize("names", [("text", "text_b", "label"), ("sentence1", "Sentence2", "score")])
def test_scored_pairs(suffix, names, tmp_path):
    rows = [(*texts, float(score)) for *texts, score in SCORED] if suffix == "parquet" else SCORED
    found = list(read_comparisons(write(tmp_path / f"train.{suffix}", names, rows)))
    assert [(row.text, row.text_b, row.text_c, row.score) for row in found] == [
        ("It rains.", "Rain falls.", None, 4.5),
        ("It rains.", "The sun shines.", None, 0.0),
    ]


@pytest.mark.parametrize("suffix", ["tsv", "csv", "jsonl", "parquet"])
@pytest.mark.parametrize("names", [("anchor", "positive", "negative"), ("text", "text_b", "text_c")])
def test_triplets(suffix, names, tmp_path):
    found = list(read_comparisons(write(tmp_path / f"train.{suffix}", names, TRIPLETS)))
    assert [row[:3] for row in found] == TRIPLETS
    assert {row.score for row in found} == {None}


def test_pairs_have_no_score_where_no_column_says_so(tmp_path):
    path = write(tmp_path / "faq.csv", ("answer", "question", "id"), [("Yes.", "Is it?", 7)])
    assert list(read_comparisons(path)) == [Comparison("Is it?", "Yes.", None, None, 2)]


def test_columns_may_be_chosen_by_name_and_by_position(tmp_path):
    path = write(tmp_path / "train.tsv", ("one", "two", "three"), [("a", "b", "c")])
    chosen = {"text": "three", "text_b": "one"}
    assert list(read_comparisons(path, columns=chosen)) == [Comparison("c", "a", None, None, 2)]
    chosen = {"text": "one", "text_b": "two", "text_c": "three"}
    assert list(read_comparisons(path, columns=chosen)) == [Comparison("a", "b", "c", None, 2)]
    path = write(tmp_path / "bare.tsv", ("0.5", "x", "y"), [("1", "z", "w")])
    chosen = {"text": 1, "text_b": 2, "label": 0}
    assert [row.score for row in read_comparisons(path, columns=chosen)] == [0.5, 1.0]
    assert [row.score for row in read_comparisons(path, columns={"text": 1, "text_b": 2})] == [None, None]


@pytest.mark.parametrize("name", ["category", "class", "intent", "Target"])
@pytest.mark.parametrize("value", ["billing", "2"])
def test_labels_that_are_no_scores_are_left_unread(name, value, tmp_path):
    path = write(tmp_path / "faq.csv", ("question", "answer", name), [("Is it?", "Yes.", value)])
    assert list(read_comparisons(path)) == [Comparison("Is it?", "Yes.", None, None, 2)]
    if value == "2":
        assert [row.score for row in read_comparisons(path, columns={"label": name})] == [2.0]


@pytest.mark.parametrize("name", ["score", "Similarity", "is_duplicate", "Quality"])
def test_columns_without_a_label_mean_pairs_without_scores(name, tmp_path):
    path = write(tmp_path / "pairs.tsv", ("question1", "question2", name), [("a", "b", "1")])
    assert [row.score for row in read_comparisons(path)] == [1.0]
    for columns in ({"text": "question1", "text_b": "question2"}, {"text_b": "question2", "text": "question1"}):
        assert [row[:4] for row in read_comparisons(path, columns=columns)] == [("a", "b", None, None)]
        assert [row.score for row in read_comparisons(path, columns={**columns, "label": name})] == [1.0]


def test_a_label_may_be_left_unread(tmp_path):
    path = write(tmp_path / "train.tsv", ("text", "text_b", "label"), [("a", "b", "entailment")])
    assert list(read_comparisons(path, columns={"label": None})) == [Comparison("a", "b", None, None, 2)]


@pytest.mark.parametrize(
    ("names", "row", "columns", "message"),
    [
        (("text", "label"), ("a", "1"), None, "\"text\" and \"text_b\" are needed.*'text', 'label'"),
        (("text", "text_b", "score"), ("a", "b", "high"), None, r"tsv:2: a score must be.*'high'.*alone: columns"),
        (("text", "text_b", "score"), ("a", "b", "nan"), None, "a score must be a finite number"),
        (("text", "text_b", "score"), ("a", "b", ""), None, "train.tsv:2: each row must have a label"),
        (("text", "text_b"), ("a", "b"), {"text_d": "text"}, "keys must be among text, text_b, text_c, label"),
        (("a", "b", "c", "d"), "abcd", dict(text="a", text_b="b", text_c="c", label="d"), "has no score"),
    ],
)
def test_what_is_refused(names, row, columns, message, tmp_path):
    path = write(tmp_path / "train.tsv", names, [row])
    with pytest.raises(ValueError, match=message):
        list(read_comparisons(path, columns=columns))


def test_files_that_are_not_there_or_of_no_format(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_comparisons(tmp_path / "train.tsv")
    (tmp_path / "train.xyz").write_text("a", encoding="utf-8")
    with pytest.raises(DataError, match="columns called|suffix"):
        read_comparisons(tmp_path / "train.xyz")

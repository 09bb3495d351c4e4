"""Spans are scored as seqeval scores them, and shown in their texts whatever these hold."""

import json

import numpy as np
import pytest

from keras_bert_suite.data.tag_schemes import tags_to_spans
from keras_bert_suite.reports import Report, span_scores, write_report
from tests.reports.test_report import HOSTILE, Page


def test_scores_are_those_of_seqeval():
    metrics = pytest.importorskip("seqeval.metrics")
    rng = np.random.default_rng(0)
    tags = ["O", "O", "B-PER", "I-PER", "B-LOC", "I-LOC", "S-ORG", "E-PER"]
    for seed in range(20):
        rng = np.random.default_rng(seed)
        true = [rng.choice(tags, rng.integers(1, 12)).tolist() for _ in range(8)]
        found = [[str(rng.choice([tag, *tags])) for tag in row] for row in true]
        ours = span_scores(*([tags_to_spans(row) for row in rows] for rows in (true, found)))
        theirs = metrics.classification_report(true, found, output_dict=True, zero_division=0)
        names = {"precision": "precision", "recall": "recall", "f1": "f1-score"}
        for name, foreign in names.items():
            for index, label in enumerate(ours["labels"]):
                assert ours[name][index] == pytest.approx(theirs[label][foreign])
            for mean in ("micro", "macro", "weighted"):
                assert ours[mean][name] == pytest.approx(theirs[f"{mean} avg"][foreign])
        assert ours["support"] == [theirs[label]["support"] for label in ours["labels"]]


def test_no_spans_at_all_score_0():
    scores = span_scores([[], []], [[], []])
    assert scores["labels"] == []
    assert scores["micro"] == scores["macro"] == scores["weighted"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0}


def tagged_page(tmp_path, rows):
    report = Report("Names", tagged=rows)
    write_report(tmp_path / "report.html", report, tmp_path / "report.json")
    return (tmp_path / "report.html").read_text(encoding="utf-8"), json.loads(
        (tmp_path / "report.json").read_text(encoding="utf-8")
    )


def test_spans_are_marked_in_their_text(tmp_path):
    row = {
        "text": "Ada met Grace in Paris",
        "true": [(0, 3, "PER"), (8, 13, "PER"), (17, 22, "LOC")],
        "predicted": [(0, 3, "PER"), (17, 22, "ORG")],
    }
    source, facts = tagged_page(tmp_path, [row])
    page = Page(source)
    assert "Spans in their texts" in page.words
    kinds = [value for name, value in page.attributes if name == "class" and value in ("hit", "wrong", "missed")]
    assert kinds == ["hit", "wrong", "hit", "missed", "missed"]
    assert '<mark class="wrong">Paris<small><bdi>ORG</bdi></small></mark>' in source
    assert '<mark class="missed">Grace<small><bdi>PER</bdi></small></mark>' in source
    assert facts["tagged"][0]["predicted"] == [[0, 3, "PER"], [17, 22, "ORG"]]


def test_a_text_without_a_mistake_has_one_line(tmp_path):
    source, _ = tagged_page(tmp_path, [{"text": "Ada", "true": [(0, 3, "PER")], "predicted": [(0, 3, "PER")]}])
    assert source.count('<span class="which">') == 1


def test_whatever_a_text_holds_is_only_shown(tmp_path):
    text = f"a\r\nb {HOSTILE} end"
    start = text.index("end")
    row = {"text": text, "true": [(start, start + 3, HOSTILE)], "predicted": [(0, 1, "<b>")]}
    source, _ = tagged_page(tmp_path, [row])
    page = Page(source)
    assert not {"script", "img", "b"} & set(page.tags)
    assert '<mark class="missed">end<small>' in source


def test_of_a_long_text_the_part_with_mistakes_is_shown(tmp_path):
    text = "x " * 3000 + "Ada " + "y " * 3000
    source, _ = tagged_page(tmp_path, [{"text": text, "true": [(6000, 6003, "PER")], "predicted": []}])
    assert source.count("x ") < 400
    assert '<mark class="missed">Ada<small>' in source
    assert "… " in source

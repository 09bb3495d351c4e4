"""Reports are valid, self-contained and safe whatever the data holds; scores are those of scikit-learn."""

import html.parser
import json
import re

import numpy as np
import pytest

from keras_bert_suite.reports import (
    SECTIONS,
    Report,
    classification_scores,
    confusion_matrix,
    most_confused,
    write_report,
)
from keras_bert_suite.reports.charts import nice_ticks
from keras_bert_suite.reports.markup import number, section, text

HOSTILE = '<script>alert("x")</script> & \0 \x1b[31m \ud800 \u202e \ufffe עברית 🤷🏽‍♀️ \'"><img src=x onerror=y>'
HISTORY = {
    "loss": [0.6, 0.3, 0.2],
    "accuracy": [0.7, 0.85, 0.92],
    "val_loss": [0.4, 0.35, 0.37],
    "val_accuracy": [0.8, 0.88, 0.86],
    "learning_rate": [4e-5, 2e-5, 0.0],
}


class Page(html.parser.HTMLParser):
    """Tags, attributes and text of a document; raises at one that is not closed in turn."""

    def __init__(self, source):
        super().__init__()
        self.open, self.tags, self.attributes, self.texts = [], [], [], []
        self.feed(source)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.texts).split())


def written(tmp_path, report, **options):
    write_report(tmp_path / "report.html", report, **options)
    source = (tmp_path / "report.html").read_bytes().decode("utf-8")
    found = Page(source)
    assert "script" not in found.tags
    assert not {"src", "href", "onerror"} & {name for name, _ in found.attributes}
    assert not re.search(r"https?:|url\(|@import", source)
    assert not re.search("[\0-\x08\x0b\x0c\x0e-\x1f]", source)
    assert source.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert found.tags.count("caption") == found.tags.count("table")
    assert found.tags.count("desc") == found.tags.count("svg") == found.tags.count("title") - 1
    return found


def random_report(num_labels, **options):
    rng = np.random.default_rng(num_labels)
    true = rng.integers(0, num_labels, 40 * num_labels)
    predicted = np.where(rng.random(len(true)) < 0.8, true, rng.integers(0, num_labels, len(true)))
    labels = [f"label_{index}" for index in range(num_labels)]
    return Report("Some labels", labels=labels, confusion=confusion_matrix(true, predicted, num_labels), **options)


def test_a_report_of_nothing_is_a_title(tmp_path):
    page = written(tmp_path, Report("Nothing yet"))
    assert page.words == "Nothing yet Nothing yet"  # of the window and of the page
    assert page.tags.count("section") == 0


def test_the_whole_report_holds_every_fact(tmp_path):
    report = Report(
        "Film reviews",
        summary={
            "accuracy": 0.9134,
            "parameters": 22713728,
            "seed": "42",
            "mixed": True,
            "unknown": None,
            "ids": [1, 2],
        },
        history=HISTORY,
        labels=["negative", "positive"],
        confusion=[[1431, 69], [12, 988]],
        mistakes=[
            {"text": "fine", "true": "negative", "predicted": "positive", "score": 0.7},
            {"text": "worst", "text_b": "pair", "true": "positive", "predicted": "negative", "score": 0.99},
        ],
        warnings=["2 texts were cut."],
    )
    page = written(tmp_path, report)
    for words in ("0.9134", "22,713,728", "seed 42", "mixed yes", "ids 1, 2", "2 texts were cut.", "1,431 95%", "69 5%",
                  "81 errors among 2,500 examples", "Lowest in validation: 0.3500, epoch 2.", "learning rate (×10⁻⁵)",
                  "Highest in validation: 0.8800, epoch 2."):  # fmt: skip
        assert words in page.words
    assert "unknown" not in page.words
    assert page.words.index("worst") < page.words.index("fine")  # most certain first
    assert page.tags.count("svg") == 3


@pytest.mark.parametrize(("num_labels", "cells"), [(2, 4), (14, 196), (30, 900)])
def test_up_to_thirty_labels_have_the_whole_matrix(tmp_path, num_labels, cells):
    report = random_report(num_labels)
    written(tmp_path, report)
    source = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert len(re.findall(r'<td class="(?:hit|miss|zero)"', source)) == cells
    shown = [int(value) for value in re.findall(r'<td class="(?:hit|miss)"[^>]*>(\d+)<', source)]
    assert shown == report.confusion[report.confusion > 0].tolist()


def test_many_labels_have_their_most_confused_pairs(tmp_path):
    report = random_report(150)
    page = written(tmp_path, report)
    assert "Confusion matrix" not in page.words
    row, column, count = most_confused(report.confusion)[0]
    assert f"label_{row} label_{column} {count} {count / report.confusion[row].sum():.1%}" in page.words
    assert "The 20 labels with the lowest F1" in page.words
    assert all(f"label_{index} " in page.words for index in range(150))


def test_hostile_words_are_only_words(tmp_path):
    report = Report(
        HOSTILE,
        summary={HOSTILE: HOSTILE},
        history={HOSTILE: [1.0, 2.0], "loss": [1.0, 0.5]},
        labels=[HOSTILE, "b" * 500],
        confusion=[[1, 2], [3, 4]],
        mistakes=[{"text": HOSTILE * 20, "text_b": HOSTILE, "true": HOSTILE, "predicted": "b", "score": float("nan")}],
        warnings=[HOSTILE],
    )
    page = written(tmp_path, report, json_path=tmp_path / "report.json")
    assert '<script>alert("x")</script>' in page.words
    assert "img" not in page.tags
    assert "🤷🏽‍♀️" in page.words
    found = json.loads((tmp_path / "report.json").read_bytes().decode("utf-8"))
    assert found["labels"][0] == HOSTILE.replace("\0", "\ufffd").replace("\x1b", "\ufffd").replace("\ud800", "\ufffd") \
        .replace("\ufffe", "\ufffd")  # fmt: skip


def test_texts_have_their_own_direction_and_long_ones_are_folded(tmp_path):
    mistakes = [
        {"text": "שלום עולם", "true": "a", "predicted": "b"},
        {"text": "word " * 200, "true": "a", "predicted": "b"},
    ]
    page = written(tmp_path, Report("Texts", mistakes=mistakes))
    assert page.attributes.count(("dir", "auto")) == 3
    assert page.tags.count("details") == 1
    assert "Whole text, 1,000 characters" in page.words
    assert ("word " * 200).strip() in page.words


def test_answers_that_share_least_come_first(tmp_path):
    mistakes = [
        {"text": "half right", "true": "a b", "predicted": "a", "score": 0.9, "f1": 50.0},
        {"text": "unsure", "true": "a", "predicted": "c", "score": 0.1, "f1": 0.0},
        {"text": "sure", "true": "a", "predicted": "c", "score": 0.4, "f1": 0.0},
    ]
    words = written(tmp_path, Report("Questions", mistakes=mistakes)).words
    assert words.index("sure") < words.index("unsure") < words.index("half right")


def test_one_epoch_is_a_table(tmp_path):
    page = written(tmp_path, Report("One", history={name: values[:1] for name, values in HISTORY.items()}))
    assert "svg" not in page.tags
    assert "1 0.6000 0.7000 0.4000 0.8000 4e-05" in page.words


@pytest.mark.parametrize("history", [{}, {"loss": []}, {"loss": [None, None]}])
def test_a_history_without_numbers_has_no_chart(tmp_path, history):
    assert "svg" not in written(tmp_path, Report("Empty", history=history)).tags


def test_a_curve_stops_where_it_has_no_number_and_says_so(tmp_path):
    history = {"loss": [1.0, 0.5, float("nan"), 0.4, float("inf"), 0.3], "val_loss": [None, 1, None, 2, None, 3]}
    page = written(tmp_path, Report("Gaps", history=history))
    assert "loss is not a finite number in epoch 3, 5." in page.words
    assert page.tags.count("polyline") == 1  # only epochs 1 and 2 are neighbors
    assert page.tags.count("circle") == 4
    assert "nan" not in str(page.attributes)


def test_values_that_cannot_be_placed_are_told_of_not_guessed(tmp_path):
    page = written(tmp_path, Report("Frequency", history={"loss": [3.0, 2.0, 1.0, 0.5], "val_loss": [2.0, 1.0]}))
    assert "validation loss has 2 values for 4 epochs, not shown." in page.words


def test_a_resumed_history_keeps_its_epoch_numbers(tmp_path):
    page = written(tmp_path, Report("Resumed", history={"epoch": [3, 4, 5], "loss": [3.0, 2.0, 1.0]}))
    assert "Lowest in training: 1.000, epoch 6." in page.words


def test_points_lie_where_the_axis_says(tmp_path):
    """Read the axis of the drawing as an eye does, and find the values again."""
    write_report(tmp_path / "report.html", Report("Chart", history={"loss": [0.63, 0.31, 0.2]}))
    source = (tmp_path / "report.html").read_text(encoding="utf-8")
    ticks = [
        (float(value), float(y) - 4) for y, value in re.findall(r'y="([\d.]+)" text-anchor="end">([\d.]+)<', source)
    ]
    (low, low_y), (high, high_y) = ticks[0], ticks[-1]
    heights = [float(y) for y in re.findall(r'<circle class="dot one" cx="[\d.]+" cy="([\d.]+)"', source)]
    read = [low + (y - low_y) / (high_y - low_y) * (high - low) for y in heights]
    np.testing.assert_allclose(read, [0.63, 0.31, 0.2], atol=0.002)
    assert low == 0


def test_regression_shows_predicted_against_true(tmp_path):
    rng = np.random.default_rng(0)
    true = rng.normal(size=5000)
    predicted = true + 0.1
    predicted[0] = np.nan
    page = written(tmp_path, Report("Similarity", true_values=true, predicted_values=predicted))
    assert "4,999 examples, mean absolute error 0.1000, Pearson correlation 1.000" in page.words
    assert page.tags.count("circle") == 3000


def test_a_section_of_ones_own(tmp_path):
    def spans(report):
        return section("Spans", f"<p>{text(report.title)} & co</p>".replace("& co", "&amp; co"))

    page = written(tmp_path, Report("<Own>"), sections=(*SECTIONS, spans))
    assert page.words.endswith("Spans <Own> & co")


def test_the_json_file_holds_the_same_facts(tmp_path):
    report = random_report(3, history={"loss": [np.float32(0.5), float("nan")]}, summary={"accuracy": np.float64(0.8)})
    write_report(tmp_path / "report.html", report, json_path=tmp_path / "report.json")
    found = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert found["history"] == {"loss": [0.5, None]}
    assert found["summary"] == {"accuracy": 0.8}
    assert found["confusion"] == report.confusion.tolist()
    assert found["scores"] == report.scores
    assert "mistakes" not in found


def test_a_report_that_fails_leaves_the_old_one(tmp_path):
    write_report(tmp_path / "report.html", Report("Old"))
    with pytest.raises(ZeroDivisionError):
        write_report(tmp_path / "report.html", Report("New"), sections=[lambda report: 1 / 0])
    assert "Old" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_parts_that_contradict_each_other_are_refused():
    with pytest.raises(ValueError, match=r"Report: labels must have one name .* Received: 1 for 2\."):
        Report("Wrong", labels=["a"], confusion=[[1, 0], [0, 1]])
    with pytest.raises(ValueError, match=r"Report: confusion must be a square matrix .* shape \(1, 2\)"):
        Report("Wrong", confusion=[[1, 0]])
    with pytest.raises(ValueError, match=r"true_values and predicted_values .* \(2,\), \(3,\)"):
        Report("Wrong", true_values=[1.0, 2.0], predicted_values=[1.0, 2.0, 3.0])
    with pytest.raises(
        ValueError, match=r"predicted must hold ints from 0 to 1\. Received: dtype int64, values from 0 to 2"
    ):
        confusion_matrix([0, 1], [2, 0], num_labels=2)


@pytest.mark.parametrize("num_labels", [2, 14, 150])
def test_scores_are_those_of_scikit_learn(num_labels):
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(num_labels)
    true = rng.integers(0, max(num_labels - 2, 1), 300)  # some labels occur nowhere, some are never predicted
    predicted = np.where(rng.random(300) < 0.6, true, rng.integers(0, num_labels - 1, 300))
    matrix = confusion_matrix(true, predicted, num_labels)
    names = list(range(num_labels))
    np.testing.assert_array_equal(matrix, metrics.confusion_matrix(true, predicted, labels=names))
    report = metrics.classification_report(true, predicted, labels=names, output_dict=True, zero_division=0)
    scores = classification_scores(matrix)
    assert scores["accuracy"] == pytest.approx(metrics.accuracy_score(true, predicted))
    for ours, theirs in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score"), ("support", "support")):
        np.testing.assert_allclose(scores[ours], [report[str(name)][theirs] for name in names], rtol=1e-12)
        if ours != "support":
            assert scores["macro"][ours] == pytest.approx(report["macro avg"][theirs], rel=1e-12)
            assert scores["weighted"][ours] == pytest.approx(report["weighted avg"][theirs], rel=1e-12)


def test_nothing_to_divide_is_zero():
    scores = classification_scores(np.zeros((3, 3), int))
    assert scores["f1"] == [0.0, 0.0, 0.0]
    assert scores["accuracy"] == scores["macro"]["f1"] == scores["weighted"]["f1"] == 0.0


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.91342, "0.9134"), (12.3456, "12.35"), (1234.5, "1,234"), (22713728, "22,713,728"), (2e-5, "2e-05"), (0.0, "0"),
     (-1.5, "-1.500"), (float("nan"), "not a number"), (float("-inf"), "−infinite")],
)  # fmt: skip
def test_numbers_have_four_digits(value, shown):
    assert number(value) == shown


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (0.9, 0.95), (-3, 8), (5, 5), (0, 0), (-2, -2), (0, 1e4), (1, 1 + 1e-15)]
)
def test_ticks_enclose_the_values_in_equal_round_steps(low, high):
    ticks = nice_ticks(low, high)
    assert ticks[0] <= low <= high <= ticks[-1]
    assert 3 <= len(ticks) <= 9
    steps = np.diff(ticks)
    np.testing.assert_allclose(steps, steps[0], rtol=1e-6)
    assert float(f"{steps[0]:.3g}") in [factor * 10.0**power for power in range(-5, 5) for factor in (1, 2, 5)]

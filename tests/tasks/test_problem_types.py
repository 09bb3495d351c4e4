"""Several labels a text, numbers, and labels that count for more: trained, scored, saved and opened elsewhere."""

import json

import keras
import numpy as np
import pytest

from keras_bert_suite import DataError, TextClassifier
from keras_bert_suite.reports import multi_label_scores, write_report
from keras_bert_suite.tasks.inputs import Texts
from keras_bert_suite.tasks.problems import MultiLabel, Regression, SingleLabel, problem_of
from tests.support.selection import slow_to_compile
from tests.tasks.small import KEYWORDS, LABELS, examples, small_classifier

pytestmark = pytest.mark.per_backend


def new_classifier(**settings):
    """A classifier that does not know its labels."""
    classifier = small_classifier()
    return TextClassifier(classifier.encoder, classifier.tokenizer, max_length=32, **settings)


def with_several_labels(count):
    """Texts of one to three keywords, or none, and the list of their labels."""
    rng = np.random.default_rng(0)
    texts, labels = [], []
    for _ in range(count):
        chosen = [label for label in LABELS if rng.random() < 0.4]
        words = ["my", "order", "is", "soon", *(str(rng.choice(KEYWORDS[label])) for label in chosen)]
        texts.append(" ".join(rng.permutation(words)))
        labels.append(chosen)
    return texts, labels


@pytest.fixture(scope="module")
def several():
    texts, labels = with_several_labels(240)
    classifier = new_classifier()
    classifier.compile(learning_rate=5e-3)
    dev = (texts[:60], labels[:60])
    classifier.fit(texts, labels, validation_data=dev, epochs=16, batch_size=16, seed=1, verbose=0)
    return classifier


@slow_to_compile
def test_several_labels_are_learnt_and_saved(several, tmp_path):
    texts, labels = with_several_labels(60)
    assert several.problem_type == "multi_label_classification"
    scores = several.evaluate(texts, labels)
    assert list(scores) == list(several.score_names)
    assert scores["f1"] > 0.9
    answers = several.predict(texts)
    right = [
        {one["label"] for one in answer["labels"]} == set(wanted)
        for answer, wanted in zip(answers, labels, strict=True)
    ]
    assert np.mean(right) == pytest.approx(scores["accuracy"])

    several.save_pretrained(tmp_path / "saved")
    again = TextClassifier.from_pretrained(tmp_path / "saved")
    assert again.predict(texts) == answers
    np.testing.assert_allclose(again.thresholds, several.thresholds, atol=1e-5)
    write_report(tmp_path / "report.html", several.report(texts, labels), tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text())["summary"]["f1"] == pytest.approx(scores["f1"])


def test_a_new_head_begins_with_how_likely_its_labels_are():
    texts = ["cancel it", "money and parcel", "nothing", "money"]
    labels = [["cancel"], ["refund", "track"], [], ["refund"]]
    classifier = new_classifier(labels=[*LABELS, "never"], problem_type="multi_label_classification")
    classifier.compile(learning_rate=1e-9)
    bias = classifier.model.get_layer("classifier").bias
    classifier.fit(texts, labels, epochs=1, seed=1, verbose=0)
    counts = np.array([sum(name in each for each in labels) for name in classifier.labels])
    likely = (counts + 1) / 6
    np.testing.assert_allclose(keras.ops.convert_to_numpy(bias), np.log(likely / (1 - likely)), atol=1e-5)

    classifier.fit(["stop"], [["never"]], epochs=1, seed=1, verbose=0)  # what is trained goes on
    np.testing.assert_allclose(keras.ops.convert_to_numpy(bias), np.log(likely / (1 - likely)), atol=1e-5)


@slow_to_compile
def test_transformers_gives_the_same_probabilities(several, tmp_path):
    transformers = pytest.importorskip("transformers")
    import torch

    several.save_pretrained(tmp_path / "saved")
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved").eval()
    assert theirs.config.problem_type == "multi_label_classification"
    tokens = transformers.AutoTokenizer.from_pretrained(tmp_path / "saved")(["stop my money"], return_tensors="pt")
    with torch.no_grad():
        expected = torch.sigmoid(theirs(**tokens).logits).numpy()
    np.testing.assert_allclose(several.predict_probabilities(["stop my money"]), expected, atol=1e-6)


@slow_to_compile
def test_files_give_lists_or_parts(tmp_path):
    lines = [{"text": "cancel it", "label": ["cancel"]}, {"text": "money and parcel", "label": ["refund", "track"]}]
    (tmp_path / "lists.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    (tmp_path / "parts.tsv").write_text(
        "text\tlabel\ncancel it\tcancel\nmoney and parcel\trefund|track\nnothing\t\n", encoding="utf-8"
    )
    for name, settings in (("lists.jsonl", {}), ("parts.tsv", {"problem_type": "multi_label_classification"})):
        classifier = new_classifier(**settings)
        classifier.fit(tmp_path / name, epochs=1, seed=1, verbose=0)
        assert classifier.labels == LABELS
        assert classifier.problem is MultiLabel


def test_a_number_is_learnt_and_saved(tmp_path):
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 6, 160)
    texts = [" ".join(["money"] * count + ["please"] * (6 - count)) for count in counts]
    classifier = new_classifier(problem_type="regression")
    classifier.compile(learning_rate=3e-3)
    numbers = (counts / 5).tolist()
    classifier.fit(texts, numbers, epochs=10, batch_size=16, seed=1, verbose=0)
    scores = classifier.evaluate(texts, numbers)
    assert list(scores) == list(classifier.score_names)
    assert scores["pearson"] > 0.9
    classifier.save_pretrained(tmp_path / "saved")
    again = TextClassifier.from_pretrained(tmp_path / "saved")
    assert again.problem is Regression
    found = again.predict(texts[:3])
    assert [set(answer) for answer in found] == [{"score"}] * 3
    assert classifier.report(texts, numbers).true_values is not None


def test_correlations_are_scipys():
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    found, right = rng.normal(size=50).round(1), rng.normal(size=50).round(1)
    scores = Regression.scores(found[:, None], right[:, None], None)
    assert scores["pearson"] == pytest.approx(stats.pearsonr(found, right)[0])
    assert scores["spearman"] == pytest.approx(stats.spearmanr(found, right)[0])
    assert Regression.scores(np.ones((3, 1)), np.ones((3, 1)), None)["pearson"] == 0


def test_scores_of_several_labels_are_scikit_learns():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    true, predicted = rng.random((40, 4)) < 0.3, rng.random((40, 4)) < 0.4
    ours = multi_label_scores(true, predicted)
    for average in ("micro", "macro", "weighted"):
        theirs = metrics.precision_recall_fscore_support(true, predicted, average=average, zero_division=0)
        assert list(ours[average].values()) == pytest.approx(theirs[:3])
    assert ours["accuracy"] == metrics.accuracy_score(true, predicted)


def test_thresholds_are_the_best_there_are():
    rng = np.random.default_rng(0)
    probabilities = rng.random((30, 5)).round(1)
    targets = (rng.random((30, 5)) < 0.4).astype("float32")
    targets[:, 4] = 0
    found = MultiLabel.choose_thresholds(probabilities, targets)

    def f1(threshold, column):
        chosen = probabilities[:, column] >= threshold
        return 2 * (chosen * targets[:, column]).sum() / max(chosen.sum() + targets[:, column].sum(), 1)

    for column in range(4):
        best = max(f1(threshold, column) for threshold in np.linspace(0, 1, 101))
        assert f1(found[column], column) == pytest.approx(best)
    assert found[4] == 0.5


@slow_to_compile
def test_rare_labels_can_count_for_more():
    texts, labels = examples(24)
    classifier = new_classifier(labels=LABELS)
    examples_read = classifier._read(texts[:20], labels[:20])
    weights = classifier._example_weights(examples_read, "balanced")
    counts = {label: labels[:20].count(label) for label in LABELS}
    np.testing.assert_allclose(weights, [20 / (3 * counts[label]) for label in labels[:20]], rtol=1e-6)
    weights = classifier._example_weights(examples_read, {"cancel": 2.0})
    assert {weight for weight, label in zip(weights, labels, strict=False) if label == "cancel"} == {2.0}
    classifier.compile(learning_rate=1e-3)
    classifier.fit(texts, labels, class_weight={"cancel": 0.0}, epochs=1, seed=1, verbose=0)


@pytest.mark.parametrize("suffix", ["tsv", "jsonl"])
def test_scores_are_no_classes_though_some_are_whole(tmp_path, suffix):
    path = tmp_path / f"scores.{suffix}"
    scores = [5.0, 3.8, 2.25, 0.0, 1.5]
    if suffix == "tsv":
        lines = ["text\tlabel", *(f"a\t{score}" for score in scores)]
    else:
        lines = [json.dumps({"text": "a", "label": score}) for score in scores]
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(DataError, match="look like numbers, not names.*Received: .*Choose the problem type"):
        new_classifier().fit(path, verbose=0)
    for labels in (scores, [5, 3.8], ["5", "3.8"]):
        with pytest.raises(DataError, match="look like numbers"):
            new_classifier().fit(["a"] * len(labels), labels, verbose=0)
    for labels in (["5", "3.8", "none"], [5, 3], ["+5", "-3"]):
        assert problem_of(Texts(["a"] * len(labels), labels=labels)) is SingleLabel


@pytest.mark.parametrize("dtype", ["int64", "bool", "float32", "U1"])
@pytest.mark.parametrize("names", [None, ["a", "b", "c"]])
def test_rows_of_0_and_1_are_no_lists_of_names(tmp_path, dtype, names):
    flags = np.array([[1, 0, 1], [0, 1, 0]]).astype(dtype)
    classifier = new_classifier(labels=names, problem_type=names and "multi_label_classification")
    with pytest.raises(DataError, match="must have the names of its labels. Received: 0 or 1 for each label.*Use"):
        classifier.fit(["a", "b"], flags, verbose=0)
    if dtype == "U1":
        return
    path = tmp_path / "flags.jsonl"
    path.write_text("\n".join(json.dumps({"text": "a", "label": row.tolist()}) for row in flags), encoding="utf-8")
    with pytest.raises(DataError, match="flags.jsonl: each text must have the names of its labels"):
        classifier.fit(path, verbose=0)


def test_lists_of_numbers_are_names():
    for labels in ([[4, 27], [0]], [[1], [0]], [[0, 1], [1, 2]]):
        examples_read = Texts(["a", "b"], labels=labels)
        assert problem_of(examples_read) is MultiLabel
        names = MultiLabel.learn(examples_read)
        assert list(names) == list(map(str, sorted({one for label in labels for one in label})))


def test_joined_names_bring_one_warning_that_says_what_to_choose(caplog):
    def warnings_of(labels):
        caplog.clear()
        assert problem_of(Texts(["a"] * len(labels), labels=labels)) is SingleLabel
        return [record.getMessage() for record in caplog.records]

    (message,) = warnings_of(["4", "27", "4,27", "3"])
    assert message == (
        "1 of 4 labels are others with ',' between them, such as '4,27'. If a text can have several, choose "
        "problem_type='multi_label_classification' and separator=','."
    )
    (message,) = warnings_of(["refund", "track | refund", "track", None])
    assert message.endswith("choose problem_type='multi_label_classification'.")
    assert warnings_of(["London, UK", "London", "yes|no", "yes", "|", "a", 3]) == []


@slow_to_compile
def test_a_separator_of_ones_own(tmp_path):
    path = tmp_path / "goemotions.tsv"
    path.write_text("cancel it\t27\teebbqej\nmoney and parcel\t4,27\ted00q6i\nmoney\t4\ted2mah1\n", encoding="utf-8")
    columns = {"text": 0, "label": 1}
    classifier = new_classifier(problem_type="multi_label_classification", separator=",")
    classifier.fit(path, columns=columns, epochs=1, seed=1, verbose=0)
    assert classifier.labels == ["4", "27"]
    classifier.save_pretrained(tmp_path / "saved")
    again = TextClassifier.from_pretrained(tmp_path / "saved")
    assert again.evaluate(path, columns=columns) == pytest.approx(classifier.evaluate(path, columns=columns))
    with pytest.raises(ValueError, match="separator must be a str"):
        new_classifier(separator="")


def test_refused(tmp_path):
    path = tmp_path / "bad.tsv"
    path.write_text("text\tlabel\na\t0.5\nb\tmuch\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"bad.tsv:3: each label must be a finite number. Received: 'much'"):
        new_classifier(problem_type="regression").fit(path, verbose=0)
    path.write_text("text\tlabel\na\t0.5\nb\t1.25\n", encoding="utf-8")
    with pytest.raises(DataError, match="look like numbers"):
        new_classifier().fit(path, verbose=0)
    with pytest.raises(ValueError, match="problem_type must be one of"):
        new_classifier(problem_type="ranking")
    with pytest.raises(ValueError, match="class_weight is for tasks with one label"):
        new_classifier(problem_type="regression").fit(["a"], [0.5], class_weight="balanced", verbose=0)
    path.write_text("text\tlabel\na\t\nb\t\n", encoding="utf-8")
    with pytest.raises(DataError, match="no row has one"):
        new_classifier(problem_type="multi_label_classification").fit(path, verbose=0)

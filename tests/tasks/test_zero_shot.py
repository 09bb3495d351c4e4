"""Labels that no training named, held against transformers' zero-shot pipeline."""

import pytest

from keras_bert_suite import CheckpointError
from keras_bert_suite.tasks import ZeroShotClassifier
from tests.tasks.small import small_classifier

pytestmark = pytest.mark.per_backend

TEXTS = ["where is my parcel", "i want my money", ""]
LABELS = ["refund", "track", "order"]
TEMPLATE = "it is a {}."


@pytest.fixture(scope="module")
def classifier():
    return small_classifier(labels=["contradiction", "neutral", "entailment"], pair=True, initializer_range=0.5)


@pytest.mark.parametrize("multi_label", [False, True])
def test_as_the_pipeline_of_transformers(classifier, multi_label, tmp_path):
    transformers = pytest.importorskip("transformers")
    classifier.save_pretrained(tmp_path / "saved")
    pipeline = transformers.pipeline("zero-shot-classification", model=str(tmp_path / "saved"), device="cpu")
    expected = pipeline(TEXTS[:2], LABELS, hypothesis_template=TEMPLATE, multi_label=multi_label)
    found = ZeroShotClassifier(classifier).predict(TEXTS, LABELS, template=TEMPLATE, multi_label=multi_label)
    assert len(found) == len(TEXTS)
    for ours, theirs in zip(found, expected, strict=False):
        assert ours["label"] == theirs["labels"][0]
        scores = {answer["label"]: answer["score"] for answer in ours["labels"]}
        assert scores == pytest.approx(dict(zip(theirs["labels"], theirs["scores"], strict=True)), abs=1e-5)


def test_two_labels_are_each_others_opposite():
    classifier = small_classifier(labels=["entailment", "not_entailment"], pair=True)
    [answer] = ZeroShotClassifier(classifier).predict("where is it", ["track"], multi_label=True)
    [chances] = classifier.predict_probabilities([("where is it", "This example is track.")])
    assert answer["score"] == pytest.approx(chances[0], abs=1e-6)


def test_refused(classifier):
    with pytest.raises(CheckpointError, match="must have a label that begins with 'entail'"):
        ZeroShotClassifier(small_classifier(labels=["a", "b"], pair=True))
    with pytest.raises(ValueError, match="labels must be a list"):
        ZeroShotClassifier(classifier).predict(["a"], [])
    with pytest.raises(ValueError, match="template must have"):
        ZeroShotClassifier(classifier).predict(["a"], ["b"], template="about it")
    assert ZeroShotClassifier(classifier).predict([], ["b"]) == []

"""A saved classifier comes back whole; nothing that is there is overwritten unasked."""

import json
import shutil

import numpy as np
import pytest

import keras_bert_suite as kbs
from keras_bert_suite.errors import CheckpointError
from tests.tasks.small import LABELS, examples

TEXTS, NAMES = examples(12, seed=3)


def test_what_is_saved_comes_back(trained, trained_directory):
    loaded = kbs.TextClassifier.from_pretrained(trained_directory)
    assert loaded.labels == trained.labels == LABELS
    assert (loaded.max_length, loaded.pair) == (trained.max_length, False) == (32, False)
    assert np.array_equal(loaded.predict_probabilities(TEXTS), trained.predict_probabilities(TEXTS))


def test_the_directory_says_what_it_holds(trained_directory):
    names = {path.name for path in trained_directory.iterdir()}
    assert names == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt"}
    values = json.loads((trained_directory / "config.json").read_text(encoding="utf-8"))
    assert values["keras_bert_suite"] == {"task": "text-classification", "max_length": 32, "pair": False}
    assert values["id2label"] == {str(index): name for index, name in enumerate(LABELS)}


def test_a_directory_in_use_is_replaced_only_when_asked(trained, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.txt").write_text("keep", encoding="utf-8")
    with pytest.raises(FileExistsError, match=r"model already exists and is not empty"):
        trained.save_pretrained(tmp_path / "model")
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["mine.txt"]
    trained.save_pretrained(tmp_path / "model", overwrite=True)
    assert kbs.TextClassifier.from_pretrained(tmp_path / "model").labels == LABELS
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_model_may_be_saved_over_itself(trained_directory, tmp_path):
    kbs.TextClassifier.from_pretrained(trained_directory).save_pretrained(tmp_path / "model")
    classifier = kbs.TextClassifier.from_pretrained(tmp_path / "model")
    expected = classifier.predict_probabilities(TEXTS)
    classifier.save_pretrained(tmp_path / "model", overwrite=True)
    loaded = kbs.TextClassifier.from_pretrained(tmp_path / "model")
    assert np.array_equal(loaded.predict_probabilities(TEXTS), expected)


def test_without_labels_there_is_nothing_to_save(encoder_directory, tmp_path):
    with pytest.raises(ValueError, match="labels are not known"):
        kbs.TextClassifier.from_pretrained(encoder_directory).save_pretrained(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_other_labels_than_the_heads_are_refused(trained_directory):
    with pytest.raises(CheckpointError, match=r"\['cancel', 'refund', 'track'\].*replace_head=True"):
        kbs.TextClassifier.from_pretrained(trained_directory, labels=["a", "b"])
    assert kbs.TextClassifier.from_pretrained(trained_directory, labels=LABELS).labels == LABELS


def test_a_head_is_replaced_when_asked(trained_directory):
    classifier = kbs.TextClassifier.from_pretrained(trained_directory, labels=["a", "b"], replace_head=True)
    assert classifier.predict_probabilities(TEXTS).shape == (len(TEXTS), 2)
    classifier = kbs.TextClassifier.from_pretrained(trained_directory, replace_head=True)
    assert classifier.labels is None


def test_max_length_may_be_chosen_anew(trained_directory):
    assert kbs.TextClassifier.from_pretrained(trained_directory, max_length=20).max_length == 20


def test_scores_are_those_of_model_evaluate(trained):
    scores = trained.evaluate(TEXTS, NAMES)
    inputs = trained.tokenizer(TEXTS, max_length=trained.max_length)
    expected = trained.evaluate(inputs, np.array([LABELS.index(name) for name in NAMES]))
    assert scores["accuracy"] == pytest.approx(expected["accuracy"], abs=1e-6)
    assert scores["loss"] == pytest.approx(expected["loss"], abs=1e-5)


def test_the_head_of_another_task_is_left_aside(trained_directory, tmp_path):
    shutil.copytree(trained_directory, tmp_path / "tagger")
    path = tmp_path / "tagger" / "config.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**values, "architectures": ["BertForTokenClassification"]}), encoding="utf-8")
    assert kbs.TextClassifier.from_pretrained(tmp_path / "tagger").labels is None


def test_a_vocabulary_that_is_cut_short_is_refused(trained_directory, tmp_path):
    shutil.copytree(trained_directory, tmp_path / "model")
    (tmp_path / "model" / "tokenizer.json").unlink()
    path = tmp_path / "model" / "vocab.txt"
    words = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(words[: len(words) // 2]) + "\n", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"the vocabulary has \d+ tokens, but config.json says vocab_size=\d+"):
        kbs.TextClassifier.from_pretrained(tmp_path / "model")

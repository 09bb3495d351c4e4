"""A few examples are learnt from; the head is scikit-learn's; what was saved is what was trained."""

import json

import keras
import numpy as np
import pytest

from keras_bert_suite.errors import CheckpointError, DataError
from keras_bert_suite.tasks import TextEmbedder
from keras_bert_suite.tasks.few_shot import FewShotClassifier, contrastive_pairs
from keras_bert_suite.tasks.logistic_regression import fit_logistic_regression
from keras_bert_suite.tasks.registry import open_task
from tests.support.selection import slow_to_compile
from tests.tasks.small import LABELS, examples, write_tsv
from tests.tasks.test_embedder_training import small_embedder


def short_examples(count, seed):
    """Texts of few words, so that little hides the one that decides."""
    rows = [row for row in zip(*examples(6 * count, seed), strict=True) if len(row[0].split()) < 5]
    return [text for text, _ in rows[:count]], [label for _, label in rows[:count]]


FEW, TEST = short_examples(36, seed=1), short_examples(90, seed=2)


@pytest.fixture(scope="module")
def trained():
    classifier = FewShotClassifier(small_embedder(dropout_rate=0.1))
    classifier.compile(learning_rate=2e-2)
    classifier.fit(*FEW, epochs=3, num_pairs=8, seed=1, verbose=0)
    return classifier


# The head


@pytest.mark.parametrize("num_labels", [2, 3, 7])
@pytest.mark.parametrize("strength", [0.1, 1.0, 30.0])
def test_the_head_is_that_of_scikit_learn(num_labels, strength):
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(0)
    targets = np.concatenate([np.arange(num_labels), rng.integers(0, num_labels, 40)])
    features = rng.normal(size=(len(targets), 12)) + targets[:, None] * rng.normal(size=12) * 0.3
    theirs = linear_model.LogisticRegression(C=strength, tol=1e-9, max_iter=10000).fit(features, targets)
    kernel, bias = fit_logistic_regression(features, targets, num_labels, strength=strength)
    assert (kernel.shape, bias.shape) == ((12, num_labels), (num_labels,))
    logits = features @ kernel + bias
    found = np.exp(logits - logits.max(axis=1, keepdims=True))
    found /= found.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, theirs.predict_proba(features), rtol=0, atol=1e-4)
    expected = theirs.coef_.T if num_labels > 2 else np.concatenate([0 * theirs.coef_, theirs.coef_]).T
    np.testing.assert_allclose(kernel, expected, rtol=0, atol=1e-4)


def test_the_head_of_texts_that_can_be_parted_stays_finite():
    kernel, _ = fit_logistic_regression(np.eye(3) * 100, np.arange(3), 3, strength=1e4)
    assert np.isfinite(kernel).all()


# The pairs


def test_pairs_are_of_one_label_or_of_two():
    targets = np.array([0, 0, 1, 1, 1, 2])
    rows, scores = contrastive_pairs(targets, 4, seed=3)
    np.testing.assert_array_equal(targets[rows[:, 0]] == targets[rows[:, 1]], scores == 1)
    assert (rows[:, 0] != rows[:, 1]).all()
    assert np.bincount(rows[scores == 1][:, 0], minlength=6).tolist() == [4, 4, 4, 4, 4, 0]
    assert np.bincount(rows[scores == 0][:, 0], minlength=6).tolist() == [4] * 6
    np.testing.assert_array_equal(contrastive_pairs(targets, 4, seed=3)[0], rows)


# The classifier


def test_a_few_examples_are_enough(trained):
    untuned = FewShotClassifier(small_embedder(dropout_rate=0.1))
    untuned.fit(*FEW, epochs=0)
    assert trained.evaluate(*TEST)["accuracy"] > untuned.evaluate(*TEST)["accuracy"] + 0.15
    assert trained.labels == LABELS


def test_the_model_is_the_embedder_and_the_head(trained):
    linear_model = pytest.importorskip("sklearn.linear_model")
    vectors = trained.embedder.encode(FEW[0]).astype("float64")
    theirs = linear_model.LogisticRegression(tol=1e-9, max_iter=10000).fit(vectors, FEW[1])
    expected = theirs.predict_proba(trained.embedder.encode(TEST[0]))
    np.testing.assert_allclose(trained.predict_probabilities(TEST[0]), expected, rtol=0, atol=1e-4)
    answers = trained.predict(TEST[0][:5])
    assert [answer["label"] for answer in answers] == [LABELS[index] for index in expected[:5].argmax(axis=1)]
    assert isinstance(trained.model, keras.Model)


def test_what_was_saved_is_what_was_trained(trained, tmp_path):
    trained.save_pretrained(tmp_path / "model")
    again = open_task(tmp_path / "model")
    assert isinstance(again, FewShotClassifier)
    assert again.labels == LABELS
    np.testing.assert_allclose(
        again.predict_probabilities(TEST[0]), trained.predict_probabilities(TEST[0]), rtol=0, atol=1e-6
    )
    vectors = trained.embedder.encode(TEST[0][:5])
    np.testing.assert_allclose(
        TextEmbedder.from_pretrained(tmp_path / "model").encode(TEST[0][:5]), vectors, rtol=0, atol=1e-6
    )
    there = pytest.importorskip("sentence_transformers").SentenceTransformer(str(tmp_path / "model"), device="cpu")
    np.testing.assert_allclose(there.encode(TEST[0][:5]), vectors, rtol=0, atol=1e-5)
    with pytest.raises(CheckpointError, match="was trained for the labels"):
        FewShotClassifier.from_pretrained(tmp_path / "model", labels=["a", "b"])
    fresh = FewShotClassifier.from_pretrained(tmp_path / "model", labels=["a", "b"], replace_head=True)
    with pytest.raises(ValueError, match="its head is not trained yet"):
        fresh.predict(["text"])


@pytest.mark.parametrize("damage", ["cut", "labels"])
def test_a_damaged_head_is_refused(damage, trained, tmp_path):
    trained.save_pretrained(tmp_path / "model")
    if damage == "cut":
        path = tmp_path / "model" / "head.safetensors"
        path.write_bytes(path.read_bytes()[:20])
    else:
        path = tmp_path / "model" / "config.json"
        values = json.loads(path.read_text(encoding="utf-8"))
        values["keras_bert_suite"]["labels"] = ["one"]
        path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(CheckpointError, match="head.safetensors"):
        FewShotClassifier.from_pretrained(tmp_path / "model")


@slow_to_compile
def test_files_reports_and_validation(tmp_path):
    path = write_tsv(tmp_path / "few.tsv", FEW[0][:9], FEW[1][:9])
    classifier = FewShotClassifier(small_embedder())
    classifier.compile(jit_compile=False)
    history = classifier.fit(path, validation_data=path, num_pairs=1, epochs=1, seed=1, verbose=0).history
    assert history["val_accuracy"][-1] == classifier.evaluate(path)["accuracy"]
    report = classifier.report(path, history=history)
    assert report.summary["accuracy"] == history["val_accuracy"][-1]
    assert classifier.predict_file(path, tmp_path / "answers.jsonl") == 9


@pytest.mark.slow
def test_a_seed_governs_everything():
    found = []
    for _ in range(2):
        classifier = FewShotClassifier(small_embedder(dropout_rate=0.1))
        classifier.compile(jit_compile=False)
        classifier.fit(FEW[0][:6], FEW[1][:6], num_pairs=1, seed=4, verbose=0)
        found.append(classifier.predict_probabilities(TEST[0][:9]))
    np.testing.assert_array_equal(*found)


def test_the_default_prompt_is_used_everywhere():
    classifier = FewShotClassifier(small_embedder(prompts={"ask": "please "}, default_prompt_name="ask"))
    classifier.fit(*FEW, epochs=0)
    plain = FewShotClassifier(small_embedder())
    plain.fit([f"please {text}" for text in FEW[0]], FEW[1], epochs=0)
    np.testing.assert_allclose(
        classifier.predict_probabilities(TEST[0][:9]),
        plain.predict_probabilities([f"please {text}" for text in TEST[0][:9]]),
        rtol=0,
        atol=1e-5,
    )


def test_what_cannot_be_learnt_from():
    classifier = FewShotClassifier(small_embedder())
    with pytest.raises(ValueError, match="single texts"):
        classifier.fit([("a", "b"), ("c", "d")], ["x", "y"])
    with pytest.raises(ValueError, match=r"FewShotClassifier: patience .*patience=2"):
        classifier.compile(patience=2)
    with pytest.raises(DataError, match="two different labels"):
        classifier.fit(["a", "b"], ["x", "x"])
    with pytest.raises(ValueError, match="num_pairs must be above 0"):
        FewShotClassifier(small_embedder()).fit(["a", "b"], ["x", "y"], num_pairs=0)

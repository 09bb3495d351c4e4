"""Clusters are those that are there; silhouettes are scikit-learn's; keywords tell topics apart."""

import unicodedata

import numpy as np
import pytest

from keras_bert_suite.tasks.clustering import silhouette, spherical_k_means
from keras_bert_suite.tasks.topics import find_topics, topic_keywords
from tests.tasks.test_embedder_training import small_embedder

SUBJECTS = [("cat", "purr", "whisker"), ("rain", "storm", "cloud"), ("goal", "match", "score")]
FILLER = ["the", "a", "was", "very", "and", "it", "of", "today"]


def blobs(num_clusters=3, count=40, width=8, spread=0.1, seed=0):
    """Unit vectors around random directions, and which each is of."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(num_clusters, width))
    centers /= np.linalg.norm(centers, axis=1, keepdims=True)
    labels = rng.permutation(np.repeat(np.arange(num_clusters), count))
    vectors = centers[labels] + rng.normal(0, spread, (len(labels), width))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), labels


def subject_texts(count=60, seed=0):
    rng = np.random.default_rng(seed)
    texts, subjects = [], []
    for row in range(count):
        subject = row % 3
        words = [*rng.choice(FILLER, 5), *rng.choice(SUBJECTS[subject], 2)]
        texts.append(" ".join(rng.permutation(words)))
        subjects.append(subject)
    return texts, np.array(subjects)


def same_partition(one, other):
    both = set(zip(one.tolist(), other.tolist(), strict=True))
    return len(both) == len(set(one.tolist())) == len(set(other.tolist()))


@pytest.mark.parametrize("num_clusters", [2, 3, 7])
def test_clusters_that_are_there_are_found(num_clusters):
    vectors, labels = blobs(num_clusters)
    assignments, centers = spherical_k_means(vectors, num_clusters, seed=1)
    assert same_partition(assignments, labels)
    np.testing.assert_allclose(np.linalg.norm(centers, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal((vectors @ centers.T).argmax(axis=1), assignments)


def test_no_cluster_is_empty():
    vectors, _ = blobs(2, spread=0.01)
    assert np.bincount(spherical_k_means(vectors, 20, seed=0)[0], minlength=20).min() > 0


def test_equal_vectors_are_in_one_cluster():
    equal = np.tile([[0.6, 0.8]], (5, 1))
    assert len(set(spherical_k_means(equal, 3)[0].tolist())) == 1
    twice = np.concatenate([equal, np.tile([[0.8, -0.6]], (4, 1))])
    assert sorted(np.bincount(spherical_k_means(twice, 4)[0]).tolist())[-2:] == [4, 5]


def test_the_silhouette_is_that_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    vectors, labels = blobs(4, spread=0.5)
    labels[0] = 9  # a cluster of one
    expected = metrics.silhouette_score(vectors, labels, metric="cosine")
    assert silhouette(vectors, labels) == pytest.approx(expected, abs=1e-9)
    assert silhouette(vectors, np.zeros(len(vectors))) == 0


def test_keywords_are_the_words_of_a_subject():
    texts, subjects = subject_texts()
    for found, expected in zip(topic_keywords(texts, subjects, 3, 3), SUBJECTS, strict=True):
        assert set(found) == set(expected)


def test_keywords_know_no_language():
    texts = ["die katze schläft", "eine katze frisst", "der regen fällt", "noch mehr regen", "идёт снег", "снег тает"]
    assert [words[0] for words in topic_keywords(texts, [0, 0, 1, 1, 2, 2], 3, 1)] == ["katze", "regen", "снег"]


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["मौसम अच्छा है", "आज मौसम", "मेरी किताब", "नई किताब"], ["मौसम", "किताब"]),
        (["phở bò", "phở gà", "mưa to", "mưa nhỏ"], ["phở", "mưa"]),
        (["今天下雨。", "又下雨了", "足球比赛", "看足球,好"], ["下雨", "足球"]),
    ],
)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_keywords_of_scripts_with_marks_and_without_spaces(texts, words, form):
    texts = [unicodedata.normalize(form, text) for text in texts]
    expected = [unicodedata.normalize("NFC", word) for word in words]
    assert [found[0] for found in topic_keywords(texts, [0, 0, 1, 1], 2, 1)] == expected


def test_one_topic_has_its_most_frequent_words():
    assert topic_keywords(["rain again", "rain"], [0, 0], 1, 1) == [["rain"]]


def test_topics_of_texts():
    vectors, labels = blobs(3, count=20)
    texts = [f"{' '.join(SUBJECTS[label])} the a {row}" for row, label in enumerate(labels)]
    topics = find_topics(None, texts, embeddings=vectors, max_topics=8, num_keywords=3)
    assert len(topics) == 3
    assert same_partition(topics.assignments, labels)
    assert topics.sizes == [20, 20, 20]
    for topic, found in enumerate(topics.to_dicts()):
        subject = labels[topics.assignments == topic][0]
        assert set(found["keywords"]) == set(SUBJECTS[subject])
        assert len(found["examples"]) == 3
        assert all(SUBJECTS[subject][0] in text for text in found["examples"])
    np.testing.assert_array_equal(topics.assign(vectors), topics.assignments)
    assert topics.silhouette > 0.5
    again = find_topics(None, texts, embeddings=vectors, max_topics=8, num_keywords=3)
    np.testing.assert_array_equal(again.assignments, topics.assignments)


def test_the_largest_topic_comes_first():
    vectors, labels = blobs(3, count=20)
    kept = np.flatnonzero((labels > 0) | (np.cumsum(labels == 0) <= 5))
    topics = find_topics(None, [str(row) for row in kept], 3, embeddings=vectors[kept])
    assert topics.sizes == [20, 20, 5]


def test_texts_are_embedded():
    texts, _ = subject_texts(12)
    topics = find_topics(small_embedder(), texts, 2)
    assert (len(topics), sum(topics.sizes)) == (2, 12)


def test_too_few_texts():
    with pytest.raises(ValueError, match="as many as topics. Received: 1 texts"):
        find_topics(None, ["one"])
    with pytest.raises(ValueError, match="num_topics=5"):
        find_topics(None, ["one", "two"], 5)

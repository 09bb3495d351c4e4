"""Vectors from counts of neighbours, against the definition written out."""

import numpy as np

from keras_bert_suite.data.corpus import cooccurrence_vectors
from keras_bert_suite.data.corpus.shard import Shard
from keras_bert_suite.text.ragged import row_offsets

CLS, SEP = 0, 1
VOCABULARY = 40


class Shards(list):
    shard = list.__getitem__


def shard_of(rows):
    rows = [[CLS, *row, SEP] for row in rows]
    lengths = np.array([len(row) for row in rows])
    return Shard(np.concatenate(rows).astype("uint16"), row_offsets(lengths), lengths.astype("int32"))


def sentences(rng, count):
    """Words follow one another in two circles, which never meet."""
    starts, lengths, circles = rng.integers(0, 18, count), rng.integers(3, 12, count), rng.integers(0, 2, count)
    return [
        (2 + 18 * circle + (start + rng.integers(0, 3, length).cumsum()) % 18).tolist()
        for start, length, circle in zip(starts, lengths, circles, strict=True)
    ]


def definition(rows, size):
    counts = np.zeros((VOCABULARY, VOCABULARY))
    for row in rows:
        for i, token in enumerate(row):
            for j, neighbour in enumerate(row):
                if 0 < abs(i - j) <= 5:
                    counts[token, neighbour] += 1 / abs(i - j)
    share = counts.sum(0) ** 0.75 / (counts.sum(0) ** 0.75).sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        information = np.log(counts / (counts.sum(1, keepdims=True) * share))
    information = np.where(np.isfinite(information), np.maximum(information, 0), 0)
    left, values, _ = np.linalg.svd(information)
    vectors = left[:, :size] * np.sqrt(values[:size])
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def test_they_are_those_of_the_definition():
    rows = sentences(np.random.default_rng(0), 400)
    vectors, counts = cooccurrence_vectors(
        Shards([shard_of(rows[:150]), shard_of(rows[150:])]), 6, VOCABULARY, [CLS, SEP]
    )
    expected = definition(rows, 6)
    assert vectors.shape == (VOCABULARY, 6)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors @ vectors.T, expected @ expected.T, atol=1e-3)  # equal but for a rotation
    np.testing.assert_array_equal(counts[2:], np.bincount(np.concatenate(rows), minlength=VOCABULARY)[2:])
    assert counts[CLS] == 400


def test_words_of_one_circle_are_alike_and_special_or_unseen_tokens_have_no_vector():
    rows = sentences(np.random.default_rng(1), 400)
    vectors, _ = cooccurrence_vectors(Shards([shard_of(rows)]), 4, VOCABULARY, [CLS, SEP])
    alike = vectors @ vectors.T
    assert alike[2:20, 2:20].mean() > alike[2:20, 20:38].mean() + 0.2
    lengths = np.linalg.norm(vectors, axis=1)
    np.testing.assert_allclose(lengths[2:38], 1, rtol=1e-5)
    np.testing.assert_array_equal(lengths[[CLS, SEP, 38, 39]], 0)


def test_more_numbers_than_there_are_neighbours_stay_0():
    vectors, _ = cooccurrence_vectors(Shards([shard_of([[2, 3, 4]] * 5)]), 64, VOCABULARY, [CLS, SEP])
    assert np.isfinite(vectors).all()
    np.testing.assert_allclose(np.linalg.norm(vectors[2:5], axis=1), 1, rtol=1e-5)


def test_of_a_large_corpus_some_shards_are_enough(monkeypatch):
    monkeypatch.setattr("keras_bert_suite.data.corpus.cooccurrence.ENOUGH", 500)
    parts = Shards([shard_of(part) for part in np.array_split(np.arange(2, 38).repeat(40).reshape(-1, 4), 6)])
    _, counts = cooccurrence_vectors(parts, 4, VOCABULARY, [CLS, SEP])
    assert 500 <= counts.sum() < sum(len(part.token_ids) for part in parts)
    again = cooccurrence_vectors(parts, 4, VOCABULARY, [CLS, SEP])
    np.testing.assert_array_equal(counts, again[1])

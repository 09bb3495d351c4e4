"""Rows of sentences: nothing lost, nothing too long, and pairs that are what their labels say."""

import numpy as np
import pytest

from keras_bert_suite.data.corpus.rows import plan_rows
from keras_bert_suite.data.corpus.tokens import DocumentTokens
from keras_bert_suite.text.ragged import row_offsets

BUDGET = 61


def documents(rng, num=400, sentences=30, words=25, own=None):
    """Documents of 1 to `sentences` sentences of 1 to `words` tokens; token `i` has the id `i`."""
    counts = rng.integers(1, sentences + 1, num)
    lengths = rng.integers(1, words + 1, counts.sum())
    bounds = row_offsets(lengths)
    return DocumentTokens(np.arange(bounds[-1], dtype=np.int32), bounds, row_offsets(counts), own or num)


def document_of(tokens, places):
    """The document in which each token stands."""
    return np.searchsorted(tokens.sentences[tokens.documents], places, side="right") - 1


@pytest.fixture(scope="module")
def tokens():
    return documents(np.random.default_rng(1), 4000)


def planned(kind, tokens, seed=0, short_rate=0.1, budget=BUDGET):
    return plan_rows(kind, tokens, budget, short_rate, np.random.default_rng(seed))


@pytest.mark.parametrize("kind", ["next_sentence", "sentence_order"])
def test_both_texts_of_a_pair_have_tokens_of_one_document_and_fit(kind, tokens):
    rows = planned(kind, tokens)
    assert rows.lengths.min() >= 1
    assert rows.lengths.sum(axis=0).max() == BUDGET
    assert (document_of(tokens, rows.starts) == document_of(tokens, rows.starts + rows.lengths - 1)).all()


def test_next_texts_follow_and_random_ones_are_of_another_document(tokens):
    rows = planned("next_sentence", tokens)
    first, second = document_of(tokens, rows.starts)
    at_random = rows.labels.astype(bool)
    assert (first != second)[at_random].all()
    assert (first == second)[~at_random].all()
    gap = rows.starts[1] - rows.starts[0] - rows.lengths[0]
    cut = rows.lengths.sum(axis=0) == BUDGET
    assert (gap[~at_random & ~cut] == 0).all()
    assert (gap[~at_random] >= 0).all()
    # Every document lends texts, whatever its place.
    assert abs(np.corrcoef(first[at_random], second[at_random])[0, 1]) < 0.05
    assert len(np.unique(second[at_random])) > 3500


def test_half_the_pairs_that_could_follow_do():
    rows = planned("next_sentence", documents(np.random.default_rng(2), 500, sentences=300, words=12), short_rate=0.0)
    assert rows.labels.mean() == pytest.approx(0.5, abs=0.02)


def test_what_a_random_text_stood_for_comes_again(tokens):
    rows = planned("next_sentence", tokens, short_rate=0.0)
    used = np.zeros(len(tokens.token_ids), np.int64)
    first = rows.starts[0], rows.lengths[0]
    follows = rows.labels == 0
    for starts, lengths in (first, (rows.starts[1][follows], rows.lengths[1][follows])):
        np.add.at(used, starts, 1)
        ends = starts + lengths
        np.add.at(used, ends[ends < len(used)], -1)
    used = np.cumsum(used)
    assert used.max() == 1  # Nothing comes twice but as a random text.
    missing = (used == 0).mean()
    assert missing < 0.12  # Only what did not fit.


def test_short_rows_are_as_frequent_as_asked():
    long = documents(np.random.default_rng(3), 3000, sentences=300, words=6)
    without, some = (planned("next_sentence", long, short_rate=rate) for rate in (0.0, 0.5))
    full = [(rows.lengths.sum(axis=0) >= BUDGET - 10).mean() for rows in (without, some)]
    assert full[0] > 0.85
    assert full[1] < 0.6


def test_pairs_in_order_are_swapped_half_the_time(tokens):
    rows = planned("sentence_order", tokens)
    swapped = rows.labels.astype(bool)
    assert swapped.mean() == pytest.approx(0.5, abs=0.02)
    assert ((rows.starts[0] > rows.starts[1]) == swapped).all()
    earlier, later = np.where(swapped, rows.starts[::-1], rows.starts)
    before = np.where(swapped, rows.lengths[1], rows.lengths[0])
    assert (earlier + before <= later).all()
    assert (document_of(tokens, earlier) == document_of(tokens, later)).all()
    # All documents of two sentences or more are there, to their last sentence.
    long_enough = np.flatnonzero(np.diff(tokens.documents) > 1)
    assert np.array_equal(np.unique(document_of(tokens, earlier)), long_enough)


def test_pieces_of_documents_are_all_of_them_in_order(tokens):
    rows = planned("documents", tokens, short_rate=0.0)
    assert rows.labels is None
    assert np.array_equal(rows.starts[1:], (rows.starts + rows.lengths)[:-1])
    assert rows.lengths.sum() == len(tokens.token_ids)
    assert rows.lengths.max() <= BUDGET
    assert (document_of(tokens, rows.starts) == document_of(tokens, rows.starts + rows.lengths - 1)).all()
    assert np.isin(rows.starts, tokens.sentences).all()


@pytest.mark.parametrize("kind", ["next_sentence", "sentence_order", "documents"])
def test_long_sentences_are_cut_and_not_lost(kind):
    lengths = [3, 200, 5, 61, 62, 1]
    bounds = row_offsets(lengths)
    tokens = DocumentTokens(np.arange(bounds[-1]), bounds, np.array([0, 3, 6]), 2)
    rows = planned(kind, tokens, short_rate=0.0)
    assert np.atleast_2d(rows.lengths).sum(axis=0).max() <= BUDGET
    firsts = np.atleast_2d(rows.starts)[0]
    assert len(firsts) >= 5
    assert firsts.min() < 30
    assert np.atleast_2d(rows.starts + rows.lengths).max() > bounds[-1] - 60


def test_a_document_alone_lends_itself_texts_from_elsewhere():
    alone = documents(np.random.default_rng(4), 1, sentences=1)
    assert planned("next_sentence", alone).starts.shape == (2, 0)
    bounds = row_offsets([5] * 100)
    rows = planned("next_sentence", DocumentTokens(np.arange(500), bounds, np.array([0, 100]), 1))
    at_random = rows.labels == 1
    assert 0 < at_random.mean() < 1
    apart = rows.starts[1] - rows.starts[0] - rows.lengths[0]
    assert (apart[at_random] != 0).all()


def test_lent_documents_make_no_rows_of_their_own():
    tokens = documents(np.random.default_rng(5), 30, own=1)
    rows = planned("next_sentence", tokens)
    assert (document_of(tokens, rows.starts[0]) == 0).all()
    assert (document_of(tokens, rows.starts[1][rows.labels == 1]) > 0).all()


@pytest.mark.parametrize("kind", ["next_sentence", "sentence_order", "documents"])
def test_no_documents_make_no_rows(kind):
    empty = DocumentTokens(np.zeros(0, np.int32), np.zeros(1, np.int64), np.zeros(1, np.int64), 0)
    assert planned(kind, empty).starts.shape[-1] == 0

"""Words of texts and the tokens that stand for them, in the graph: `data.words` and `place_words` for a SavedModel."""

from typing import Any, NamedTuple

import tensorflow as tf

from keras_bert_suite.data.words import ALONE, ATTACHED, FORMAT, PARTS, RUNS, character_kinds
from keras_bert_suite.text.in_graph_parts import build_paged_lookup, row_ids, search

__all__ = ["InGraphWords", "build_words", "find_runs", "join_texts"]

LINE_FEED = ord("\n")


class InGraphWords(NamedTuple):
    """Words of some texts.

    Args:
        splits: int64 `(B + 1,)`. Text `i` has the words from `splits[i]` to `splits[i + 1]`.
        starts, ends: int64 `(W,)`. First and last-plus-one character of each word in its text.
        pieces: int64 `(W,)`. The first of all tokens of all texts that each has a part of.
    """

    splits: Any
    starts: Any
    ends: Any
    pieces: Any


def build_words():
    """Return a function from `Pieces` to `InGraphWords`, to be called where a graph is traced.

    Words are those that `data.find_words` finds and that have a part of a token;
    where a token reaches over several of them, these are one word.
    """
    kinds_of = build_paged_lookup(tf, character_kinds())

    def words(found):
        joined, bases = join_texts(found.code_points)
        starts, ends = _find_words(kinds_of(joined))
        pieces = _first_pieces(found, bases, starts, ends)
        starts, ends, pieces = (tf.boolean_mask(values, pieces >= 0) for values in (starts, ends, pieces))
        text = search(tf, bases, starts, side="right") - 1
        shares = (pieces[1:] == pieces[:-1]) & (text[1:] == text[:-1])
        shares = tf.concat([[False], shares], axis=0)[: tf.size(pieces)]  # with the word before
        firsts, lasts = find_runs(~shares, shares)
        text = tf.gather(text, firsts)
        base = tf.gather(bases, text)
        splits = search(tf, text, tf.range(tf.size(bases, tf.int64) + 1))
        starts, ends = tf.gather(starts, firsts) - base, tf.gather(ends, lasts - 1) - base
        return InGraphWords(splits, starts, ends, tf.gather(pieces, firsts))

    return words


def join_texts(code_points):
    """Put all texts into one, each with a line feed after it.

    Args:
        code_points: ragged int32 `(B, None)`.
    Returns:
        `(joined, bases)`: int32 `(N,)`, and int64 `(B,)`, where each text begins.
    """
    line_feeds = tf.RaggedTensor.from_tensor(tf.fill([code_points.nrows(), 1], LINE_FEED))
    rows = tf.concat([code_points, line_feeds], axis=1)
    return rows.flat_values, rows.row_starts()


def find_runs(begins, goes_on):
    """Return first and last-plus-one of runs, int64 `(R,)` each, of what begins or goes on at each of N places."""
    firsts = tf.where(begins)[:, 0]
    stops = tf.concat([tf.where(~goes_on)[:, 0], [tf.size(begins, tf.int64)]], axis=0)
    return firsts, tf.gather(stops, search(tf, stops, firsts, side="right"))


def _find_words(kinds):
    """`find_words` on the kinds of all characters of joined texts: `(starts, ends)`."""
    before = tf.concat([[PARTS], kinds], axis=0)[:-1]
    # An attached character does as the one that it is attached to; what comes after it sees that one.
    own = before < ATTACHED
    hosts = tf.concat([[PARTS], tf.boolean_mask(before, own)], axis=0)
    host = tf.gather(hosts, tf.cumsum(tf.cast(own, tf.int32)))
    starts = (kinds == ALONE) | ((kinds == RUNS) & (host != RUNS)) | ((kinds >= ATTACHED) & (before == PARTS))
    firsts, ends = find_runs(starts, (kinds != PARTS) & ~starts)
    formed = kinds != FORMAT
    places = tf.concat([[-1], tf.where(formed)[:, 0]], axis=0)
    last = tf.gather(places, tf.gather(tf.cumsum(tf.cast(formed, tf.int64)), ends - 1))
    return firsts, tf.maximum(last, firsts) + 1


def _first_pieces(found, bases, starts, ends):
    """Return the first token that each word has a part of, or -1; words in characters of the joined texts."""
    base = tf.gather(bases, row_ids(tf, found.token_ids.row_splits))
    beyond = tf.constant([tf.int64.max])  # after the last token
    piece_starts = tf.concat([found.starts + base, beyond], axis=0)
    piece_ends = tf.concat([found.ends + base, beyond], axis=0)
    first = search(tf, piece_ends, starts, side="right")
    return tf.where(tf.gather(piece_starts, first) < ends, first, -1)

"""Texts to overlapping rows and through a model, in the graph: `text.windows` for a SavedModel. Runs in the worker."""

import dataclasses
from typing import Any

import tensorflow as tf

from keras_bert_suite.text.frame import Frame
from keras_bert_suite.text.in_graph_offsets import Pieces, build_in_graph_offsets
from keras_bert_suite.text.in_graph_parts import Side, frame_rows, row_ids

__all__ = ["InGraphWindows", "build_windows", "in_chunks"]

#: Tokens that go through a model at a time, padding included.
CHUNK_TOKENS = 2**14


@dataclasses.dataclass(frozen=True, eq=False)
class InGraphWindows:
    """Texts of any length, encoded as rows that overlap.

    Args:
        inputs: dict of int32 `(W, T)`: what a model takes.
        texts: int64 `(W,)`. The text that each row is of, ascending.
        tokens: int64 `(W, T)`. Which of all tokens of all texts stands there;
            -1 where none does: of a question, special, or padding.
        pieces: `Pieces`, the texts and their tokens.
    """

    inputs: dict
    texts: Any
    tokens: Any
    pieces: Pieces

    def best_places(self):
        """Return where each token has the most context: int64 `(N,)`, indices into `(W * T,)`."""
        inside = tf.cast(self.tokens >= 0, tf.int64)
        before = tf.cumsum(inside, axis=1, exclusive=True)
        context = tf.minimum(before, tf.reduce_sum(inside, axis=1, keepdims=True) - 1 - before)
        places = tf.where(tf.reshape(inside, [-1]) > 0)[:, 0]
        # Of places with as much context, the first one: of one number for both, the largest.
        last = tf.size(inside, tf.int64)
        ranks = tf.gather(tf.reshape(context, [-1]), places) * (last + 1) + last - places
        tokens = tf.gather(tf.reshape(self.tokens, [-1]), places)
        best = tf.math.unsorted_segment_max(ranks, tokens, tf.size(self.pieces.starts, tf.int64))
        return last - best % (last + 1)


def build_windows(tokenizer, max_length, stride, paired=False):
    """Build the in-graph twin of `encode_windows`.

    Args:
        tokenizer: `WordPieceTokenizer`.
        max_length: int. Tokens of a row, special ones included.
        stride: int. Tokens that rows of a text share.
        paired: bool. Whether a question stands in front of each row.
    Returns:
        A function from a string tensor `(B,)`, and one of questions where
        `paired`, to `InGraphWindows`, to be called where a graph is traced.
    Raises:
        ImportError, ValueError: as `build_in_graph_offsets`; or if `max_length` has no room for text.
    """
    frame = tokenizer.frame
    room = max_length - frame.size(paired)
    if room < 2:
        raise ValueError(f"build_windows: max_length has no room for text. Received: max_length={max_length}.")
    encode = build_in_graph_offsets(tokenizer)
    nowhere = Frame(*(tuple((-1,) * len(part) for part in parts) for parts in (frame.single, frame.pair)), None)

    def windows(texts, questions=None):
        pieces = encode(texts)
        ids = pieces.token_ids
        rooms = tf.fill([ids.nrows()], tf.constant(room, tf.int64))
        if paired:
            questions = encode(questions).token_ids
            asked = tf.minimum(questions.row_lengths(), room // 2)
            rooms -= asked
        steps = rooms - tf.minimum(tf.constant(stride, tf.int64), rooms * 3 // 4)
        counts = 1 + tf.maximum(tf.constant(0, tf.int64), -(-(ids.row_lengths() - rooms) // steps))
        splits = tf.concat([[0], tf.cumsum(counts)], axis=0)
        rows = row_ids(tf, splits)
        starts = (tf.range(splits[-1]) - tf.gather(splits, rows)) * tf.gather(steps, rows)
        kept = tf.minimum(tf.gather(ids.row_lengths(), rows) - starts, tf.gather(rooms, rows))
        starts += tf.gather(ids.row_splits, rows)
        sides = [Side(ids.flat_values, starts, kept)]
        places = [Side(tf.range(tf.size(ids.flat_values)), starts, kept)]
        if paired:
            side = Side(questions.flat_values, tf.gather(questions.row_starts(), rows), tf.gather(asked, rows))
            sides.insert(0, side)
            places.insert(0, side._replace(values=-tf.ones_like(side.values)))
        inputs = frame_rows(tf, frame, sides, tokenizer.pad_token_id)
        places = frame_rows(tf, nowhere, places, -1)
        return InGraphWindows(inputs, rows, tf.cast(places["token_ids"], tf.int64), pieces)

    return windows


def in_chunks(compute, inputs, signature):
    """Compute something of rows, a bounded number at a time, so that memory holds for texts of any length.

    Args:
        compute: function from a dict of tensors `(R, T)` to a tuple of tensors `(R, ...)`.
        inputs: dict of tensors `(W, T)`.
        signature: tuple of `tf.TensorSpec`, of what `compute` returns.
    Returns:
        tuple of tensors `(W, ...)`.
    """
    rows, length = tf.unstack(tf.shape(next(iter(inputs.values()))))
    filled, width = tf.maximum(rows, 1), tf.maximum(length, 1)
    chunks = -(-filled // tf.maximum(CHUNK_TOKENS // width, 1))
    size = -(-filled // chunks)
    padding = [[0, chunks * size - rows], [0, width - length]]
    inputs = {name: tf.reshape(tf.pad(value, padding), [chunks, size, width]) for name, value in inputs.items()}
    outputs = tf.map_fn(compute, inputs, fn_output_signature=signature, parallel_iterations=1)
    return tuple(tf.reshape(value, tf.concat([[chunks * size], tf.shape(value)[2:]], 0))[:rows] for value in outputs)

"""Answers from strings to strings in the graph, for clients that have no Python. Runs in the worker."""

import numpy as np
import tensorflow as tf

from keras_bert_suite.export.in_graph_windows import build_windows, in_chunks
from keras_bert_suite.export.in_graph_words import join_texts
from keras_bert_suite.tasks.answer_spans import JOINER, whole_characters
from keras_bert_suite.tasks.question_answerer import CANDIDATES
from keras_bert_suite.text.code_points import LAST
from keras_bert_suite.text.in_graph_parts import build_paged_lookup, search

__all__ = ["build_answers"]


def build_answers(task, max_length):
    """Build the signature of a reader that takes strings: `QuestionAnswerer.predict` in the graph.

    Its `serve` is a `tf.function` of `question` and `context`, strings `(B,)`,
    and returns a dict:

    - `answer`: string `(B,)`. The context's own characters; empty where it has none.
    - `start`, `end`: int32 `(B,)`. Its first and last-plus-one character in the
      context, in code points; -1 where it has none.
    - `score`: float32 `(B,)`. Its probability among the 20 best.

    A context of any length goes through the model in rows that overlap. Bytes
    that are not UTF-8 count as U+FFFD.

    Args:
        task: `QuestionAnswerer`, with Keras on TensorFlow.
        max_length: int. Tokens of a row.
    Returns:
        `tf.Module` with `serve` and, as `weights`, the variables of the model.
    Raises:
        ImportError: if tensorflow-text is not installed.
        ValueError: if the tokenizer cannot go into the graph, or `max_length` has no room for text.
    """
    encode = build_windows(task.tokenizer, max_length, task.stride, paired=True)
    with tf.init_scope():
        widen = _build_widen()
    longest, threshold = task.max_answer_length, task.null_threshold
    signature = (
        tf.TensorSpec((None, CANDIDATES), tf.float32),
        tf.TensorSpec((None, CANDIDATES), tf.int64),
        tf.TensorSpec((None, CANDIDATES), tf.int64),
        tf.TensorSpec((None,), tf.float32),
    )

    def candidates(inputs):
        ids = {name: value for name, value in inputs.items() if name != "tokens"}
        logits = tf.cast(task.model(ids, training=False), tf.float32)  # (W, T, 2)
        return *_best_spans(logits, inputs["tokens"], longest), tf.reduce_sum(logits[:, 0], axis=-1)

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name=name) for name in ("question", "context")])
    def serve(question, context):
        same = tf.debugging.assert_equal(
            tf.shape(question), tf.shape(context), "question and context must be of one length"
        )
        with tf.control_dependencies([same]):
            context = tf.identity(context)
        windows = encode(context, question)
        found = in_chunks(candidates, {**windows.inputs, "tokens": windows.tokens}, signature)
        *spans, none = found
        scores, firsts, lasts = _unique_spans(*spans, windows.texts, tf.shape(context, tf.int64)[0])
        none = tf.math.unsorted_segment_min(none, windows.texts, tf.size(context))
        impossible = scores[:, 0] == -np.inf
        if threshold is None:
            none = tf.where(impossible, none, -np.inf)
        else:
            impossible |= none - scores[:, 0] > threshold
        chances = tf.nn.softmax(tf.cast(tf.concat([none[:, tf.newaxis], scores], axis=1), tf.float64))
        pieces = windows.pieces
        answered = tf.where(~impossible)
        texts = answered[:, 0]
        start, end, written = widen(
            pieces.code_points,
            texts,
            tf.gather(pieces.starts, tf.gather(firsts[:, 0], texts)),
            tf.gather(pieces.ends, tf.gather(lasts[:, 0], texts)),
        )
        nowhere = tf.fill([tf.size(context)], -1)
        return {
            "answer": tf.tensor_scatter_nd_update(tf.fill([tf.size(context)], ""), answered, written),
            "start": tf.tensor_scatter_nd_update(nowhere, answered, tf.cast(start, tf.int32)),
            "end": tf.tensor_scatter_nd_update(nowhere, answered, tf.cast(end, tf.int32)),
            "score": tf.cast(tf.where(impossible, chances[:, 0], chances[:, 1]), tf.float32),
        }

    module = tf.Module(name="question_answerer")
    module.weights = [weight.value for weight in task.model.weights]
    module.serve = serve
    return module


def _best_spans(logits, tokens, longest):
    """Return `(scores, firsts, lasts)` of the best spans of each row, `(W, CANDIDATES)`; -inf where there are fewer."""
    firsts, lasts = (tf.where(tokens >= 0, logits[..., end], -np.inf) for end in (0, 1))
    ends = tf.signal.frame(tf.pad(lasts, [[0, 0], [0, longest - 1]], constant_values=-np.inf), longest, 1)
    sums = tf.reshape(firsts[..., tf.newaxis] + ends, [tf.shape(tokens)[0], tf.size(tokens[0]) * longest])
    sums = tf.pad(sums, [[0, 0], [0, CANDIDATES]], constant_values=-np.inf)
    scores, places = tf.math.top_k(sums, CANDIDATES)
    begins = tf.minimum(places // longest, tf.shape(tokens)[1] - 1)
    ends = tf.minimum(begins + places % longest, tf.shape(tokens)[1] - 1)
    return scores, tf.gather(tokens, begins, batch_dims=1), tf.gather(tokens, ends, batch_dims=1)


def _unique_spans(scores, firsts, lasts, texts, count):
    """Return the best spans of each text, each once though several of its rows have it, `(B, CANDIDATES)`.

    Args:
        scores, firsts, lasts: `(W, CANDIDATES)`, as `_best_spans` returns them.
        texts: int64 `(W,)`. The text of each row.
        count: int64. B.
    """
    texts = tf.repeat(texts, CANDIDATES)
    scores, firsts, lasts = (tf.reshape(found, [-1]) for found in (scores, firsts, lasts))
    order = tf.argsort(scores, direction="DESCENDING", stable=True)
    order = tf.boolean_mask(order, tf.gather(scores, order) > -np.inf)
    spans = tf.gather(firsts, order) * (tf.reduce_max(lasts) + 1) + tf.gather(lasts, order)
    distinct, number = tf.unique(spans)
    first = tf.math.unsorted_segment_min(tf.range(tf.size(order)), number, tf.size(distinct))
    order = tf.gather(order, first)  # the best of each span, descending
    order = tf.gather(order, tf.argsort(tf.gather(texts, order), stable=True))
    splits = search(tf, tf.gather(texts, order), tf.range(count + 1))

    def best(values, nothing):
        rows = tf.RaggedTensor.from_row_splits(tf.gather(values, order), splits, validate=False)
        return rows.to_tensor(nothing, shape=[None, CANDIDATES])

    return best(scores, -np.inf), best(firsts, 0), best(lasts, 0)


def _build_widen():
    """Return the in-graph twin of `whole_characters`, which also gives the characters of each span."""
    extends = build_paged_lookup(
        tf, np.array([whole_characters(f"a{chr(code)}b", 0, 1)[1] > 1 for code in range(LAST)], np.int32)
    )

    def widen(code_points, texts, starts, ends):
        joined, bases = join_texts(code_points)
        base = tf.gather(bases, texts)
        before = tf.concat([joined[:1], joined[:-1]], axis=0)
        is_inner = (extends(joined) == 1) | (before == ord(JOINER))
        # Of each text the first place and the one after its last character are no inner ones.
        edges = tf.concat([bases, bases + code_points.row_lengths()], axis=0)[:, tf.newaxis]
        is_edge = tf.scatter_nd(edges, tf.ones_like(edges[:, 0]), tf.shape(joined, tf.int64)) > 0
        borders = tf.where(is_edge | ~is_inner)[:, 0]
        starts = tf.gather(borders, search(tf, borders, base + starts, side="right") - 1)
        ends = tf.gather(borders, search(tf, borders, base + ends))
        places = tf.ragged.range(starts, ends)
        written = places.with_flat_values(tf.gather(joined, places.flat_values))
        return starts - base, ends - base, tf.strings.unicode_encode(written, "UTF-8")

    return widen

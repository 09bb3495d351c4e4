"""Tagging from strings to spans in the graph, for clients that have no Python. Runs in the worker."""

import tensorflow as tf

from keras_bert_suite.data.tag_schemes import OUTSIDE, canonical_tags, split_tag
from keras_bert_suite.export.in_graph_field import decode_in_graph
from keras_bert_suite.export.in_graph_windows import build_windows, in_chunks
from keras_bert_suite.export.in_graph_words import build_words, find_runs
from keras_bert_suite.text.in_graph_parts import row_ids, search

__all__ = ["build_tagging"]


def build_tagging(task, max_length):
    """Build the signature of a tagger that takes strings: `TokenClassifier.predict` in the graph.

    Its `serve` is a `tf.function` of `text`, strings `(B,)`, and returns a dict.
    With S the most spans that a text of the batch has:

    - `num_spans`: int32 `(B,)`.
    - `start`, `end`: int32 `(B, S)`. First and last-plus-one character of each
      span in its text, in code points; -1 beyond `num_spans`.
    - `label`, `span`: string `(B, S)`. What it is, and its own characters;
      empty beyond `num_spans`.
    - `score`: float32 `(B, S)`. The mean probability of the tags of its words;
      0 beyond `num_spans`.

    A text of any length goes through the model in rows that overlap. Bytes that
    are not UTF-8 count as U+FFFD.

    Args:
        task: `TokenClassifier`, with Keras on TensorFlow.
        max_length: int. Tokens of a row.
    Returns:
        `tf.Module` with `serve` and, as `weights`, the variables of the model.
    Raises:
        ImportError: if tensorflow-text is not installed.
        ValueError: if the tokenizer cannot go into the graph, or `max_length` has no room for text.
    """
    encode = build_windows(task.tokenizer, max_length, task.stride)
    with tf.init_scope():
        find_words = build_words()
    field = task.model.get_layer("crf") if task.crf else None
    spans_of = _build_spans(task.labels)
    num_labels = len(task.labels)

    def logits_of(inputs):
        logits = tf.cast(task.model(inputs, training=False), tf.float32)
        return (logits[:, (2 + num_labels) * task.crf :],)  # what a field puts in front has no token

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="text")])
    def serve(text):
        windows = encode(text)
        (logits,) = in_chunks(logits_of, windows.inputs, (tf.TensorSpec((None, None, num_labels), tf.float32),))
        words = find_words(windows.pieces)
        places = tf.gather(windows.best_places(), words.pieces)
        emissions = tf.gather(tf.reshape(logits, [-1, num_labels]), places)
        if field is None:
            best = tf.argmax(emissions, axis=-1)
            certainty = tf.reduce_max(tf.nn.softmax(emissions), axis=-1)
        else:
            best, certainty = decode_in_graph(emissions, words.splits, field)
        return spans_of(windows.pieces.code_points, words, best, certainty)

    module = tf.Module(name="token_classifier")
    module.weights = [weight.value for weight in task.model.weights]
    module.serve = serve
    return module


def _build_spans(labels):
    """Return a function from words and the numbers of their tags to the outputs of a signature."""
    prefixes, kinds = zip(*map(split_tag, canonical_tags(labels).values()), strict=True)
    names = sorted(set(kinds))
    numbers = [names.index(kind) for kind in kinds]

    def spans_of(code_points, words, best, certainty):
        kind = tf.gather(tf.constant(numbers), best)
        outside, inside, open_before = (
            tf.gather(tf.constant([prefix in chosen for prefix in prefixes]), best) for chosen in (OUTSIDE, "IE", "BI")
        )
        row = row_ids(tf, words.splits)
        goes_on = inside[1:] & open_before[:-1] & (kind[1:] == kind[:-1]) & (row[1:] == row[:-1])
        goes_on = tf.concat([[False], goes_on], axis=0)[: tf.size(best)]
        firsts, lasts = find_runs(~outside & ~goes_on, goes_on)
        lengths = lasts - firsts
        sure = tf.ragged.range(firsts, lasts)
        sure = sure.with_flat_values(tf.gather(certainty, sure.flat_values))
        starts, ends = tf.gather(words.starts, firsts), tf.gather(words.ends, lasts - 1)
        row = tf.gather(row, firsts)
        base = tf.gather(code_points.row_splits, row)
        places = tf.ragged.range(base + starts, base + ends)
        written = places.with_flat_values(tf.gather(code_points.flat_values, places.flat_values))
        splits = search(tf, row, tf.range(code_points.nrows() + 1))

        def padded(values, nothing):
            return tf.RaggedTensor.from_row_splits(values, splits, validate=False).to_tensor(nothing)

        return {
            "num_spans": tf.cast(splits[1:] - splits[:-1], tf.int32),
            "start": padded(tf.cast(starts, tf.int32), -1),
            "end": padded(tf.cast(ends, tf.int32), -1),
            "label": padded(tf.gather(tf.constant(names), tf.gather(kind, firsts)), ""),
            "score": padded(tf.reduce_sum(sure, axis=1) / tf.cast(lengths, tf.float32), 0.0),
            "span": padded(tf.strings.unicode_encode(written, "UTF-8"), ""),
        }

    return spans_of

"""The tags of whole texts under a conditional random field, in the graph: `tasks.fields` for a SavedModel."""

import tensorflow as tf

from keras_bert_suite.text.in_graph_parts import row_ids, search

__all__ = ["decode_in_graph"]


def decode_in_graph(emissions, splits, layer):
    """Build the in-graph twin of `decode_field`.

    In float64, and with sums that are scaled at each word: those of a long text
    leave any range, and what they are off would be in the probabilities.

    Args:
        emissions: float32 `(W, L)`. The scores of the tags of each word.
        splits: int64 `(B + 1,)`. Text `i` has the words from `splits[i]` to `splits[i + 1]`.
        layer: `layers.CRF`.
    Returns:
        `(best, certainty)`: int64 `(W,)`, and float32 `(W,)`, the marginal
        probabilities of these tags.

    Source: Viterbi 1967; Rabiner 1989, sections III and V.A.
    """
    start, end, transitions = (
        tf.cast(weight.value, tf.float64)
        for weight in (layer.start_transitions, layer.end_transitions, layer.transitions)
    )
    num_labels = emissions.shape[-1]
    likely_steps = tf.exp(transitions - tf.reduce_max(transitions))
    places, active = _step_by_step(splits)
    borders = tf.concat([[0], tf.cumsum(active), [tf.size(places, tf.int64)]], axis=0)
    emissions = tf.scatter_nd(places[:, tf.newaxis], tf.cast(emissions, tf.float64), tf.shape(emissions, tf.int64))
    likely_tags = tf.exp(emissions - tf.reduce_max(emissions, axis=-1, keepdims=True))

    def at(values, step):
        """The rows of all words number `step`; none after the last."""
        return values[borders[step] : borders[step + 1]]

    def forward(step, scores, sums, found):
        """The best score of the ways to each tag of a word, the sum of all, and which tag the best one is through."""
        emission = at(emissions, step)
        count = tf.shape(emission)[0]
        ways = scores[:count, :, tf.newaxis] + transitions  # (C, L, L)
        scores = tf.where(step == 0, start, tf.reduce_max(ways, axis=1)) + emission
        sums = tf.where(step == 0, tf.nn.softmax(start), sums[:count] @ likely_steps)
        sums = _scaled(sums * at(likely_tags, step))
        return step + 1, scores, sums, _written(found, step, (scores, sums, tf.argmax(ways, axis=1)))

    def backward(step, tag, rest, found):
        """From the last words to the first: the tag, and the sum of all ways on from each tag."""
        came = tf.gather(at(through, step + 1), tag, axis=1, batch_dims=1)
        rest = _scaled(tf.matmul(at(likely_tags, step + 1) * rest, likely_steps, transpose_b=True))
        ended = at(scores, step)[tf.shape(came)[0] :] + end  # of texts whose last word this is
        tag = tf.concat([came, tf.argmax(ended, axis=-1)], axis=0)
        rest = tf.concat([rest, tf.zeros_like(ended) + tf.nn.softmax(end)], axis=0)
        return step - 1, tag, rest, _written(found, step, (tag, rest))

    steps = tf.size(active)
    numbers, ids = tf.TensorSpec((None, num_labels), tf.float64), tf.TensorSpec((None, num_labels), tf.int64)
    nothing = tf.zeros_like(at(emissions, 0))
    scores, sums, through = _loop(lambda step: step < steps, forward, 0, (nothing, nothing), (numbers, numbers, ids))
    nothing = tf.zeros([0], tf.int64), tf.zeros([0, num_labels], tf.float64)
    tags, rests = _loop(
        lambda step: step >= 0, backward, steps - 1, nothing, (tf.TensorSpec((None,), tf.int64), numbers)
    )
    certainty = tf.gather(_scaled(sums * rests), tags, axis=1, batch_dims=1)
    return tf.gather(tags, places), tf.cast(tf.gather(certainty, places), tf.float32)


def _step_by_step(splits):
    """Put the first words of all texts first, then their second words, and so on, longer texts before shorter ones.

    Returns:
        `(places, active)`: int64 `(W,)`, where each word comes to stand; and
        int64 `(S,)`, how many texts have a word number `s`.
    """
    lengths = splits[1:] - splits[:-1]
    order = tf.argsort(-lengths, stable=True)
    row = row_ids(tf, splits)
    step = tf.range(splits[-1]) - tf.gather(splits, row)
    longest = tf.reduce_max(tf.concat([lengths, [0]], axis=0))
    active = search(tf, -tf.gather(lengths, order), -tf.range(longest))
    rank = tf.cast(tf.math.invert_permutation(order), tf.int64)
    return tf.gather(tf.cumsum(active, exclusive=True), step) + tf.gather(rank, row), active


def _loop(condition, body, step, carry, signature):
    """Run a loop over steps; return what it wrote at each of them, the first step first."""
    found = tuple(
        tf.TensorArray(spec.dtype, size=0, dynamic_size=True, infer_shape=False, element_shape=spec.shape)
        for spec in signature
    )
    shapes = tuple(tf.TensorShape([None, *value.shape[1:]]) for value in carry)
    *_, found = tf.while_loop(
        lambda step, *_: condition(step),
        body,
        (step, *carry, found),
        shape_invariants=(tf.TensorShape([]), *shapes, tuple(tf.TensorShape(None) for _ in found)),
        parallel_iterations=1,
    )
    return tuple(array.concat() for array in found)


def _written(arrays, step, values):
    return tuple(array.write(step, value) for array, value in zip(arrays, values, strict=True))


def _scaled(sums):
    """Scale the last axis to a sum of 1."""
    return tf.math.divide_no_nan(sums, tf.reduce_sum(sums, axis=-1, keepdims=True))

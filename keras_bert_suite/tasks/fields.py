"""What a tagger does with its conditional random field: where it begins, and the tags of whole texts of any length."""

from itertools import product

import keras
import numpy as np

from keras_bert_suite.data.tag_schemes import OUTSIDE, may_follow

__all__ = ["decode_field", "forbid_transitions"]

#: The score with which a step that a scheme forbids begins: a likelihood of e^-10 beside one that it allows.
FORBIDDEN = -10.0


def forbid_transitions(layer, tags, scheme):
    """Let a new field begin with low scores of the steps that a scheme forbids: a few thousand tags hardly teach it.

    Args:
        layer: `layers.CRF`.
        tags: list of str, in the order of its labels.
        scheme: str out of `data.tag_schemes.SCHEMES`.
    """
    steps = np.array([may_follow(tag, before, scheme) for before, tag in product([OUTSIDE, *tags], [*tags, OUTSIDE])])
    scores = np.where(steps, 0.0, FORBIDDEN).reshape(len(tags) + 1, len(tags) + 1).astype("float32")
    layer.start_transitions.assign(scores[0, :-1])
    layer.end_transitions.assign(scores[1:, -1])
    layer.transitions.assign(scores[1:, :-1])


def decode_field(emissions, offsets, layer):
    """Find the best tags of texts of any length, and how certain each is.

    In NumPy, as it is many small steps over texts of all lengths, for which a
    backend would compile a program for each; `layers.Viterbi` is its twin.

    Args:
        emissions: float `(W, L)`. The scores of the tags of each word.
        offsets: int `(B + 1,)`. Text `i` has the words from `offsets[i]` to `offsets[i + 1]`.
        layer: `layers.CRF`.
    Returns:
        `(best, certainty)`: int `(W,)`, and float `(W,)`, the marginal
        probabilities of these tags.

    Source: Viterbi 1967; Rabiner 1989, section III.
    """
    start, end, transitions = (
        keras.ops.convert_to_numpy(weight.value).astype("float64")
        for weight in (layer.start_transitions, layer.end_transitions, layer.transitions)
    )
    emissions = emissions.astype("float64")
    lengths = np.diff(offsets)
    order = np.argsort(-lengths, kind="stable")
    order = order[lengths[order] > 0]
    starts, lengths = offsets[:-1][order], lengths[order]
    longest = int(lengths[0]) if len(lengths) else 0
    best, certainty = np.zeros(len(emissions), int), np.ones(len(emissions), "float32")
    # The longest texts come first: those that have a word number `step` are the first `active[step]` of them.
    active = np.searchsorted(-lengths, -np.arange(longest), side="left")

    scores = sums = None
    before, forward = np.zeros(emissions.shape, int), np.zeros_like(emissions)
    for step, count in enumerate(active):
        words = starts[:count] + step
        if step == 0:
            scores = sums = start + emissions[words]
        else:
            steps = scores[:count, :, None] + transitions  # (C, L, L)
            before[words] = steps.argmax(axis=1)
            scores[:count] = steps.max(axis=1) + emissions[words]
            sums[:count] = _log_sum(sums[:count, :, None] + transitions, axis=1) + emissions[words]
        if step == 0:
            scores, sums = scores.copy(), sums.copy()
        forward[words] = sums[:count]

    ended = scores + end if longest else None
    backward = np.zeros((len(order), len(end))) + end
    total = _log_sum(sums + end, axis=1) if longest else None
    tag = ended.argmax(axis=1) if longest else None
    for step in range(longest - 1, -1, -1):
        count = active[step]
        words = starts[:count] + step
        best[words] = tag[:count]
        marginal = forward[words] + backward[:count] - total[:count, None]
        certainty[words] = np.exp(np.minimum(marginal[np.arange(count), tag[:count]], 0))
        if step:
            tag[:count] = before[words, tag[:count]]
            backward[:count] = _log_sum(transitions + (emissions[words] + backward[:count])[:, None], axis=2)
    return best, certainty


def _log_sum(scores, axis):
    highest = scores.max(axis=axis, keepdims=True)
    return np.log(np.exp(scores - highest).sum(axis=axis)) + np.squeeze(highest, axis)

"""A linear-chain conditional random field: how well tags go together, beside how well each fits its word."""

import keras
from keras import ops

from keras_bert_suite.layers.base import SuiteLayer, register

__all__ = ["CRF", "Viterbi", "split_lattice"]


@register
class CRF(SuiteLayer):
    """Put the scores of transitions between tags in front of the scores of the tags of tokens.

    A tag sequence scores the sum of the scores of its tags, of the steps from
    each to the next, and of its first and last tag. Which tokens are in the
    sequence, training learns from the targets (`training.CRFLoss`) and decoding
    from a mask (`Viterbi`), so that tokens without a tag may stand between. The
    output holds all that both need: a loss sees nothing else.

    Without training, all of these scores are 0: the field does as a softmax would.

    Call arguments:
        logits: float `(B, T, L)`.
    Returns:
        float32 `(B, 2 + L + T, L)`: the scores of a first tag, of a last one, of
        the steps from each tag (rows) to each (columns), and the logits.
    Example:
    >>> import numpy as np
    >>> from keras_bert_suite.layers import CRF
    >>> tuple(CRF()(np.zeros((2, 5, 3), "float32")).shape)
    (2, 10, 3)

    Source: Lafferty et al. 2001; Lample et al. 2016, section 2.2.
    """

    def build(self, logits_shape):
        num_labels = logits_shape[-1]
        self.start_transitions = self.add_weight(shape=(num_labels,), initializer="zeros", name="start_transitions")
        self.end_transitions = self.add_weight(shape=(num_labels,), initializer="zeros", name="end_transitions")
        self.transitions = self.add_weight(shape=(num_labels, num_labels), initializer="zeros", name="transitions")

    def call(self, logits):
        scores = ops.concatenate([self.start_transitions[None], self.end_transitions[None], self.transitions])
        shape = (ops.shape(logits)[0], *scores.shape)
        scores = ops.broadcast_to(ops.cast(scores, self.compute_dtype), shape)
        return ops.concatenate([scores, logits], axis=1)

    def compute_output_shape(self, logits_shape):
        batch, length, num_labels = logits_shape
        return (batch, None if length is None else 2 + num_labels + length, num_labels)


def split_lattice(lattice):
    """Return the parts of what `CRF` returns: `(start, end, transitions, logits)`."""
    num_labels = lattice.shape[-1]
    return lattice[:, 0], lattice[:, 1], lattice[:, 2 : 2 + num_labels], lattice[:, 2 + num_labels :]


@register
class Viterbi(SuiteLayer):
    """Find the best tags of words under a conditional random field.

    Call arguments:
        lattice: float `(B, 2 + L + T, L)`, as `CRF` returns it.
        word_mask: int or bool `(B, T)`; 1 = a token that has a tag.
    Returns:
        int32 `(B, T)`; -1 where a token has none.
    Example:
    >>> import numpy as np
    >>> from keras_bert_suite.layers import CRF, Viterbi
    >>> lattice = CRF()(np.array([[[2.0, 1.0], [0.0, 5.0], [0.0, 1.0]]], "float32"))
    >>> np.asarray(Viterbi()(lattice, word_mask=np.array([[1, 0, 1]]))).tolist()
    [[0, -1, 1]]

    Source: Viterbi 1967.
    """

    def build(self, lattice_shape, word_mask_shape=None):
        pass

    def call(self, lattice, word_mask):
        start, end, transitions, logits = (ops.cast(part, "float32") for part in split_lattice(lattice))
        words = ops.cast(ops.cast(word_mask, "bool"), "float32")

        def backward(carry, token):
            """From the last word to the first: the best score from each tag of a word on."""
            best, ended = carry  # (B, L), and whether no word comes after
            scores, word = token[..., :-1], token[..., -1:] > 0
            rest = ops.where(ended, end, ops.max(transitions + ops.expand_dims(best, 1), axis=-1))
            # On TensorFlow, what is kept of each step must be like what is carried.
            return (ops.where(word, scores + rest, best), ops.logical_and(ended, ops.logical_not(word))), carry

        def forward(tag, token):
            after, word = token[..., :-1], token[..., -1] > 0
            following = _best(ops.take(transitions[0], tag, axis=0) + after)
            return ops.where(word, following, tag), ops.where(word, tag, -1)

        # On TensorFlow, what is scanned must be one array where its length is open.
        tokens = ops.transpose(ops.concatenate([logits, ops.expand_dims(words, -1)], axis=-1), (1, 0, 2))
        nothing = ops.zeros_like(start), ops.ones_like(start[:, :1]) > 0
        (best, _), (after, _) = ops.scan(backward, nothing, tokens, reverse=True)
        first = _best(start + best)
        _, tags = ops.scan(forward, first, ops.concatenate([after, tokens[..., -1:]], axis=-1))
        return ops.transpose(tags)

    def compute_output_shape(self, lattice_shape, word_mask_shape):
        return tuple(word_mask_shape)

    def compute_output_spec(self, lattice, word_mask):
        return keras.KerasTensor(self.compute_output_shape(lattice.shape, word_mask.shape), dtype="int32")


def _best(scores):
    """The best tag. Of integers, because `argmax` of floats needs an operation that LiteRT lacks."""
    best = ops.cast(scores >= ops.max(scores, axis=-1, keepdims=True), "int32")
    return ops.cast(ops.argmax(best, axis=-1), "int32")

"""What a conditional random field is trained to make small."""

import keras
import numpy as np
from keras import ops

from keras_bert_suite.layers.crf import split_lattice

__all__ = ["CRFLoss", "crf_targets"]


def crf_targets(tags, firsts, num_labels):
    """Return the targets of `CRFLoss`.

    Args:
        tags: int array. The tag of each token, below 0 for one without.
        firsts: bool array, as large. Whether it is the first tag of its text.
        num_labels: int.
    Returns:
        int array: 0 for a token without a tag, `1 + tag`, and `1 + num_labels +
        tag` where a text begins, as several may share a row.
    Example:
    >>> crf_targets(np.array([-1, 0, 2]), np.array([False, True, False]), num_labels=3).tolist()
    [0, 4, 3]
    """
    return np.where(tags < 0, 0, 1 + tags + num_labels * firsts).astype("int32")


@keras.saving.register_keras_serializable(package="keras_bert_suite")
class CRFLoss(keras.losses.Loss):
    """Negative log-likelihood of the tags of texts under a linear-chain conditional random field, in nats.

    Each tag has a share in it, so that weights and means by token are weights
    and means of whole texts, several in a row or not: the sum over the tags of
    a text is its negative log-likelihood. A tag's share is that of it given
    the ones before it in the reverse order of the text.

    Args:
        reduction, name: as in `keras.losses.Loss`. Defaults to the mean by sample weight.
    Call arguments:
        y_true: int `(B, T)`, as `crf_targets` makes them.
        y_pred: float `(B, 2 + L + T, L)`, as `layers.CRF` returns it.
        sample_weight: optional float `(B, T)`: 0 for tokens without a tag.
    Example:
    >>> from keras_bert_suite.layers import CRF
    >>> lattice = CRF()(np.zeros((1, 2, 3), "float32"))
    >>> loss = CRFLoss()(crf_targets(np.array([[0, 2]]), np.array([[True, False]]), 3), lattice)
    >>> bool(np.isclose(keras.ops.convert_to_numpy(loss), np.log(3)))
    True

    Source: Lafferty et al. 2001; Sutton and McCallum 2012, section 4.1.
    """

    def __init__(self, reduction="mean_with_sample_weight", name="crf_loss", **kwargs):
        super().__init__(name=name, reduction=reduction, **kwargs)

    def call(self, y_true, y_pred):
        start, end, transitions, logits = (ops.cast(part, "float32") for part in split_lattice(y_pred))
        num_labels = y_pred.shape[-1]
        targets = ops.cast(y_true, "int32")
        chosen = ops.one_hot((targets - 1) % num_labels, num_labels, dtype="float32")  # (B, T, L)

        def backward(carry, token):
            """From the last word of a row to its first: log-sums over all ways to go on, less what was given out."""
            sums, tag, ended, _ = carry  # (B, L), the next tag as (B, L), and whether no word of the text comes after
            scores, right = token[..., :num_labels], token[..., num_labels:-2]
            word, first = token[..., -2:-1] > 0, token[..., -1:] > 0
            steps = transitions + ops.expand_dims(sums, 1)  # (B, L, L)
            rest = ops.where(ended, end, ops.logsumexp(steps, axis=-1))
            here = scores + rest
            total = ops.logsumexp(here, axis=-1, keepdims=True)
            followed = ops.where(ended, end, ops.sum(transitions * ops.expand_dims(tag, 1), axis=-1))
            loss = total - ops.sum(right * (scores + followed), axis=-1, keepdims=True)
            begun = start + here - total
            opening = ops.logsumexp(begun, axis=-1, keepdims=True) - ops.sum(right * start, axis=-1, keepdims=True)
            carry = (
                ops.where(word, here - total, sums),
                ops.where(word, right, tag),
                ops.where(word, first, ended),
                ops.where(word, loss + ops.where(first, opening, 0.0), 0.0),
            )
            return carry, carry  # on TensorFlow, what is kept of each step must be like what is carried

        # On TensorFlow, what is scanned must be one array where its length is open.
        flags = ops.cast(ops.stack([targets > 0, targets > num_labels], axis=-1), "float32")
        tokens = ops.transpose(ops.concatenate([logits, chosen, flags], axis=-1), (1, 0, 2))  # (T, B, 2 L + 2)
        nothing = ops.zeros_like(start)
        carry = (nothing, nothing, ops.ones_like(start[:, :1]) > 0, nothing[:, :1])
        _, (*_, losses) = ops.scan(backward, carry, tokens, reverse=True)
        return ops.transpose(losses[..., 0])

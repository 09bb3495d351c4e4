"""What pretraining makes small, and how well a discriminator tells replaced tokens."""

import keras
from keras import ops

from keras_bert_suite.training.losses import ClassificationLoss

__all__ = ["MaskedLMLoss", "ReplacedTokenAccuracy", "ReplacedTokenLoss"]


@keras.saving.register_keras_serializable(package="keras_bert_suite")
class MaskedLMLoss(ClassificationLoss):
    """Cross-entropy over the vocabulary, the mean over all masked tokens of a batch.

    Args:
        Those of `ClassificationLoss`.
    Call arguments:
        y_true: int `(B, P)`: the ids to guess.
        y_pred: float `(B, P, V)`: logits.
        sample_weight: float `(B, P)`: 1 where there is a masked token, else 0.
    Example:
    >>> logits = np.zeros((1, 2, 8), "float32")
    >>> round(float(MaskedLMLoss()(np.array([[3, 0]]), logits, np.array([[1.0, 0.0]]))), 4)
    2.0794

    Source: Devlin et al. 2018, section 3.1.
    """

    def __init__(self, name="masked_lm_loss", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        # Two dimensions, so that PyTorch need not move the vocabulary's to where its kernel wants it.
        losses = super().call(ops.reshape(y_true, (-1,)), ops.reshape(y_pred, (-1, y_pred.shape[-1])))
        return ops.reshape(losses, ops.shape(y_pred)[:2])


@keras.saving.register_keras_serializable(package="keras_bert_suite")
class ReplacedTokenLoss(keras.losses.Loss):
    """Binary cross-entropy of telling which tokens a generator replaced.

    A token that the generator guessed right is none that was replaced. What it
    guessed is known only to the model, which returns it beside the logit.

    Args:
        reduction: as in `keras.losses.Loss`. Defaults to the mean by sample weight.
        Others: as in `keras.losses.Loss`.
    Call arguments:
        y_true: int `(B, T)`: the ids of the text.
        y_pred: float `(B, T, 2)`: the logit that a token was replaced, and the id that was shown.
        sample_weight: optional float `(B, T)`: 0 for padding.
    Example:
    >>> shown = np.array([[[-2.0, 7], [2.0, 9]]], "float32")
    >>> round(float(ReplacedTokenLoss()(np.array([[7, 8]]), shown)), 4)
    0.1269

    Source: Clark et al. 2020, section 2.
    """

    def __init__(self, reduction="mean_with_sample_weight", name="replaced_token_loss", **kwargs):
        super().__init__(name=name, reduction=reduction, **kwargs)

    def call(self, y_true, y_pred):
        logits, replaced = _parts(y_true, y_pred)
        return ops.softplus(logits) - replaced * logits


@keras.saving.register_keras_serializable(package="keras_bert_suite")
class ReplacedTokenAccuracy(keras.metrics.Mean):
    """Share of tokens of which it is told rightly whether they were replaced.

    Call arguments:
        y_true, y_pred, sample_weight: as in `ReplacedTokenLoss`.
    """

    def __init__(self, name="replaced_token_accuracy", **kwargs):
        super().__init__(name=name, **kwargs)

    def update_state(self, y_true, y_pred, sample_weight=None):
        logits, replaced = _parts(y_true, y_pred)
        super().update_state(ops.cast(ops.equal(logits > 0, replaced > 0), "float32"), sample_weight)


def _parts(y_true, y_pred):
    """Return the logits, and 1 where a token was replaced, both float32 `(B, T)`."""
    replaced = ops.not_equal(ops.cast(y_pred[..., 1], "int32"), ops.cast(y_true, "int32"))
    return y_pred[..., 0], ops.cast(replaced, "float32")

"""What classifiers are trained to make small."""

import math

import keras
from keras import ops

from keras_bert_suite.errors import check_rate

__all__ = ["ClassificationLoss", "RDropLoss"]


@keras.saving.register_keras_serializable(package="keras_bert_suite")
class ClassificationLoss(keras.losses.Loss):
    """Cross-entropy from logits and int labels, smoothed if wished.

    Smoothing takes `label_smoothing` from the label and gives it to all labels
    in equal parts, as in `torch.nn.CrossEntropyLoss`; Keras has it for one-hot
    labels alone.

    Args:
        label_smoothing: float in [0, 1). Defaults to 0.
        reduction: as in `keras.losses.Loss`. Defaults to the mean by sample weight.
        Others: as in `keras.losses.Loss`.
    Call arguments:
        y_true: int `(...)`, e.g. `(B,)`, or `(B, P)` with several examples a row.
        y_pred: float `(..., L)`: logits.
        sample_weight: optional float `(...)`.
    Example:
    >>> loss = ClassificationLoss(label_smoothing=0.1)
    >>> round(float(loss(np.array([0, 1]), np.array([[2.0, 0.0], [0.0, 2.0]], "float32"))), 4)
    0.2269

    Source: Szegedy et al. 2016, section 7.
    """

    def __init__(self, label_smoothing=0.0, reduction="mean_with_sample_weight", name="classification_loss", **kwargs):
        check_rate(type(self).__name__, label_smoothing=label_smoothing)
        super().__init__(name=name, reduction=reduction, **kwargs)
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        if len(y_true.shape) == len(y_pred.shape):
            y_true = ops.squeeze(y_true, -1)  # (..., 1) to (...)
        loss = ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)
        if not self.label_smoothing:
            return loss
        uniform = ops.logsumexp(y_pred, axis=-1) - ops.mean(y_pred, axis=-1)  # cross-entropy with equal parts
        return (1 - self.label_smoothing) * loss + self.label_smoothing * uniform

    def get_config(self):
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable(package="keras_bert_suite")
class RDropLoss(ClassificationLoss):
    """Cross-entropy, and how far two passes under different dropout diverge.

    A batch has every example twice in a row: rows `2i` and `2i + 1` are the same
    example. To the mean of their cross-entropies comes `alpha` times the mean of
    the two Kullback-Leibler divergences between what they predict. Batches of
    validation data have to be so too; without dropout the divergence is 0.

    Args:
        alpha: float. Weight of the divergence; 1 to 5 are usual. Defaults to 1.0.
        label_smoothing: float in [0, 1). Defaults to 0.
        Others: as in `ClassificationLoss`.
    Call arguments:
        y_true: int `(B,)`, with B even.
        y_pred: float `(B, L)`: logits.
        sample_weight: optional float `(B,)`.
    Example:
    >>> loss = RDropLoss(alpha=1.0)
    >>> twice = np.array([[2.0, 0.0], [2.0, 0.0]], "float32")
    >>> bool(np.isclose(float(loss(np.array([0, 0]), twice)), float(ClassificationLoss()(np.array([0, 0]), twice))))
    True

    Source: Liang et al. 2021, equations 1 to 3.
    """

    def __init__(self, alpha=1.0, label_smoothing=0.0, name="r_drop_loss", **kwargs):
        super().__init__(label_smoothing=label_smoothing, name=name, **kwargs)
        if not 0 <= alpha < math.inf:
            raise ValueError(f"RDropLoss: alpha must be 0 or above. Received: alpha={alpha}.")
        self.alpha = alpha

    def call(self, y_true, y_pred):
        if len(y_pred.shape) != 2 or (y_pred.shape[0] or 0) % 2:
            raise ValueError(
                "RDropLoss: logits must be (B, L), with every example twice in a row, so that B is even. "
                f"Received: shape {tuple(y_pred.shape)}. Repeat the examples of training and validation data."
            )
        logs = ops.reshape(ops.log_softmax(y_pred, axis=-1), (-1, 2, y_pred.shape[-1]))  # (B / 2, 2, L)
        first, second = logs[:, 0], logs[:, 1]
        both_ways = ops.sum((ops.exp(first) - ops.exp(second)) * (first - second), axis=-1)  # KL(1||2) + KL(2||1)
        return super().call(y_true, y_pred) + self.alpha / 2 * ops.repeat(both_ways, 2)

    def get_config(self):
        return {**super().get_config(), "alpha": self.alpha}

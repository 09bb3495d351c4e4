"""What a model that marks a span is trained to make small, and how often it is right."""

import keras
from keras import ops

__all__ = ["SpanAccuracy", "SpanLoss"]


@keras.saving.register_keras_serializable(package="keras_bert_suite")
class SpanLoss(keras.losses.Loss):
    """Mean of two cross-entropies over the positions of a row: of the first token of a span, and of its last.

    All positions compete, padding too, as in the question answering models of
    `transformers`. An end that is not a position of the row is left out.

    Args:
        reduction: as in `keras.losses.Loss`. Defaults to the mean by sample weight.
        Others: as in `keras.losses.Loss`.
    Call arguments:
        y_true: int `(B, 2)`. First and last token of the span; `(0, 0)`, the
            `[CLS]`, where the row has none.
        y_pred: float `(B, T, 2)`: logits of first and last.
        sample_weight: optional float `(B,)`.
    Example:
    >>> logits = np.zeros((1, 4, 2), "float32")
    >>> round(float(SpanLoss()(np.array([[1, 2]]), logits)), 4)  # log(4)
    1.3863

    Source: Devlin et al. 2018, section 4.2.
    """

    def __init__(self, reduction="mean_with_sample_weight", name="span_loss", **kwargs):
        super().__init__(name=name, reduction=reduction, **kwargs)

    def call(self, y_true, y_pred):
        y_true = ops.cast(y_true, "int32")
        inside = ops.logical_and(y_true >= 0, y_true < ops.shape(y_pred)[1])
        logits = ops.transpose(y_pred, (0, 2, 1))  # (B, 2, T)
        losses = ops.sparse_categorical_crossentropy(ops.where(inside, y_true, 0), logits, from_logits=True)
        inside = ops.cast(inside, losses.dtype)
        # Of each end, the mean is over the rows that have it.
        shares = ops.mean(inside, axis=0, keepdims=True)
        return ops.mean(losses * inside / ops.maximum(shares, 1e-7), axis=-1)


@keras.saving.register_keras_serializable(package="keras_bert_suite")
class SpanAccuracy(keras.metrics.MeanMetricWrapper):
    """Share of the rows whose most likely first and last token are both right.

    Args:
        name: str. Defaults to `"accuracy"`.
        dtype: as in `keras.metrics.Metric`.
    Example:
    >>> metric = SpanAccuracy()
    >>> metric.update_state(np.array([[1, 1], [0, 1]]), np.array([[[0, 0], [1, 1]]] * 2, "float32"))
    >>> float(metric.result())
    0.5
    """

    def __init__(self, name="accuracy", dtype=None):
        super().__init__(_both_right, name=name, dtype=dtype)

    def get_config(self):
        return {"name": self.name, "dtype": self.dtype}


def _both_right(y_true, y_pred):
    found = ops.argmax(y_pred, axis=1)  # (B, 2)
    return ops.cast(ops.all(ops.equal(ops.cast(y_true, found.dtype), found), axis=-1), y_pred.dtype)

"""What a model that chooses is trained to make small, and how often it is right, with any number of choices."""

import keras
from keras import ops

from keras_bert_suite.training.losses import ClassificationLoss

__all__ = ["ChoiceAccuracy", "ChoiceLoss"]

#: A logit that leaves nothing to a choice, and is finite in float16 too.
NEVER = -3e4


@keras.saving.register_keras_serializable(package="keras_bert_suite")
class ChoiceLoss(ClassificationLoss):
    """Cross-entropy over the choices that a question has; rows may be filled up with others.

    Args:
        label_smoothing: float in [0, 1). Defaults to 0.
        Others: as in `ClassificationLoss`.
    Call arguments:
        y_true: int `(B, 2)`: the right choice, and how many there are.
        y_pred: float `(B, C)`: logits, of which only the first so many count.
        sample_weight: optional float `(B,)`.
    Example:
    >>> logits = np.array([[1.0, 1.0, 9.0]], "float32")
    >>> round(float(ChoiceLoss()(np.array([[0, 2]]), logits)), 4)  # log(2)
    0.6931
    """

    def __init__(self, label_smoothing=0.0, reduction="mean_with_sample_weight", name="choice_loss", **kwargs):
        super().__init__(label_smoothing, reduction, name, **kwargs)

    def call(self, y_true, y_pred):
        real = _real(y_true, y_pred)
        logits = ops.where(real, y_pred, NEVER)
        loss = ops.sparse_categorical_crossentropy(ops.cast(y_true[:, 0], "int32"), logits, from_logits=True)
        if not self.label_smoothing:
            return loss
        mean = ops.sum(ops.where(real, y_pred, 0.0), axis=-1) / ops.cast(y_true[:, 1], y_pred.dtype)
        uniform = ops.logsumexp(logits, axis=-1) - mean  # cross-entropy with equal parts
        return (1 - self.label_smoothing) * loss + self.label_smoothing * uniform


@keras.saving.register_keras_serializable(package="keras_bert_suite")
class ChoiceAccuracy(keras.metrics.MeanMetricWrapper):
    """Share of the questions whose likeliest choice is right; `y_true` as in `ChoiceLoss`.

    Args:
        name: str. Defaults to `"accuracy"`.
        dtype: as in `keras.metrics.Metric`.
    Example:
    >>> metric = ChoiceAccuracy()
    >>> metric.update_state(np.array([[0, 2], [1, 3]]), np.array([[1.0, 0.0, 9.0]] * 2, "float32"))
    >>> float(metric.result())
    0.5
    """

    def __init__(self, name="accuracy", dtype=None):
        super().__init__(_right, name=name, dtype=dtype)

    def get_config(self):
        return {"name": self.name, "dtype": self.dtype}


def _real(y_true, y_pred):
    return ops.arange(ops.shape(y_pred)[1])[None] < ops.cast(y_true[:, 1:], "int32")


def _right(y_true, y_pred):
    found = ops.argmax(ops.where(_real(y_true, y_pred), y_pred, NEVER), axis=-1)
    return ops.cast(ops.equal(found, ops.cast(y_true[:, 0], found.dtype)), y_pred.dtype)

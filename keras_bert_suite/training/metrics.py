"""Metrics that Keras lacks."""

import keras
from keras import ops

__all__ = ["MeanLoss", "MultiLabelF1"]


@keras.saving.register_keras_serializable(package="keras_bert_suite")
class MeanLoss(keras.metrics.Mean):
    """A loss in the logs of `fit`, as a mean over all examples of the epoch by their weights.

    Keras takes the mean over batches, by rows: where rows hold several examples,
    or a row is shared out between two devices, that is a little off. Among
    `weighted_metrics` of a model with one output, this takes its place.

    Args:
        loss: `keras.losses.Loss` with a value for each example.
        Others: as in `keras.metrics.Mean`.
    Call arguments:
        y_true, y_pred: as in `loss`.
        sample_weight: optional float, of the shape of the values.
    Example:
    >>> metric = MeanLoss(keras.losses.MeanSquaredError())
    >>> metric.update_state(np.zeros((2, 1)), np.array([[1.0], [2.0]]))
    >>> metric.update_state(np.zeros((1, 1)), np.array([[4.0]]))
    >>> float(metric.result())
    7.0
    """

    def __init__(self, loss, name="loss", **kwargs):
        super().__init__(name=name, **kwargs)
        self.loss = keras.losses.get(loss)

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_pred = ops.stop_gradient(ops.convert_to_tensor(y_pred))
        return super().update_state(self.loss.call(y_true, y_pred), sample_weight)

    def get_config(self):
        return {**super().get_config(), "loss": keras.losses.serialize(self.loss)}


@keras.saving.register_keras_serializable(package="keras_bert_suite")
class MultiLabelF1(keras.metrics.Metric):
    """F1 over all labels of all examples together (micro), from logits: a label is chosen above 0.

    Call arguments:
        y_true: `(..., L)` of 0 and 1.
        y_pred: float `(..., L)`: logits.
        sample_weight: optional float `(...)`.
    Example:
    >>> metric = MultiLabelF1()
    >>> metric.update_state(np.array([[1, 0, 1]], "float32"), np.array([[2.0, 1.0, -1.0]], "float32"))
    >>> float(metric.result())
    0.5
    """

    def __init__(self, name="f1", **kwargs):
        super().__init__(name=name, **kwargs)
        self.hits = self.add_variable((), "zeros", name="hits")
        self.chosen_and_true = self.add_variable((), "zeros", name="chosen_and_true")

    def update_state(self, y_true, y_pred, sample_weight=None):
        true = ops.cast(y_true, "float32")
        chosen = ops.cast(y_pred > 0, "float32")
        weights = ops.ones_like(true) if sample_weight is None else ops.cast(sample_weight, "float32")[..., None]
        self.hits.assign_add(ops.sum(true * chosen * weights))
        self.chosen_and_true.assign_add(ops.sum((true + chosen) * weights))

    def result(self):
        return 2 * self.hits / ops.maximum(self.chosen_and_true, 1e-12)

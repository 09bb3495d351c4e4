"""Metrics that Keras lacks."""

import keras
from keras import ops

__all__ = ["MultiLabelF1"]


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

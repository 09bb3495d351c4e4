"""The way from `(B, P, ...)`, several places an example, to one a row, which encoders and heads take, and back."""

import keras
from keras import ops

from keras_bert_suite.layers.base import SuiteLayer, register

__all__ = ["Fold", "Unfold"]


@register
class Fold(SuiteLayer):
    """Make a row of every place.

    Call arguments:
        values: `(B, P, N)`, e.g. int tokens of P texts or float vectors of P places.
    Returns:
        `(B * P, N)`, of the same kind.
    Example:
    >>> import numpy as np
    >>> from keras_bert_suite.layers import Fold
    >>> tuple(Fold()(np.zeros((2, 4, 5), "int32")).shape)
    (8, 5)
    """

    def build(self, values_shape):
        pass

    def call(self, values):
        return ops.reshape(values, (-1, ops.shape(values)[2]))

    def compute_output_shape(self, values_shape):
        batch, places, width = values_shape
        return (None if None in (batch, places) else batch * places, width)

    def compute_output_spec(self, values):
        dtype = self.compute_dtype if keras.backend.is_float_dtype(values.dtype) else values.dtype
        return keras.KerasTensor(self.compute_output_shape(values.shape), dtype=dtype)


@register
class Unfold(SuiteLayer):
    """Put what was computed for the places of one example side by side.

    Call arguments:
        rows: float `(B * P, N)`.
        folded: `(B, P, ...)`, what the rows were made from; only its shape counts.
    Returns:
        float `(B, P, N)`.
    Example:
    >>> import numpy as np
    >>> from keras_bert_suite.layers import Unfold
    >>> tuple(Unfold()(np.zeros((8, 3), "float32"), folded=np.zeros((2, 4, 5), "int32")).shape)
    (2, 4, 3)
    """

    def build(self, rows_shape, folded_shape=None):
        pass

    def call(self, rows, folded):
        return ops.reshape(rows, (*ops.shape(folded)[:2], rows.shape[-1]))

    def compute_output_shape(self, rows_shape, folded_shape):
        return (*folded_shape[:2], rows_shape[-1])

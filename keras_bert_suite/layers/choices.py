"""The way from `(B, C, T)`, several choices an example, to rows that an encoder takes, and back."""

import keras
from keras import ops

from keras_bert_suite.layers.base import SuiteLayer, register

__all__ = ["FoldChoices", "UnfoldChoices"]


@register
class FoldChoices(SuiteLayer):
    """Make a row of every choice.

    Call arguments:
        ids: int `(B, C, T)`.
    Returns:
        int `(B * C, T)`.
    Example:
    >>> import numpy as np
    >>> from keras_bert_suite.layers import FoldChoices
    >>> tuple(FoldChoices()(np.zeros((2, 4, 5), "int32")).shape)
    (8, 5)
    """

    def build(self, ids_shape):
        pass

    def call(self, ids):
        return ops.reshape(ids, (-1, ops.shape(ids)[2]))

    def compute_output_shape(self, ids_shape):
        batch, choices, length = ids_shape
        return (None if None in (batch, choices) else batch * choices, length)

    def compute_output_spec(self, ids):
        return keras.KerasTensor(self.compute_output_shape(ids.shape), dtype=ids.dtype)


@register
class UnfoldChoices(SuiteLayer):
    """Put the scores of the choices of one example side by side.

    Call arguments:
        scores: float `(B * C, 1)`.
        ids: int `(B, C, T)`; only its shape counts.
    Returns:
        float `(B, C)`.
    Example:
    >>> import numpy as np
    >>> from keras_bert_suite.layers import UnfoldChoices
    >>> tuple(UnfoldChoices()(np.zeros((8, 1), "float32"), ids=np.zeros((2, 4, 5), "int32")).shape)
    (2, 4)
    """

    def build(self, scores_shape, ids_shape=None):
        pass

    def call(self, scores, ids):
        return ops.reshape(scores, ops.shape(ids)[:2])

    def compute_output_shape(self, scores_shape, ids_shape):
        return tuple(ids_shape[:2])

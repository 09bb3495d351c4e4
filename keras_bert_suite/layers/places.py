"""The way from `(B, P, D)`, several sequences a row, to one vector a row, which heads take, and back."""

from keras import ops

from keras_bert_suite.layers.base import SuiteLayer, register

__all__ = ["FoldPlaces", "UnfoldPlaces"]


@register
class FoldPlaces(SuiteLayer):
    """Make a row of every place.

    Call arguments:
        features: float `(B, P, D)`.
    Returns:
        float `(B * P, D)`.
    Example:
    >>> import numpy as np
    >>> from keras_bert_suite.layers import FoldPlaces
    >>> tuple(FoldPlaces()(np.zeros((2, 4, 5), "float32")).shape)
    (8, 5)
    """

    def build(self, features_shape):
        pass

    def call(self, features):
        return ops.reshape(features, (-1, features.shape[-1]))

    def compute_output_shape(self, features_shape):
        batch, places, width = features_shape
        return (None if None in (batch, places) else batch * places, width)


@register
class UnfoldPlaces(SuiteLayer):
    """Put what was computed for the places of one row side by side.

    Call arguments:
        outputs: float `(B * P, L)`.
        positions: int `(B, P)`; only its shape counts.
    Returns:
        float `(B, P, L)`.
    Example:
    >>> import numpy as np
    >>> from keras_bert_suite.layers import UnfoldPlaces
    >>> tuple(UnfoldPlaces()(np.zeros((8, 3), "float32"), positions=np.zeros((2, 4), "int32")).shape)
    (2, 4, 3)
    """

    def build(self, outputs_shape, positions_shape=None):
        pass

    def call(self, outputs, positions):
        return ops.reshape(outputs, (*ops.shape(positions), outputs.shape[-1]))

    def compute_output_shape(self, outputs_shape, positions_shape):
        return (*positions_shape, outputs_shape[-1])

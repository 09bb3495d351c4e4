"""One vector for a whole sequence, taken from its tokens without any weights."""

from keras import ops

from keras_bert_suite.errors import check_choice
from keras_bert_suite.layers.base import SuiteLayer, register

__all__ = ["Pooling"]

MODES = ("first", "mean", "max", "mean_sqrt_length", "weighted_mean", "last")


@register
class Pooling(SuiteLayer):
    """Reduce the vectors of a sequence to one; padding has no part in it.

    `keras.layers.GlobalAveragePooling1D` with a mask is the `"mean"` of a whole
    row; this layer takes the mask as an input and also knows the other ways.

    Args:
        mode: str. `"first"` token, `"last"` token, `"mean"`, `"max"`,
            `"mean_sqrt_length"` (the sum over the square root of the length) or
            `"weighted_mean"` (later tokens weigh more: 1, 2, 3, ...).
    Call arguments:
        hidden_states: float `(B, T, D)`.
        padding_mask: bool or int `(B, T)`; 1 = token, 0 = padding.
    Returns:
        float `(B, D)` in the layer's compute dtype. Zeros for a row of nothing
        but padding, unless the mode is `"first"` or `"last"`.
    Example:
    >>> import numpy as np
    >>> from keras_bert_suite.layers import Pooling
    >>> hidden_states = np.array([[[2.0], [4.0], [9.0]]], "float32")
    >>> float(Pooling("mean")(hidden_states, padding_mask=np.array([[1, 1, 0]]))[0, 0])
    3.0

    Source: Reimers and Gurevych 2019, section 3; Muennighoff 2022, section 3, for the weighted mean.
    """

    config_names = ("mode",)

    def __init__(self, mode="mean", **kwargs):
        super().__init__(**kwargs)
        check_choice("Pooling", "mode", mode, MODES)
        self.mode = mode

    def build(self, hidden_states_shape, padding_mask_shape=None):
        pass

    def call(self, hidden_states, padding_mask):
        if self.mode == "first":
            return hidden_states[:, 0]
        # Sums over hundreds of tokens need the precision of float32.
        mask = ops.expand_dims(ops.cast(ops.cast(padding_mask, "bool"), "float32"), -1)  # (B, T, 1)
        values = ops.cast(hidden_states, "float32")
        if self.mode == "max":
            pooled = ops.max(values * mask + (1.0 - mask) * -1e9, axis=1) * ops.max(mask, axis=1)
        elif self.mode == "last":
            places = ops.cumsum(mask, axis=1)  # the last token is the first place where the count is full
            pooled = ops.sum(
                values * mask * ops.cast(places == ops.sum(mask, axis=1, keepdims=True), "float32"), axis=1
            )
        else:
            weights = mask
            if self.mode == "weighted_mean":  # counted from the first token; a hole counts, as a place
                weights = mask * ops.cumsum(ops.minimum(ops.cumsum(mask, axis=1), 1.0), axis=1)
            total = ops.maximum(ops.sum(weights, axis=1), 1e-9)  # (B, 1)
            pooled = ops.sum(values * weights, axis=1) / (ops.sqrt(total) if self.mode == "mean_sqrt_length" else total)
        return ops.cast(pooled, self.compute_dtype)

    def compute_output_shape(self, hidden_states_shape, padding_mask_shape=None):
        return (hidden_states_shape[0], hidden_states_shape[-1])

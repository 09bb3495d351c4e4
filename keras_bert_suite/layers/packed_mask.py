"""Which tokens see one another in rows that hold several sequences."""

import keras
from keras import ops

from keras_bert_suite.layers.base import SuiteLayer, register

__all__ = ["PackedMask"]


@register
class PackedMask(SuiteLayer):
    """Let every token see the tokens of its own sequence and no others.

    Padding sees padding, so that no row of the mask is empty.

    Call arguments:
        sequence_ids: int `(B, T)`; 0 = padding, 1 = first sequence of the row, 2 = second.
    Returns:
        bool `(B, T, T)`, as `SelfAttention` takes it; `[b, i, j]`: token `i` sees token `j`.
    Example:
    >>> import numpy as np
    >>> from keras_bert_suite.layers import PackedMask
    >>> np.asarray(PackedMask()(np.array([[1, 2, 2]]))).astype(int)[0].tolist()
    [[1, 0, 0], [0, 1, 1], [0, 1, 1]]

    Source: Krell et al. 2021, section 3.2.
    """

    def build(self, sequence_ids_shape):
        pass

    def call(self, sequence_ids):
        return ops.equal(ops.expand_dims(sequence_ids, 2), ops.expand_dims(sequence_ids, 1))

    def compute_output_shape(self, sequence_ids_shape):
        return (*sequence_ids_shape, sequence_ids_shape[-1])

    def compute_output_spec(self, sequence_ids):
        return keras.KerasTensor(self.compute_output_shape(sequence_ids.shape), dtype="bool")

"""The vectors at a few positions of each sequence, and no others."""

from keras import ops

from keras_bert_suite.layers.base import SuiteLayer, register

__all__ = ["TakePositions"]


@register
class TakePositions(SuiteLayer):
    """Take some positions out of every row, so that what follows is computed there alone.

    `keras.ops.take_along_axis` would want the positions repeated over the
    vectors' width.

    Call arguments:
        hidden_states: float `(B, T, D)`.
        positions: int `(B, P)`, each from 0 to `T - 1`.
    Returns:
        float `(B, P, D)`.
    Example:
    >>> import numpy as np
    >>> from keras_bert_suite.layers import TakePositions
    >>> hidden_states = np.array([[[2.0], [4.0]], [[6.0], [8.0]]], "float32")
    >>> np.asarray(TakePositions()(hidden_states, positions=np.array([[1, 1], [0, 1]])))[..., 0].tolist()
    [[4.0, 4.0], [6.0, 8.0]]

    Source: the masked language model's head released with Devlin et al. 2018.
    """

    def build(self, hidden_states_shape, positions_shape=None):
        pass

    def call(self, hidden_states, positions):
        shape = ops.shape(hidden_states)
        flat = ops.reshape(hidden_states, (-1, hidden_states.shape[-1]))  # (B * T, D)
        starts = ops.arange(shape[0], dtype="int32") * shape[1]  # where each row begins in it
        return ops.take(flat, ops.cast(positions, "int32") + ops.expand_dims(starts, -1), axis=0)  # (B, P, D)

    def compute_output_shape(self, hidden_states_shape, positions_shape):
        return (*positions_shape, hidden_states_shape[-1])

"""One vector for each of the sequences that share a row: the mean of its tokens."""

from keras import ops

from keras_bert_suite.layers.base import SuiteLayer, register

__all__ = ["PackedMean"]


@register
class PackedMean(SuiteLayer):
    """Average the vectors of each sequence of a row, as `Pooling("mean")` does where a row is one sequence.

    Call arguments:
        hidden_states: float `(B, T, D)`.
        sequence_ids: int `(B, T)`; 0 = padding, 1 = first sequence of the row, up to P.
        positions: int `(B, P)`; only its shape counts.
    Returns:
        float `(B, P, D)`; zeros where a row has fewer than P sequences.
    Example:
    >>> import numpy as np
    >>> from keras_bert_suite.layers import PackedMean
    >>> hidden_states = np.array([[[2.0], [4.0], [6.0]]], "float32")
    >>> means = PackedMean()(hidden_states, sequence_ids=np.array([[1, 2, 2]]), positions=np.array([[0, 1]]))
    >>> np.asarray(means)[0, :, 0].tolist()
    [2.0, 5.0]
    """

    def build(self, hidden_states_shape, sequence_ids_shape=None, positions_shape=None):
        pass

    def call(self, hidden_states, sequence_ids, positions):
        numbers = ops.arange(1, ops.shape(positions)[1] + 1, dtype="int32")
        belongs = ops.equal(ops.expand_dims(ops.cast(sequence_ids, "int32"), 1), ops.reshape(numbers, (1, -1, 1)))
        belongs = ops.cast(belongs, "float32")  # (B, P, T)
        total = ops.maximum(ops.sum(belongs, axis=2, keepdims=True), 1.0)
        # Sums over hundreds of tokens need the precision of float32.
        means = ops.matmul(belongs / total, ops.cast(hidden_states, "float32"))
        return ops.cast(means, self.compute_dtype)

    def compute_output_shape(self, hidden_states_shape, sequence_ids_shape, positions_shape):
        return (*positions_shape, hidden_states_shape[-1])

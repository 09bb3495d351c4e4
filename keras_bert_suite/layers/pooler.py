"""One vector for a whole sequence, read off its first token."""

import keras

from keras_bert_suite.errors import check_positive_int
from keras_bert_suite.layers.base import SuiteLayer, register, truncated_normal

__all__ = ["Pooler"]


@register
class Pooler(SuiteLayer):
    """Pass the first token, `[CLS]`, through a dense layer and tanh.

    Args:
        hidden_dim: int. Width of the vectors, in and out.
        initializer_range: float. Standard deviation of new weights. Defaults to 0.02.
    Call arguments:
        hidden_states: float `(B, T, D)`.
    Returns:
        float `(B, D)` in the layer's compute dtype.
    Example:
    >>> import numpy as np
    >>> from keras_bert_suite.layers import Pooler
    >>> tuple(Pooler(hidden_dim=12)(np.zeros((2, 5, 12), "float32")).shape)
    (2, 12)

    Source: Devlin et al. 2018, section 3.1, and the code released with it.
    """

    config_names = ("hidden_dim", "initializer_range")

    def __init__(self, hidden_dim, initializer_range=0.02, **kwargs):
        super().__init__(**kwargs)
        check_positive_int("Pooler", hidden_dim=hidden_dim)
        self.hidden_dim = hidden_dim
        self.initializer_range = initializer_range
        self.dense = keras.layers.Dense(
            hidden_dim,
            activation="tanh",
            kernel_initializer=truncated_normal(initializer_range),
            dtype=self.dtype_policy,
            name="dense",
        )

    def build(self, hidden_states_shape):
        self.dense.build((hidden_states_shape[0], self.hidden_dim))

    def call(self, hidden_states):
        return self.dense(hidden_states[:, 0])

    def compute_output_shape(self, hidden_states_shape):
        return (hidden_states_shape[0], self.hidden_dim)

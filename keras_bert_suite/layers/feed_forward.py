"""The two dense layers that every token passes through alone."""

import keras
from keras import ops

from keras_bert_suite.errors import check_positive_int, check_rate
from keras_bert_suite.layers.activations import get_activation
from keras_bert_suite.layers.base import SuiteLayer, register, truncated_normal
from keras_bert_suite.layers.dropout import Dropout

__all__ = ["FeedForward"]


@register
class FeedForward(SuiteLayer):
    """Widen each token's vector, bend it, and narrow it again.

    Args:
        hidden_dim: int. Width of the vectors, in and out.
        intermediate_dim: int. Width in between.
        activation: str, as in `EncoderConfig`. Defaults to `"gelu"`, the exact erf form.
        gated: bool. Whether a second projection, not bent, multiplies the
            first. Defaults to False.
        use_bias: bool. Defaults to True.
        dropout_rate: float in [0, 1). On the widened vectors. Defaults to 0.
        initializer_range: float. Standard deviation of new weights. Defaults to 0.02.
    Call arguments:
        hidden_states: float `(B, T, D)`.
    Returns:
        float `(B, T, D)` in the layer's compute dtype.
    Example:
    >>> import numpy as np
    >>> from keras_bert_suite.layers import FeedForward
    >>> tuple(FeedForward(hidden_dim=12, intermediate_dim=20)(np.zeros((2, 5, 12), "float32")).shape)
    (2, 5, 12)

    Source: Vaswani et al. 2017, section 3.3; Shazeer 2020 for the gate.
    """

    config_names = (
        "hidden_dim",
        "intermediate_dim",
        "activation",
        "gated",
        "use_bias",
        "dropout_rate",
        "initializer_range",
    )

    def __init__(
        self,
        hidden_dim,
        intermediate_dim,
        activation="gelu",
        gated=False,
        use_bias=True,
        dropout_rate=0.0,
        initializer_range=0.02,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_positive_int("FeedForward", hidden_dim=hidden_dim, intermediate_dim=intermediate_dim)
        check_rate("FeedForward", dropout_rate=dropout_rate)
        self.hidden_dim = hidden_dim
        self.intermediate_dim = intermediate_dim
        self.activation = activation
        self.gated = gated
        self.use_bias = use_bias
        self.dropout_rate = dropout_rate
        self.initializer_range = initializer_range
        self._activate = get_activation(activation)
        # A gate's projection stands beside the other's in one matrix, as checkpoints store them.
        self.intermediate, self.output_projection = (
            keras.layers.Dense(
                units,
                use_bias=use_bias,
                kernel_initializer=truncated_normal(initializer_range),
                dtype=self.dtype_policy,
                name=name,
            )
            for name, units in (("intermediate", (1 + gated) * intermediate_dim), ("output", hidden_dim))
        )
        self.dropout = Dropout(dropout_rate, dtype=self.dtype_policy, name="dropout")

    def build(self, hidden_states_shape):
        self.intermediate.build((None, self.hidden_dim))
        self.output_projection.build((None, self.intermediate_dim))

    def call(self, hidden_states, training=None):
        batch, length = ops.shape(hidden_states)[:2]
        tokens = ops.reshape(hidden_states, (-1, self.hidden_dim))  # (B * T, D), as in SelfAttention
        tokens = self.intermediate(tokens)
        if self.gated:
            tokens = self._activate(tokens[:, : self.intermediate_dim]) * tokens[:, self.intermediate_dim :]
        else:
            tokens = self._activate(tokens)
        tokens = self.output_projection(self.dropout(tokens, training=training))
        return ops.reshape(tokens, (batch, length, self.hidden_dim))

    def compute_output_shape(self, hidden_states_shape):
        return hidden_states_shape

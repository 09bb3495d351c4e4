"""One block of the encoder: attention, then feed-forward, each with its residual and norm."""

import keras

from keras_bert_suite.errors import check_rate
from keras_bert_suite.layers.base import SuiteLayer, register
from keras_bert_suite.layers.dropout import Dropout
from keras_bert_suite.layers.feed_forward import FeedForward
from keras_bert_suite.layers.self_attention import SelfAttention

__all__ = ["EncoderBlock"]


@register
class EncoderBlock(SuiteLayer):
    """Mix tokens by attention, then transform each; normalise after each residual sum.

    Args:
        hidden_dim: int. Width of the vectors, in and out.
        num_heads: int. Attention heads; must divide `hidden_dim`.
        intermediate_dim: int. Width inside the feed-forward part.
        activation: str, as in `EncoderConfig`. Defaults to `"gelu"`, the exact erf form.
        layer_norm_epsilon: float. Defaults to 1e-12.
        dropout_rate: float in [0, 1). On both outputs, before the residual sum. Defaults to 0.1.
        attention_dropout_rate: float in [0, 1). On the attention probabilities. Defaults to 0.1.
        initializer_range: float. Standard deviation of new weights. Defaults to 0.02.
    Call arguments:
        hidden_states: float `(B, T, D)`.
        padding_mask: optional bool or int `(B, T)` or `(B, T, T)`, as in `SelfAttention`.
    Returns:
        float `(B, T, D)` in the layer's compute dtype.
    Raises:
        ValueError: if `hidden_dim % num_heads != 0`.
    Example:
    >>> import numpy as np
    >>> from keras_bert_suite.layers import EncoderBlock
    >>> block = EncoderBlock(hidden_dim=12, num_heads=3, intermediate_dim=20)
    >>> tuple(block(np.zeros((2, 5, 12), "float32")).shape)
    (2, 5, 12)

    Source: Vaswani et al. 2017, section 3.1; Devlin et al. 2018, section 3.
    """

    config_names = (
        "hidden_dim",
        "num_heads",
        "intermediate_dim",
        "activation",
        "layer_norm_epsilon",
        "dropout_rate",
        "attention_dropout_rate",
        "initializer_range",
    )

    def __init__(
        self,
        hidden_dim,
        num_heads,
        intermediate_dim,
        activation="gelu",
        layer_norm_epsilon=1e-12,
        dropout_rate=0.1,
        attention_dropout_rate=0.1,
        initializer_range=0.02,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_rate("EncoderBlock", dropout_rate=dropout_rate, attention_dropout_rate=attention_dropout_rate)
        self.hidden_dim = hidden_dim
        self.num_heads = num_heads
        self.intermediate_dim = intermediate_dim
        self.activation = activation
        self.layer_norm_epsilon = layer_norm_epsilon
        self.dropout_rate = dropout_rate
        self.attention_dropout_rate = attention_dropout_rate
        self.initializer_range = initializer_range
        self.self_attention = SelfAttention(
            hidden_dim,
            num_heads,
            dropout_rate=attention_dropout_rate,
            initializer_range=initializer_range,
            dtype=self.dtype_policy,
            name="self_attention",
        )
        self.feed_forward = FeedForward(
            hidden_dim,
            intermediate_dim,
            activation=activation,
            initializer_range=initializer_range,
            dtype=self.dtype_policy,
            name="feed_forward",
        )
        self.attention_norm, self.output_norm = (
            keras.layers.LayerNormalization(epsilon=layer_norm_epsilon, dtype=self.dtype_policy, name=name)
            for name in ("attention_norm", "output_norm")
        )
        self.dropout = Dropout(dropout_rate, dtype=self.dtype_policy, name="dropout")

    def build(self, hidden_states_shape, padding_mask_shape=None):
        for layer in (self.self_attention, self.feed_forward, self.attention_norm, self.output_norm):
            layer.build(hidden_states_shape)

    def call(self, hidden_states, padding_mask=None, training=None):
        attended = self.self_attention(hidden_states, padding_mask=padding_mask, training=training)
        hidden_states = self.attention_norm(hidden_states + self.dropout(attended, training=training))
        transformed = self.feed_forward(hidden_states, training=training)
        return self.output_norm(hidden_states + self.dropout(transformed, training=training))

    def compute_output_shape(self, hidden_states_shape, padding_mask_shape=None):
        return hidden_states_shape

"""One block of a pre-norm encoder: each part reads a normalised copy and adds to what it was given."""

import keras

from keras_bert_suite.errors import check_rate
from keras_bert_suite.layers.base import SuiteLayer, register
from keras_bert_suite.layers.dropout import Dropout
from keras_bert_suite.layers.feed_forward import FeedForward
from keras_bert_suite.layers.self_attention import SelfAttention

__all__ = ["PreNormBlock"]


@register
class PreNormBlock(SuiteLayer):
    """Mix tokens by attention, then transform each by a gated feed-forward part; normalise before either.

    `EncoderBlock` normalises after the residual sums instead, so that its output
    is normalised and this one's is not.

    Args:
        hidden_dim: int. Width of the vectors, in and out.
        num_heads: int. Attention heads; must divide `hidden_dim`.
        intermediate_dim: int. Width inside the feed-forward part.
        activation: str, as in `EncoderConfig`. Defaults to `"gelu"`, the exact erf form.
        normalize_input: bool. False in a block whose input is normalised
            already, as the embeddings are. Defaults to True.
        layer_norm_epsilon: float. Defaults to 1e-5.
        norm_bias: bool. Whether the norms have a bias. Defaults to False.
        attention_bias: bool. Defaults to False.
        feed_forward_bias: bool. Defaults to False.
        rotary_base: optional float, as in `SelfAttention`.
        local_window: optional int, as in `SelfAttention`.
        dropout_rate: float in [0, 1). Inside the feed-forward part. Defaults to 0.
        attention_dropout_rate: float in [0, 1). On the attention probabilities
            and on attention's output. Defaults to 0.
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
    >>> from keras_bert_suite.layers import PreNormBlock
    >>> block = PreNormBlock(hidden_dim=12, num_heads=3, intermediate_dim=20, rotary_base=10_000.0)
    >>> tuple(block(np.zeros((2, 5, 12), "float32")).shape)
    (2, 5, 12)

    Source: Warner et al. 2024, section 2.
    """

    config_names = (
        "hidden_dim",
        "num_heads",
        "intermediate_dim",
        "activation",
        "normalize_input",
        "layer_norm_epsilon",
        "norm_bias",
        "attention_bias",
        "feed_forward_bias",
        "rotary_base",
        "local_window",
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
        normalize_input=True,
        layer_norm_epsilon=1e-5,
        norm_bias=False,
        attention_bias=False,
        feed_forward_bias=False,
        rotary_base=None,
        local_window=None,
        dropout_rate=0.0,
        attention_dropout_rate=0.0,
        initializer_range=0.02,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_rate("PreNormBlock", dropout_rate=dropout_rate, attention_dropout_rate=attention_dropout_rate)
        self.hidden_dim = hidden_dim
        self.num_heads = num_heads
        self.intermediate_dim = intermediate_dim
        self.activation = activation
        self.normalize_input = normalize_input
        self.layer_norm_epsilon = layer_norm_epsilon
        self.norm_bias = norm_bias
        self.attention_bias = attention_bias
        self.feed_forward_bias = feed_forward_bias
        self.rotary_base = rotary_base
        self.local_window = local_window
        self.dropout_rate = dropout_rate
        self.attention_dropout_rate = attention_dropout_rate
        self.initializer_range = initializer_range
        self.self_attention = SelfAttention(
            hidden_dim,
            num_heads,
            dropout_rate=attention_dropout_rate,
            use_bias=attention_bias,
            rotary_base=rotary_base,
            local_window=local_window,
            initializer_range=initializer_range,
            dtype=self.dtype_policy,
            name="self_attention",
        )
        self.feed_forward = FeedForward(
            hidden_dim,
            intermediate_dim,
            activation=activation,
            gated=True,
            use_bias=feed_forward_bias,
            dropout_rate=dropout_rate,
            initializer_range=initializer_range,
            dtype=self.dtype_policy,
            name="feed_forward",
        )
        self.attention_norm = keras.layers.Identity(dtype=self.dtype_policy)
        if normalize_input:
            self.attention_norm = self._norm("attention_norm")
        self.feed_forward_norm = self._norm("feed_forward_norm")
        self.dropout = Dropout(attention_dropout_rate, dtype=self.dtype_policy, name="dropout")

    def _norm(self, name):
        return keras.layers.LayerNormalization(
            epsilon=self.layer_norm_epsilon, center=self.norm_bias, dtype=self.dtype_policy, name=name
        )

    def build(self, hidden_states_shape, padding_mask_shape=None):
        for layer in (self.self_attention, self.feed_forward, self.attention_norm, self.feed_forward_norm):
            layer.build(hidden_states_shape)

    def call(self, hidden_states, padding_mask=None, training=None):
        attended = self.self_attention(self.attention_norm(hidden_states), padding_mask=padding_mask, training=training)
        hidden_states = hidden_states + self.dropout(attended, training=training)
        return hidden_states + self.feed_forward(self.feed_forward_norm(hidden_states), training=training)

    def compute_output_shape(self, hidden_states_shape, padding_mask_shape=None):
        return hidden_states_shape

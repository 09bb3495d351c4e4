"""Multi-head self-attention over padded sequences."""

import keras
import numpy as np
from keras import ops

from keras_bert_suite.errors import check_positive_int, check_rate
from keras_bert_suite.layers.base import SuiteLayer, register, truncated_normal
from keras_bert_suite.layers.dropout import Dropout

__all__ = ["SelfAttention"]


@register
class SelfAttention(SuiteLayer):
    """Let every token of a sequence look at every real token of it.

    `keras.layers.MultiHeadAttention` computes the same; this layer differs in
    keeping each projection a plain `Dense` with a `(D, D)` kernel, as
    checkpoints store it, in staying finite when a whole row is padding, and in
    knowing rotary positions and local attention.

    Args:
        hidden_dim: int. Width of the vectors, in and out.
        num_heads: int. Attention heads; must divide `hidden_dim`.
        dropout_rate: float in [0, 1). On the attention probabilities. Defaults to 0.1.
        use_bias: bool. Whether the projections have a bias. Defaults to True.
        rotary_base: optional float. Base of the angles by which queries and
            keys are turned according to their position. Defaults to no turning.
        local_window: optional int. Tokens that a token sees, half of them on
            each side. Defaults to all.
        initializer_range: float. Standard deviation of new weights. Defaults to 0.02.
    Call arguments:
        hidden_states: float `(B, T, D)`.
        padding_mask: optional bool or int `(B, T)`; 1 = token, 0 = padding. Or
            `(B, T, T)`: `[b, i, j]` is 1 where token `i` sees token `j`.
    Returns:
        float `(B, T, D)` in the layer's compute dtype.
    Raises:
        ValueError: if `hidden_dim % num_heads != 0`.
    Example:
    >>> import numpy as np
    >>> from keras_bert_suite.layers import SelfAttention
    >>> layer = SelfAttention(hidden_dim=12, num_heads=3)
    >>> tuple(layer(np.zeros((2, 5, 12), "float32"), padding_mask=np.ones((2, 5), "int32")).shape)
    (2, 5, 12)

    Source: Vaswani et al. 2017, section 3.2; Su et al. 2021, section 3.4.2, for rotary positions.
    """

    config_names = (
        "hidden_dim",
        "num_heads",
        "dropout_rate",
        "use_bias",
        "rotary_base",
        "local_window",
        "initializer_range",
    )

    def __init__(
        self,
        hidden_dim,
        num_heads,
        dropout_rate=0.1,
        use_bias=True,
        rotary_base=None,
        local_window=None,
        initializer_range=0.02,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_positive_int("SelfAttention", hidden_dim=hidden_dim, num_heads=num_heads)
        check_rate("SelfAttention", dropout_rate=dropout_rate)
        if hidden_dim % num_heads:
            raise ValueError(
                f"SelfAttention: hidden_dim must be divisible by num_heads. "
                f"Received: hidden_dim={hidden_dim}, num_heads={num_heads}."
            )
        self.hidden_dim = hidden_dim
        self.num_heads = num_heads
        self.head_dim = hidden_dim // num_heads
        self.dropout_rate = dropout_rate
        self.use_bias = use_bias
        self.rotary_base = rotary_base
        self.local_window = local_window
        self.initializer_range = initializer_range
        self.query, self.key, self.value, self.output_projection = (
            keras.layers.Dense(
                hidden_dim,
                use_bias=use_bias,
                kernel_initializer=truncated_normal(initializer_range),
                dtype=self.dtype_policy,
                name=name,
            )
            for name in ("query", "key", "value", "output")
        )
        self.dropout = Dropout(dropout_rate, dtype=self.dtype_policy, name="dropout")

    def build(self, hidden_states_shape, padding_mask_shape=None):
        for projection in (self.query, self.key, self.value, self.output_projection):
            projection.build((None, self.hidden_dim))

    def call(self, hidden_states, padding_mask=None, training=None):
        batch, length = ops.shape(hidden_states)[:2]
        # Every runtime multiplies two-dimensional matrices fastest: (B * T, D).
        tokens = ops.reshape(hidden_states, (-1, self.hidden_dim))
        query, key, value = (
            ops.reshape(projection(tokens), (batch, length, self.num_heads, self.head_dim))
            for projection in (self.query, self.key, self.value)
        )  # (B, T, N, H)
        if self.rotary_base is not None:
            query, key = _turn(query, key, self.rotary_base, length, self.head_dim)
        bias = self._attention_bias(padding_mask, batch, length)
        dropout_rate = self.dropout_rate if training else 0.0
        # On a CPU, PyTorch's kernel has no fast path with dropout, nor a fast gradient in half precision.
        slow = dropout_rate or (training and self.compute_dtype != "float32")
        if keras.backend.backend() == "torch" and (query.is_cuda or not slow):
            context = _fused_attention(query, key, value, bias, self.head_dim**-0.5, dropout_rate)
        else:
            context = self._attend(query, key, value, bias, training)
        context = ops.reshape(context, (-1, self.hidden_dim))  # (B * T, D)
        return ops.reshape(self.output_projection(context), (batch, length, self.hidden_dim))

    def _attention_bias(self, padding_mask, batch, length):
        """Return 0 where a key may be seen and a large negative where not, `(B, 1, 1, T)` or `(B, 1, T, T)`.

        The negative is finite, so that a row of nothing but padding has a softmax,
        and so large that `exp` makes it exactly 0 beside any real score.
        """
        negative = -3e4 if self.compute_dtype == "float16" else -1e9
        bias = None
        if padding_mask is not None:
            mask = ops.cast(ops.cast(padding_mask, "bool"), self.compute_dtype)
            bias = ops.reshape((1.0 - mask) * negative, (batch, 1, -1 if len(mask.shape) == 3 else 1, length))
        if self.local_window is not None:
            positions = ops.arange(length, dtype="int32")
            distance = ops.abs(ops.expand_dims(positions, 1) - ops.expand_dims(positions, 0))  # (T, T)
            far = ops.cast(distance > self.local_window // 2, self.compute_dtype) * negative
            far = ops.reshape(far, (1, 1, length, length))
            bias = far if bias is None else bias + far
        return bias

    def _attend(self, query, key, value, bias, training):
        query, value = (ops.transpose(x, (0, 2, 1, 3)) for x in (query, value))  # (B, N, T, H)
        key = ops.transpose(key, (0, 2, 3, 1))  # (B, N, H, T)
        scores = ops.matmul(query * self.head_dim**-0.5, key)  # (B, N, T, T)
        if bias is not None:
            scores = scores + bias
        probabilities = self.dropout(ops.softmax(scores, axis=-1), training=training)
        return ops.transpose(ops.matmul(probabilities, value), (0, 2, 1, 3))  # (B, T, N, H)

    def compute_output_shape(self, hidden_states_shape, padding_mask_shape=None):
        return hidden_states_shape


def _fused_attention(query, key, value, bias, scale, dropout_rate=0.0):
    """Attend with PyTorch's fused kernel, `(B, T, N, H)` in and out.

    `keras.ops.dot_product_attention` calls the same kernel, on contiguous copies of its arguments.
    """
    import torch

    query, key, value = (x.transpose(1, 2) for x in (query, key, value))  # (B, N, T, H)
    context = torch.nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=bias, dropout_p=dropout_rate, scale=scale
    )
    return context.transpose(1, 2)


def _turn(query, key, base, length, head_dim):
    """Turn pairs of numbers of each query and key, `(B, T, N, H)`, by angles that grow with the position.

    Number `i` is paired with number `i + H / 2`. The angles are float32, whatever
    the layer computes in: at position 8000 a half-precision angle means nothing.
    """
    frequencies = base ** (-np.arange(0, head_dim, 2, dtype="float32") / np.float32(head_dim))
    positions = ops.cast(ops.arange(length, dtype="int32"), "float32")
    angles = ops.expand_dims(positions, 1) * ops.convert_to_tensor(frequencies.astype("float32"))  # (T, H / 2)
    angles = ops.reshape(angles, (1, length, 1, head_dim // 2))
    cosines, sines = ops.cos(angles), ops.sin(angles)

    def turned(x):
        first, second = ops.split(ops.cast(x, "float32"), 2, axis=-1)
        pair = (first * cosines - second * sines, second * cosines + first * sines)
        return ops.cast(ops.concatenate(pair, axis=-1), x.dtype)

    return turned(query), turned(key)

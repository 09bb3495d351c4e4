"""Token, segment and position embeddings, summed and normalised."""

import keras
from keras import ops

from keras_bert_suite.errors import check_positive_int, check_rate
from keras_bert_suite.layers.base import SuiteLayer, register, truncated_normal

__all__ = ["Embeddings"]


@register
class Embeddings(SuiteLayer):
    """Turn token and segment ids into vectors that know what, which part and where.

    The three learned tables are added, then layer-normalised, then dropped out,
    in that order.

    Args:
        vocabulary_size: int. Rows of the token table.
        hidden_dim: int. Width of the vectors.
        max_length: int. Rows of the position table, in tokens.
        num_segments: int. Rows of the segment table. Defaults to 2.
        layer_norm_epsilon: float. Defaults to 1e-12.
        dropout_rate: float in [0, 1). Defaults to 0.1.
        initializer_range: float. Standard deviation of new weights. Defaults to 0.02.
    Call arguments:
        token_ids: int `(B, T)`.
        segment_ids: int `(B, T)`; 0 for the first text, 1 for the second.
    Returns:
        float `(B, T, D)` in the layer's compute dtype.
    Raises:
        ValueError: if `T` is known and above `max_length`.
    Example:
    >>> import numpy as np
    >>> from keras_bert_suite.layers import Embeddings
    >>> layer = Embeddings(vocabulary_size=31, hidden_dim=12, max_length=16)
    >>> tuple(layer(np.zeros((2, 5), "int32"), np.zeros((2, 5), "int32")).shape)
    (2, 5, 12)

    Source: Devlin et al. 2018, section 3, figure 2.
    """

    config_names = (
        "vocabulary_size",
        "hidden_dim",
        "max_length",
        "num_segments",
        "layer_norm_epsilon",
        "dropout_rate",
        "initializer_range",
    )

    def __init__(
        self,
        vocabulary_size,
        hidden_dim,
        max_length,
        num_segments=2,
        layer_norm_epsilon=1e-12,
        dropout_rate=0.1,
        initializer_range=0.02,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_positive_int(
            "Embeddings",
            vocabulary_size=vocabulary_size,
            hidden_dim=hidden_dim,
            max_length=max_length,
            num_segments=num_segments,
        )
        check_rate("Embeddings", dropout_rate=dropout_rate)
        self.vocabulary_size = vocabulary_size
        self.hidden_dim = hidden_dim
        self.max_length = max_length
        self.num_segments = num_segments
        self.layer_norm_epsilon = layer_norm_epsilon
        self.dropout_rate = dropout_rate
        self.initializer_range = initializer_range
        self.token, self.segment, self.position = (
            keras.layers.Embedding(
                rows,
                hidden_dim,
                embeddings_initializer=truncated_normal(initializer_range),
                dtype=self.dtype_policy,
                name=name,
            )
            for name, rows in (("token", vocabulary_size), ("segment", num_segments), ("position", max_length))
        )
        self.norm = keras.layers.LayerNormalization(epsilon=layer_norm_epsilon, dtype=self.dtype_policy, name="norm")
        self.dropout = keras.layers.Dropout(dropout_rate, dtype=self.dtype_policy, name="dropout")

    def build(self, token_ids_shape, segment_ids_shape=None):
        for table in (self.token, self.segment, self.position):
            table.build(token_ids_shape)
        self.norm.build((*token_ids_shape, self.hidden_dim))

    def call(self, token_ids, segment_ids, training=None):
        length = ops.shape(token_ids)[1]
        if isinstance(length, int) and length > self.max_length:
            raise ValueError(
                f"Embeddings: a sequence must have at most max_length tokens. Received: {length} tokens, "
                f"max_length={self.max_length}. Truncate the texts when they are tokenized."
            )
        hidden_states = self.token(token_ids) + self.segment(segment_ids)  # (B, T, D)
        hidden_states = hidden_states + self.position(ops.arange(length, dtype="int32"))  # (T, D) to every row
        return self.dropout(self.norm(hidden_states), training=training)

    def compute_output_shape(self, token_ids_shape, segment_ids_shape=None):
        return (*token_ids_shape, self.hidden_dim)

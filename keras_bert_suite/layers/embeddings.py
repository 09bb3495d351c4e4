"""Token, segment and position embeddings, summed and normalised."""

import keras
from keras import ops

from keras_bert_suite.errors import check_choice, check_positive_int, check_rate
from keras_bert_suite.layers.base import SuiteLayer, register, truncated_normal
from keras_bert_suite.layers.dropout import Dropout

__all__ = ["Embeddings"]


@register
class Embeddings(SuiteLayer):
    """Turn token and segment ids into vectors that know what, which part and where.

    The learned tables are added, then layer-normalised, then dropped out, in
    that order, and last brought to `hidden_dim` where they are narrower.

    Args:
        vocabulary_size: int. Rows of the token table.
        hidden_dim: int. Width of the vectors.
        max_length: int. Longest sequence, in tokens.
        num_segments: int. Rows of the segment table; 0: there is none; 1: added to
            every token, whatever its segment. Defaults to 2.
        embedding_dim: optional int. Width of the tables, where a dense layer
            then brings them to `hidden_dim`. Defaults to `hidden_dim`, without that layer.
        positions: str, as in `EncoderConfig`. Defaults to `"learned"`.
        pad_token_id: int. The id of padding: its row of the token table is not
            trained, and `positions="after_padding"` does not count it. Defaults to 0.
        layer_norm_epsilon: float. Defaults to 1e-12.
        norm_bias: bool. Whether the norm has a bias. Defaults to True.
        dropout_rate: float in [0, 1). Defaults to 0.1.
        initializer_range: float. Standard deviation of new weights. Defaults to 0.02.
    Call arguments:
        token_ids: int `(B, T)`.
        segment_ids: int `(B, T)`; 0 for the first text, 1 for the second.
        position_ids: optional int `(B, T)`. Position of each token in its
            sequence, from 0, where rows hold several. Defaults to the position in the row.
        return_table: bool. Whether to return the token table instead, which a
            masked language model's head multiplies with.
    Returns:
        float `(B, T, D)` in the layer's compute dtype; or the table, `(V, E)`.
    Raises:
        ValueError: if `T` is known and above `max_length`, without `position_ids`.
    Example:
    >>> import numpy as np
    >>> from keras_bert_suite.layers import Embeddings
    >>> layer = Embeddings(vocabulary_size=31, hidden_dim=12, max_length=16)
    >>> tuple(layer(np.zeros((2, 5), "int32"), np.zeros((2, 5), "int32")).shape)
    (2, 5, 12)

    Source: Devlin et al. 2018, section 3, figure 2; Lan et al. 2019, section 3.1, for the narrow tables.
    """

    config_names = (
        "vocabulary_size",
        "hidden_dim",
        "max_length",
        "num_segments",
        "embedding_dim",
        "positions",
        "pad_token_id",
        "layer_norm_epsilon",
        "norm_bias",
        "dropout_rate",
        "initializer_range",
    )

    def __init__(
        self,
        vocabulary_size,
        hidden_dim,
        max_length,
        num_segments=2,
        embedding_dim=None,
        positions="learned",
        pad_token_id=0,
        layer_norm_epsilon=1e-12,
        norm_bias=True,
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
            embedding_dim=hidden_dim if embedding_dim is None else embedding_dim,
        )
        check_choice("Embeddings", "positions", positions, ("learned", "after_padding", "rotary"))
        check_rate("Embeddings", dropout_rate=dropout_rate)
        self.vocabulary_size = vocabulary_size
        self.hidden_dim = hidden_dim
        self.max_length = max_length
        self.num_segments = num_segments
        self.embedding_dim = embedding_dim
        self.positions = positions
        self.pad_token_id = pad_token_id
        self.layer_norm_epsilon = layer_norm_epsilon
        self.norm_bias = norm_bias
        self.dropout_rate = dropout_rate
        self.initializer_range = initializer_range
        self.table_dim = hidden_dim if embedding_dim is None else embedding_dim
        self.token = self._table("token", vocabulary_size)
        self.segment = self._table("segment", num_segments) if num_segments else None
        self.position = None
        if positions != "rotary":
            self._position_offset = pad_token_id + 1 if positions == "after_padding" else 0
            self.position = self._table("position", max_length + self._position_offset)
        self.norm = keras.layers.LayerNormalization(
            epsilon=layer_norm_epsilon, center=norm_bias, dtype=self.dtype_policy, name="norm"
        )
        self.dropout = Dropout(dropout_rate, dtype=self.dtype_policy, name="dropout")
        self.projection = None
        if embedding_dim is not None:
            self.projection = keras.layers.Dense(
                hidden_dim,
                kernel_initializer=truncated_normal(initializer_range),
                dtype=self.dtype_policy,
                name="projection",
            )

    def _table(self, name, rows):
        return keras.layers.Embedding(
            rows,
            self.table_dim,
            embeddings_initializer=truncated_normal(self.initializer_range),
            dtype=self.dtype_policy,
            name=name,
        )

    def build(self, token_ids_shape, segment_ids_shape=None, position_ids_shape=None):
        for table in (self.token, self.segment, self.position):
            if table is not None:
                table.build(token_ids_shape)
        self.norm.build((*token_ids_shape, self.table_dim))
        if self.projection is not None:
            self.projection.build((*token_ids_shape, self.table_dim))

    def call(self, token_ids, segment_ids=None, position_ids=None, return_table=False, training=None):
        if return_table:
            return ops.cast(self.token.embeddings, self.compute_dtype)
        length = ops.shape(token_ids)[1]
        if position_ids is None and isinstance(length, int) and length > self.max_length:
            raise ValueError(
                f"Embeddings: a sequence must have at most max_length tokens. Received: {length} tokens, "
                f"max_length={self.max_length}. Truncate the texts when they are tokenized."
            )
        hidden_states = _rows(self.token, token_ids, training, self.pad_token_id)  # (B, T, E)
        if self.segment is not None:
            if self.num_segments == 1:  # Keras on PyTorch tries a model out on ones before it trains it
                segment_ids = ops.zeros_like(segment_ids)
            hidden_states = hidden_states + _rows(self.segment, segment_ids, training)
        if self.position is not None:
            position_rows = self._position_rows(token_ids, position_ids, length)
            unplaced = self.pad_token_id if self.positions == "after_padding" else None
            hidden_states = hidden_states + _rows(self.position, position_rows, training, unplaced)
        hidden_states = self.dropout(self.norm(hidden_states), training=training)
        return hidden_states if self.projection is None else self.projection(hidden_states)

    def _position_rows(self, token_ids, position_ids, length):
        """Rows of the position table: `(T,)` for every row alike, or `(B, T)` where padding is not counted."""
        if position_ids is not None:
            return position_ids + self._position_offset
        if self.positions == "learned":
            return ops.arange(length, dtype="int32")
        counted = ops.cast(ops.not_equal(token_ids, self.pad_token_id), "int32")
        return ops.cumsum(counted, axis=1) * counted + self.pad_token_id

    def compute_output_shape(
        self, token_ids_shape, segment_ids_shape=None, position_ids_shape=None, return_table=False
    ):
        if return_table:
            return (self.vocabulary_size, self.table_dim)
        return (*token_ids_shape, self.hidden_dim)

    def compute_output_spec(self, token_ids, segment_ids=None, position_ids=None, return_table=False, training=None):
        shape = self.compute_output_shape(token_ids.shape, return_table=return_table)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)


def _rows(table, ids, training, padding_id=None):
    """Look up rows of a table; that of padding is not trained, as in the tables of PyTorch."""
    if not training:
        return table(ids)
    rows = _trainable_rows(table, ids)
    if padding_id is None:
        return rows
    return ops.where(ops.equal(ids, padding_id)[..., None], ops.stop_gradient(rows), rows)


def _trainable_rows(table, ids):
    """Look up rows of a table. On TensorFlow their gradient is made dense.

    It would come as one slice for each id, and where ids repeat, clipping and
    Adam would square the slices one by one in the place of their sum.
    """
    if keras.backend.backend() != "tensorflow":
        return table(ids)
    import tensorflow as tf

    @tf.custom_gradient
    def with_dense_gradient(values):
        return tf.identity(values), tf.convert_to_tensor

    values = with_dense_gradient(tf.convert_to_tensor(table.embeddings))
    return ops.cast(ops.take(values, ids, axis=0), table.compute_dtype)

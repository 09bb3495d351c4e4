"""Scores of every token of the vocabulary, from the token embeddings themselves or a matrix apart."""

import keras
from keras import ops

from keras_bert_suite.errors import check_positive_int
from keras_bert_suite.layers.base import SuiteLayer, register, truncated_normal

__all__ = ["VocabularyLogits"]


@register
class VocabularyLogits(SuiteLayer):
    """Multiply features with the token table and add a bias: the output of a masked language model.

    The table comes as an input, so that it stays one weight with the embeddings
    (`Embeddings(...)(token_ids, return_table=True)`). Without it the layer owns
    a matrix of its own: an untied model.

    Args:
        vocabulary_size: int. Tokens to score.
        initializer_range: float. Standard deviation of new weights. Defaults to 0.02.
    Call arguments:
        features: float `(..., E)`.
        table: optional float `(V, E)`.
    Returns:
        float32 `(..., V)`: logits.
    Example:
    >>> import numpy as np
    >>> from keras_bert_suite.layers import VocabularyLogits
    >>> layer = VocabularyLogits(vocabulary_size=31)
    >>> tuple(layer(np.zeros((2, 5, 12), "float32"), table=np.zeros((31, 12), "float32")).shape)
    (2, 5, 31)

    Source: Devlin et al. 2018, section 3.1; Press and Wolf 2017 for the shared table.
    """

    config_names = ("vocabulary_size", "initializer_range")

    def __init__(self, vocabulary_size, initializer_range=0.02, **kwargs):
        super().__init__(**kwargs)
        check_positive_int("VocabularyLogits", vocabulary_size=vocabulary_size)
        self.vocabulary_size = vocabulary_size
        self.initializer_range = initializer_range
        self.kernel = None

    def build(self, features_shape, table_shape=None):
        if table_shape is None:
            self.kernel = self.add_weight(
                shape=(features_shape[-1], self.vocabulary_size),
                initializer=truncated_normal(self.initializer_range),
                name="kernel",
            )
        self.bias = self.add_weight(shape=(self.vocabulary_size,), initializer="zeros", name="bias")

    def call(self, features, table=None):
        # (..., E) to (N, E): every runtime multiplies two-dimensional matrices fastest.
        shape = ops.shape(features)
        flat = ops.reshape(features, (-1, features.shape[-1]))
        scores = ops.matmul(flat, self.kernel if table is None else ops.transpose(table))
        # Losses need the range and precision of float32, whatever the layer computes in.
        logits = ops.cast(scores, "float32") + ops.cast(self.bias, "float32")
        return ops.reshape(logits, (*shape[:-1], self.vocabulary_size))

    def compute_output_shape(self, features_shape, table_shape=None):
        return (*features_shape[:-1], self.vocabulary_size)

    def compute_output_spec(self, features, table=None):
        return keras.KerasTensor(self.compute_output_shape(features.shape), dtype="float32")

"""From scores of words at the gap of a prompt to scores of the labels that they stand for."""

import keras
from keras import ops

from keras_bert_suite.layers.base import SuiteLayer, register

__all__ = ["TokenPositions", "Verbalizer"]


@register
class TokenPositions(SuiteLayer):
    """Find the first place of a token in each row; 0 where it is not.

    Args:
        token_id: int.
    Call arguments:
        token_ids: int `(B, T)`.
    Returns:
        int32 `(B, 1)`.
    Example:
    >>> import numpy as np
    >>> from keras_bert_suite.layers import TokenPositions
    >>> np.asarray(TokenPositions(4)(np.array([[2, 4, 3], [2, 5, 4]]))).tolist()
    [[1], [2]]
    """

    config_names = ("token_id",)

    def __init__(self, token_id, **kwargs):
        super().__init__(**kwargs)
        self.token_id = token_id

    def build(self, token_ids_shape):
        pass

    def call(self, token_ids):
        found = ops.cast(ops.equal(token_ids, self.token_id), "int32")
        return ops.expand_dims(ops.cast(ops.argmax(found, axis=-1), "int32"), -1)

    def compute_output_shape(self, token_ids_shape):
        return (token_ids_shape[0], 1)

    def compute_output_spec(self, token_ids):
        return keras.KerasTensor(self.compute_output_shape(token_ids.shape), dtype="int32")


@register
class Verbalizer(SuiteLayer):
    """Score each label by the words that stand for it: the mean of their logits.

    Args:
        word_ids: list with, for each label, a list of int: the tokens that stand for it.
    Call arguments:
        logits: float `(B, 1, V)`, at the gap.
    Returns:
        float32 `(B, L)`.
    Example:
    >>> import numpy as np
    >>> from keras_bert_suite.layers import Verbalizer
    >>> layer = Verbalizer([[0], [1, 2]])
    >>> np.asarray(layer(np.array([[[1.0, 2.0, 4.0]]], "float32"))).tolist()
    [[1.0, 3.0]]

    Source: Schick and Schütze 2021, section 3; Gao et al. 2021, section 4.
    """

    config_names = ("word_ids",)

    def __init__(self, word_ids, **kwargs):
        super().__init__(**kwargs)
        self.word_ids = [list(map(int, words)) for words in word_ids]

    def build(self, logits_shape):
        pass

    def call(self, logits):
        flat = [word for words in self.word_ids for word in words]
        chosen = ops.take(logits[:, 0], ops.convert_to_tensor(flat, "int32"), axis=-1)  # (B, words of all labels)
        shares = [
            [1 / len(words) if label == column else 0.0 for column in range(len(self.word_ids))]
            for label, words in enumerate(self.word_ids)
            for _ in words
        ]
        return ops.matmul(ops.cast(chosen, "float32"), ops.convert_to_tensor(shares, "float32"))

    def compute_output_shape(self, logits_shape):
        return (logits_shape[0], len(self.word_ids))

    def compute_output_spec(self, logits):
        return keras.KerasTensor(self.compute_output_shape(logits.shape), dtype="float32")

"""Tokens drawn from a generator's logits and put into a text."""

import keras
from keras import ops

from keras_bert_suite.layers.base import SuiteLayer, register

__all__ = ["ReplaceTokens"]


@register
class ReplaceTokens(SuiteLayer):
    """Draw a token for each masked position, and return the text with these tokens in.

    No gradient passes: a draw has none.

    Args:
        seed: optional int. Governs the draws. Defaults to a random one.
    Call arguments:
        token_ids: int `(B, T)`.
        positions: int `(B, P)`. Where to put tokens; 0, which is the place of
            `[CLS]`, for nowhere.
        logits: float `(B, P, V)`.
    Returns:
        int32 `(B, T)`.
    Example:
    >>> import numpy as np
    >>> from keras_bert_suite.layers.replace_tokens import ReplaceTokens
    >>> logits = np.full((1, 2, 9), -1e9, "float32")
    >>> logits[0, 0, 7] = 0.0
    >>> np.asarray(ReplaceTokens()(np.array([[2, 4, 5]]), positions=np.array([[1, 0]]), logits=logits)).tolist()
    [[2, 7, 5]]

    Source: Clark et al. 2020, section 2.
    """

    config_names = ("seed",)

    def __init__(self, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, token_ids_shape, positions_shape=None, logits_shape=None):
        pass

    def call(self, token_ids, positions, logits):
        batch, length = ops.shape(token_ids)[:2]
        token_ids, positions = ops.cast(token_ids, "int32"), ops.cast(positions, "int32")
        flat = ops.reshape(ops.stop_gradient(ops.cast(logits, "float32")), (-1, logits.shape[-1]))  # (B * P, V)
        drawn = keras.random.categorical(flat, 1, dtype="int32", seed=self.seed_generator)[:, 0]
        drawn = ops.where(ops.equal(positions, 0), token_ids[:, :1], ops.reshape(drawn, ops.shape(positions)))
        places = positions + ops.expand_dims(ops.arange(batch, dtype="int32") * length, 1)  # (B, P)
        replaced = ops.scatter_update(
            ops.reshape(token_ids, (-1,)), ops.reshape(places, (-1, 1)), ops.reshape(drawn, (-1,))
        )
        return ops.reshape(replaced, (batch, length))

    def compute_output_shape(self, token_ids_shape, positions_shape=None, logits_shape=None):
        return token_ids_shape

    def compute_output_spec(self, token_ids, positions, logits):
        return keras.KerasTensor(token_ids.shape, dtype="int32")

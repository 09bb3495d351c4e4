"""A layer that changes nothing and remembers what an encoder was built from."""

from keras_bert_suite.layers.base import SuiteLayer, register

__all__ = ["EncoderRecord"]


@register
class EncoderRecord(SuiteLayer):
    """Pass the encoder's output on unchanged, and carry the values of its `EncoderConfig`.

    Layers are what a `.keras` file and `keras.models.clone_model` keep. Kept in
    one of them, the config stays with every model built on the encoder.

    Args:
        values: dict of JSON types, as `EncoderConfig.to_dict` gives them.
    Call arguments:
        hidden_states: float `(B, T, D)`.
    Returns:
        the same.
    Example:
    >>> import numpy as np
    >>> from keras_bert_suite.layers import EncoderRecord
    >>> tuple(EncoderRecord({"hidden_dim": 12})(np.zeros((2, 5, 12), "float32")).shape)
    (2, 5, 12)
    """

    config_names = ("values",)

    def __init__(self, values, **kwargs):
        super().__init__(**kwargs)
        self.values = dict(values)

    def build(self, hidden_states_shape):
        pass

    def call(self, hidden_states):
        return hidden_states

    def compute_output_shape(self, hidden_states_shape):
        return hidden_states_shape

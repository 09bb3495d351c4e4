"""The dense layer, activation and norm that several task heads put before their output."""

import keras

from keras_bert_suite.errors import check_positive_int
from keras_bert_suite.layers.activations import get_activation
from keras_bert_suite.layers.base import SuiteLayer, register, truncated_normal

__all__ = ["Transform"]


@register
class Transform(SuiteLayer):
    """Pass vectors through a dense layer, an activation and perhaps a layer norm.

    Args:
        units: int. Width of the result.
        activation: str, as in `EncoderConfig`. Defaults to `"gelu"`, the exact erf form.
        layer_norm_epsilon: optional float. Defaults to no norm.
        use_bias: bool. Whether the dense layer has a bias. Defaults to True.
        norm_bias: bool. Whether the norm has a bias. Defaults to True.
        initializer_range: float. Standard deviation of new weights. Defaults to 0.02.
    Call arguments:
        features: float `(..., D)`.
    Returns:
        float `(..., units)` in the layer's compute dtype.
    Example:
    >>> import numpy as np
    >>> from keras_bert_suite.layers import Transform
    >>> tuple(Transform(units=7, layer_norm_epsilon=1e-12)(np.zeros((2, 5, 12), "float32")).shape)
    (2, 5, 7)

    Source: the masked language model's head released with Devlin et al. 2018.
    """

    config_names = ("units", "activation", "layer_norm_epsilon", "use_bias", "norm_bias", "initializer_range")

    def __init__(
        self,
        units,
        activation="gelu",
        layer_norm_epsilon=None,
        use_bias=True,
        norm_bias=True,
        initializer_range=0.02,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_positive_int("Transform", units=units)
        self.units = units
        self.activation = activation
        self.layer_norm_epsilon = layer_norm_epsilon
        self.use_bias = use_bias
        self.norm_bias = norm_bias
        self.initializer_range = initializer_range
        self._activate = get_activation(activation)
        self.dense = keras.layers.Dense(
            units,
            use_bias=use_bias,
            kernel_initializer=truncated_normal(initializer_range),
            dtype=self.dtype_policy,
            name="dense",
        )
        self.norm = keras.layers.Identity(dtype=self.dtype_policy)
        if layer_norm_epsilon is not None:
            self.norm = keras.layers.LayerNormalization(
                epsilon=layer_norm_epsilon, center=norm_bias, dtype=self.dtype_policy, name="norm"
            )

    def build(self, features_shape):
        self.dense.build(features_shape)
        self.norm.build((*features_shape[:-1], self.units))

    def call(self, features):
        return self.norm(self._activate(self.dense(features)))

    def compute_output_shape(self, features_shape):
        return (*features_shape[:-1], self.units)

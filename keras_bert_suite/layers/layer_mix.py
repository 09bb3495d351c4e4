"""One vector of several, one from each layer of an encoder, with learnt shares."""

from keras import ops

from keras_bert_suite.layers.base import SuiteLayer, register

__all__ = ["LayerMix"]


@register
class LayerMix(SuiteLayer):
    """Add up the vectors of several layers, weighted by a softmax, and scale the sum; all of it is learnt.

    Call arguments:
        hidden_states: float `(..., K, D)`, of K layers.
    Returns:
        float `(..., D)`. At first the mean.
    Example:
    >>> import keras
    >>> import numpy as np
    >>> from keras_bert_suite.layers import LayerMix
    >>> keras.ops.convert_to_numpy(LayerMix()(np.array([[[1.0], [3.0]]], "float32"))).tolist()
    [[2.0]]

    Source: Peters et al. 2018 (ELMo), equation 1.
    """

    def build(self, hidden_states_shape):
        self.scores = self.add_weight(shape=(hidden_states_shape[-2],), initializer="zeros", name="scores")
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

    def call(self, hidden_states):
        shares = ops.softmax(self.scores) * self.scale
        return ops.squeeze(ops.matmul(ops.expand_dims(shares, 0), hidden_states), -2)

    def compute_output_shape(self, hidden_states_shape):
        return (*hidden_states_shape[:-2], hidden_states_shape[-1])

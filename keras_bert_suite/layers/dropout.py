"""Dropout whose masks cost little on a processor."""

import keras

from keras_bert_suite.layers.base import register

__all__ = ["Dropout"]

#: Values that 16 bits can have: rates are rounded to a share of them.
CHANCES = 2**16


@register
class Dropout(keras.layers.Dropout):
    """`keras.layers.Dropout`, but for training with PyTorch on a CPU.

    PyTorch draws a random number for each element there, which takes longer
    than the rest of the layer; here four elements share 64 bits, in less than
    half the time. The rate is rounded to a multiple of 1/65536. The bits come
    from PyTorch's global generator, which Keras' own layer uses too.

    Args:
        As in `keras.layers.Dropout`.
    Call arguments:
        inputs: float, any shape.
        training: bool. Defaults to False.
    Returns:
        float, as `inputs`.
    Example:
    >>> import numpy as np
    >>> from keras_bert_suite.layers import Dropout
    >>> float(keras.ops.max(Dropout(0.5)(np.ones((2, 3), "float32"), training=True))) in (0.0, 2.0)
    True

    Source: Srivastava et al. 2014.
    """

    def call(self, inputs, training=False):
        drops = training and self.rate > 0 and self.noise_shape is None
        if drops and keras.backend.backend() == "torch" and inputs.device.type == "cpu":
            return inputs * _noise(inputs, min(round(self.rate * CHANCES), CHANCES - 1))
        return super().call(inputs, training=training)

    def compute_output_shape(self, inputs_shape):
        return inputs_shape


def _noise(inputs, dropped):
    """Return a tensor like `inputs`: 0 with a chance of `dropped` in 65536, else the inverse of the other chance."""
    import torch

    count = inputs.numel()
    words = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None)
    kept = words.view(torch.int16)[:count].view(inputs.shape) >= dropped - CHANCES // 2
    return kept.to(inputs.dtype).mul_(CHANCES / (CHANCES - dropped))

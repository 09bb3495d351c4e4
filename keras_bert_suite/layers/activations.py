"""The activations of the feed-forward part, by the names that `EncoderConfig` uses."""

import keras
from keras import ops

from keras_bert_suite.errors import check_choice

__all__ = ["get_activation"]


def gelu(x):
    """Compute the exact GELU, `x * Phi(x)`, in its erf form.

    `keras.activations.gelu(x, approximate=False)` computes the same numbers,
    but exports as `Erfc`, which ONNX Runtime lacks, and is slow on JAX's CPU
    backend. PyTorch alone has a fused kernel that is worth calling.

    Source: Hendrycks and Gimpel 2016, section 2.
    """
    if keras.backend.backend() == "torch":
        return ops.gelu(x, approximate=False)
    return 0.5 * x * (1.0 + ops.erf(x * 0.5**0.5))


def gelu_tanh(x):
    """Compute the tanh approximation of GELU.

    Source: Hendrycks and Gimpel 2016, section 2.
    """
    return ops.gelu(x, approximate=True)


FUNCTIONS = {"gelu": gelu, "gelu_tanh": gelu_tanh, "relu": ops.relu, "silu": ops.silu, "tanh": ops.tanh}


def get_activation(name):
    """Return the activation function called `name`.

    Raises:
        ValueError: if there is none of that name.
    """
    check_choice("get_activation", "name", name, tuple(FUNCTIONS))
    return FUNCTIONS[name]

"""What differs between backends in training: which shapes of batches pay, and where dropout draws from."""

import contextlib

import keras

__all__ = ["compiles_per_shape", "dropout_under", "has_accelerator"]


def has_accelerator():
    """Return whether the running backend computes on a GPU or TPU."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return any(device.device_type in ("GPU", "TPU") for device in tf.config.list_logical_devices())
    if keras.backend.backend() == "jax":
        import jax

        return jax.default_backend() != "cpu"
    import torch

    return torch.cuda.is_available() or torch.backends.mps.is_available()


def compiles_per_shape():
    """Return whether a batch of a new shape costs a compilation.

    Always so on JAX; on TensorFlow where XLA is worth its while, which on a CPU
    it is not; never on PyTorch.
    """
    backend = keras.backend.backend()
    return backend == "jax" or (backend == "tensorflow" and has_accelerator())


@contextlib.contextmanager
def dropout_under(seed):
    """Let dropout draw from `seed` inside the block, where that takes more than each layer's own state.

    On PyTorch, Keras passes over the state of a layer that was made without a
    seed, and draws from the global generator. It is put back afterwards.

    Args:
        seed: optional int. Without it nothing changes.
    """
    if seed is None or keras.backend.backend() != "torch":
        yield
        return
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield

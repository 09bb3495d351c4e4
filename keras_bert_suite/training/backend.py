"""What differs between backends: which batches pay, how many at a time, and where dropout draws from."""

import contextlib
import os

import keras

from keras_bert_suite.data.packing import ROW_LENGTH

__all__ = ["compiles_per_shape", "concurrent_batches", "dropout_under", "has_accelerator", "packs_by_default"]


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


def packs_by_default(lengths=None):
    """Return whether to train on rows of several random texts rather than on batches of texts of like length.

    So on accelerators, and on a CPU where two texts or more fit a row: a few
    large products cost less than many small ones, and one shape is compiled
    sooner than many (docs/adr/0015).

    Args:
        lengths: optional int array `(N,)`. Tokens of each text.
    """
    if has_accelerator() or lengths is None or not len(lengths):
        return has_accelerator()
    return bool(lengths.max() <= ROW_LENGTH and lengths.mean() <= ROW_LENGTH / 2)


def concurrent_batches():
    """Return how many batches of a prediction to compute at the same time.

    TensorFlow on a CPU runs many operations of an encoder on one core, so a
    second batch finds room beside the first: on two cores, two at a time give
    1.2 times the texts a second. The other backends gain nothing by it.
    """
    if keras.backend.backend() != "tensorflow" or has_accelerator():
        return 1
    import tensorflow as tf

    if tf.distribute.has_strategy():
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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

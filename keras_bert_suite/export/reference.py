"""The truth that artifacts are held against: the Keras model's own outputs, in full float32."""

import contextlib
import math
import tempfile
from pathlib import Path

import keras
import numpy as np

from keras_bert_suite.export.served_model import build_served_model

__all__ = ["ReferenceOutputs", "float32_task", "full_precision"]

BATCH_SIZE = 8
#: Batches are padded to multiples of so many tokens, so that few programs are compiled.
STEP = 32
#: Outputs of so many numbers a token, of a whole vocabulary, are computed in batches of at most so many numbers.
LARGE, BATCH_NUMBERS = 4096, 1 << 24


class ReferenceOutputs:
    """What the model that artifacts hold makes of some rows on this backend, batch by batch, short rows first.

    Goes through `(rows, outputs)`: int `(B,)`, and a dict of NumPy arrays as
    `build_served_model` names them, as long as the longest of these rows. They
    are kept, but for a masked language model's, which are computed each time.

    Args:
        task: the task, in float32.
        arrays: dict of int32 arrays `(N, ..., T)`.
    """

    def __init__(self, task, arrays):
        self._served, self._arrays = build_served_model(task), arrays
        mask = arrays["padding_mask"]
        self._lengths = mask.reshape(len(mask), -1, mask.shape[-1]).sum(axis=-1).max(axis=-1)
        numbers = [[size for size in dims if isinstance(size, int)] for dims in self._served.outputs.values()]
        self._numbers = sum(map(math.prod, numbers))  # of a token, or a row
        self._kept = None

    def __iter__(self):
        if self._numbers >= LARGE:
            return self._computed()
        if self._kept is None:
            self._kept = list(self._computed())
        return iter(self._kept)

    def _computed(self):
        order, start = np.argsort(self._lengths, kind="stable"), 0
        while start < len(order):
            size = BATCH_SIZE
            while size > 1 and size * self._padded(order[start : start + size]) * self._numbers > BATCH_NUMBERS:
                size //= 2
            rows = order[start : start + size]
            yield rows, self._outputs(rows, size)
            start += size

    def _padded(self, rows):
        longest = int(self._lengths[rows].max())
        return min(-(-longest // STEP) * STEP, self._arrays["padding_mask"].shape[-1])

    def _outputs(self, rows, size):
        length, padded = int(self._lengths[rows].max()), self._padded(rows)
        filled = np.resize(rows, size)
        inputs = {name: array[filled][..., :padded] for name, array in self._arrays.items()}
        with full_precision():
            outputs = self._served.model.predict_on_batch(inputs)
        return {
            name: _cut(keras.ops.convert_to_numpy(output)[: len(rows)], self._served.outputs[name], length)
            for name, output in outputs.items()
        }


def _cut(output, dimensions, length):
    """An output without the places that are padding in all rows."""
    return np.asarray(output)[tuple(slice(length) if name == "length" else slice(None) for name in dimensions)]


@contextlib.contextmanager
def float32_task(task, saved=None):
    """Yield `task`, or its float32 twin where it computes in another type: artifacts are float32.

    Args:
        task: the task.
        saved: optional path where `task` is saved already.
    """
    if all(layer.compute_dtype == "float32" for layer in task.model._flatten_layers() if layer.weights):
        yield task
        return
    with tempfile.TemporaryDirectory() as temporary:
        if saved is None:
            saved = Path(temporary) / "task"
            task.save_pretrained(saved)
        yield type(task).from_pretrained(saved, dtype="float32")


@contextlib.contextmanager
def full_precision():
    """Keep accelerators from shortening float32 products to TF32 or bfloat16."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        with contextlib.nullcontext() if jax.default_backend() == "cpu" else jax.default_matmul_precision("highest"):
            yield
    elif backend == "torch":
        import torch

        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)
    elif backend == "tensorflow":
        import tensorflow as tf

        before = tf.config.experimental.tensor_float_32_execution_enabled()
        tf.config.experimental.enable_tensor_float_32_execution(False)
        try:
            yield
        finally:
            tf.config.experimental.enable_tensor_float_32_execution(before)
    else:
        yield

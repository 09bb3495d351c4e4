"""The truth that artifacts are held against: the Keras model's own outputs, in full float32."""

import contextlib
import tempfile
from pathlib import Path

import keras
import numpy as np

from keras_bert_suite.export.served_model import build_served_model

__all__ = ["float32_task", "full_precision", "reference_outputs"]

BATCH_SIZE = 8
#: Batches are padded to multiples of so many tokens, so that few programs are compiled.
STEP = 32


def reference_outputs(task, arrays):
    """Run the model that artifacts hold, on this backend.

    Args:
        task: the task, in float32.
        arrays: dict of int32 arrays `(N, ..., T)`.
    Returns:
        dict of NumPy arrays `(N, ...)`, as `build_served_model` names them.
    """
    served = build_served_model(task)
    mask = arrays["padding_mask"]
    count, length = len(mask), mask.shape[-1]
    lengths = mask.reshape(count, -1, length).sum(axis=-1).max(axis=-1)
    order = np.argsort(lengths, kind="stable")
    answers = {}
    with full_precision():
        for start in range(0, count, BATCH_SIZE):
            rows = order[start : start + BATCH_SIZE]
            cut = min(-(-int(lengths[rows].max()) // STEP) * STEP, length)
            filled = np.resize(rows, BATCH_SIZE)
            outputs = served.model.predict_on_batch({name: array[filled][..., :cut] for name, array in arrays.items()})
            for name, output in outputs.items():
                output = np.asarray(keras.ops.convert_to_numpy(output))[: len(rows)]
                if name not in answers:
                    sizes = zip(served.outputs[name], (count, *output.shape[1:]), strict=True)
                    shape = [length if dimension == "length" else size for dimension, size in sizes]
                    answers[name] = np.zeros(shape, output.dtype)
                answers[name][rows, *(slice(size) for size in output.shape[1:])] = output
    return answers


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

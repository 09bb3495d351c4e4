"""From a `Checkpoint` to a Keras model, and back."""

import logging
import math
from pathlib import Path

import keras
import numpy as np

from keras_bert_suite.checkpoints.arrays.stored import BFLOAT16, StoredArray
from keras_bert_suite.checkpoints.checkpoint import HEAD_LAYERS, HEADS, MOST_LAYERS, Checkpoint, layer_of
from keras_bert_suite.errors import CheckpointError, shortened
from keras_bert_suite.models import encoder_config

__all__ = ["from_model", "load_weights"]

logger = logging.getLogger(__name__)

FLOATS = ("float16", "bfloat16", "float32", "float64")


def load_weights(checkpoint, build, new=()):
    """Build a model whose weights are a checkpoint's, without ever drawing or holding others.

    Args:
        checkpoint: `Checkpoint`.
        build: called without arguments; returns the `keras.Model` to fill.
        new: names of layers of the head that are to keep new weights.
    Returns:
        `(model, new_parts)`: the model, and the set of `"pooler"` and the layers
        of its head that the checkpoint lacks and that have new weights.
    Raises:
        CheckpointError: if a weight of the encoder is missing, unexpected, of
            another shape or not finite; all such are reported together.
    """
    _check_size(checkpoint)
    faults = []
    # In this scope Keras makes variables that have a shape and no value yet; on leaving it, it asks
    # each variable's initializer. Ours reads the file then, so that nothing is ever held twice.
    with keras.StatelessScope():
        model = build()
        new_parts = _new_parts(checkpoint, model) | set(new)
        taken = {variable.path: variable for variable in model.weights if layer_of(variable.path) not in new_parts}
        complaints = _complaints(checkpoint, taken)
        for path, variable in {} if complaints else taken.items():
            variable._initializer = _Reading(path, checkpoint.weights[path], faults)
    complaints += faults
    if complaints:
        raise CheckpointError(
            f"{checkpoint.path}: {len(complaints)} of {len(taken)} weights do not fit the config: "
            f"{shortened(complaints)}. Use the config that was saved with these weights, or download the checkpoint "
            "again."
        )
    absent = sorted(new_parts - set(new))
    if absent:
        logger.warning("%s has no %s: starting from new weights there.", checkpoint.path, " and no ".join(absent))
    if checkpoint.left_aside:
        logger.warning("%s: left aside %s.", checkpoint.path, shortened(checkpoint.left_aside))
    return model, new_parts


class _Reading:
    """An initializer that reads a weight from its file.

    It cannot raise: Keras would go on asking it in every scope to come. What is
    wrong is put into `faults`.
    """

    def __init__(self, path, stored, faults):
        self.path, self.stored, self.faults = path, stored, faults

    def __call__(self, shape, dtype=None):
        try:
            array = self.stored.read()
            if not np.isfinite(array.sum(dtype="float64")):
                self.faults.append(f"{self.path} is not finite")
        except CheckpointError as error:
            self.faults.append(str(error))
            array = np.zeros(shape, "float32")
        if array.dtype.name != dtype:
            array = array.astype("float32")
        return _tensor(array, dtype)


def _tensor(array, dtype):
    """Hand an array over to the backend, which may keep it: nobody else holds it."""
    backend = keras.backend.backend()
    if backend == "torch" and array.dtype.name == dtype != "bfloat16":
        import torch

        return torch.from_numpy(array).to(keras.ops.zeros(()).device)
    if backend == "tensorflow":
        array = _Handed(array)
    return keras.ops.convert_to_tensor(array, dtype=dtype)


class _Handed:
    """An array that TensorFlow, which copies every NumPy array it is given, does not see as one."""

    def __init__(self, array):
        self.array = array
        self.dtype = array.dtype

    def __array__(self, dtype=None, copy=None):
        return self.array if dtype is None else self.array.astype(dtype, copy=False)


def _check_size(checkpoint):
    """Refuse a config that describes much more than the weights there are, before anything is allocated for it."""
    stored = sum(math.prod(array.shape) for array in checkpoint.weights.values())
    config = checkpoint.config
    if config.num_parameters > 2 * stored + 1_000_000 or config.num_layers > MOST_LAYERS:
        raise CheckpointError(
            f"{checkpoint.path}: the config describes an encoder of {config.num_layers} layers and "
            f"{config.num_parameters:,} parameters, but {stored:,} are stored. Use the config that was saved with "
            "these weights."
        )


def _new_parts(checkpoint, model):
    """The pooler, and layers of the model's head, that the checkpoint has nothing of."""
    stored = {layer_of(path) for path in checkpoint.weights}
    parts = {layer_of(variable.path) for variable in model.weights}
    lacking = {part for part in parts - stored if part == "pooler" or part in HEAD_LAYERS}
    if model.name in HEADS and model.name not in checkpoint.heads:
        lacking |= parts & set(HEADS[model.name])  # what is stored there belongs to another head
    return lacking


def _complaints(checkpoint, variables):
    """Everything that keeps the weights from filling the variables, or the variables from taking them."""
    complaints = []
    for path, variable in variables.items():
        stored = checkpoint.weights.get(path)
        if stored is None:
            complaints.append(f"missing {path}")
        elif stored.dtype.name not in FLOATS:
            complaints.append(f"{path} is of type {stored.dtype.name}")
        elif tuple(stored.shape) != tuple(variable.shape):
            complaints.append(f"{path} has shape {stored.shape}, the config says {tuple(variable.shape)}")
    homeless = [
        path
        for path in checkpoint.weights
        if path not in variables and layer_of(path) not in HEAD_LAYERS and layer_of(path) != "pooler"
    ]
    return complaints + [f"unexpected {path}" for path in homeless]


def from_model(model, *, path="", head=None, labels=None, values=None):
    """Return the `Checkpoint` that a Keras model is.

    Args:
        model: `keras.Model` with an encoder made by `build_encoder`.
        path: optional path, for errors.
        head: optional str out of `HEADS`: which head to take along. Defaults to
            the model's name, which builders choose so.
        labels: optional list of str.
        values: optional dict of further entries of the config.
    """
    if any(variable.path.endswith(("/lora_kernel_a", "/lora_kernel_b")) for variable in model.weights):
        raise ValueError(
            f"{path or model.name}: the weights must be whole. Received: a model with low-rank updates beside its "
            "kernels. Call training.merge_lora first."
        )
    head = model.name if head is None and model.name in HEADS else head
    layers = set(HEADS.get(head, ()))
    weights = {}
    # Heads compute in float32 whatever the encoder is stored in; files have one type.
    dtype = next(variable.dtype for variable in model.weights if layer_of(variable.path) == "embeddings")
    unfit = []
    for variable in model.weights:
        part = layer_of(variable.path)
        if part in layers or part not in HEAD_LAYERS:
            weights[variable.path] = _stored(variable, dtype)
            if not keras.ops.convert_to_numpy(keras.ops.all(keras.ops.isfinite(variable.value))):
                unfit.append(variable.path)
    if unfit:
        logger.warning("%s: %d weights are not finite: %s.", path or model.name, len(unfit), shortened(unfit))
    return Checkpoint(
        path=Path(path),
        format="keras",
        config=encoder_config(model),
        weights=weights,
        heads=(head,) if head else (),
        tied="masked_lm/kernel" not in weights,
        labels=labels,
        values=values or {},
    )


def _stored(variable, dtype):
    numpy_dtype = BFLOAT16 if dtype == "bfloat16" else np.dtype(dtype)
    read = lambda: np.array(keras.ops.convert_to_numpy(variable.value), dtype=numpy_dtype, order="C")  # noqa: E731
    return StoredArray(tuple(variable.shape), numpy_dtype, read)

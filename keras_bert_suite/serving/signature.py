"""The signatures of a SavedModel as NumPy sees them. Imports no TensorFlow."""

import dataclasses

import numpy as np

from keras_bert_suite.serving.status import StatusError

__all__ = ["DEFAULT_SIGNATURE", "Signature", "Tensor", "type_name"]

DEFAULT_SIGNATURE = "serving_default"


@dataclasses.dataclass(frozen=True)
class Tensor:
    """One input or output.

    Args:
        tensor: str. The name in the graph, e.g. `"serving_default_text:0"`.
        dtype: NumPy dtype; `object` for strings, which are bytes.
        shape: tuple of int or `None` (any size), or `None` for any rank.
    """

    tensor: str
    dtype: np.dtype
    shape: tuple | None

    def fits(self, shape):
        """Return whether an array of `shape` may be fed."""
        return self.shape is None or (
            len(shape) == len(self.shape)
            and all(want in (None, size) for want, size in zip(self.shape, shape, strict=True))
        )


@dataclasses.dataclass(frozen=True)
class Signature:
    """One signature.

    Args:
        name: str.
        inputs: dict from name to `Tensor`.
        outputs: dict from name to `Tensor`.
    """

    name: str
    inputs: dict
    outputs: dict

    @property
    def row_wise(self):
        """Whether rows of several requests can share a run and each get exactly what it would get alone.

        Every input must have a free number of rows, and every output one row
        each, of a size that does not depend on the other rows.
        """
        return (
            bool(self.inputs)
            and all(tensor.shape and tensor.shape[0] is None for tensor in self.inputs.values())
            and all(
                tensor.shape and tensor.shape[0] is None and None not in tensor.shape[1:]
                for tensor in self.outputs.values()
            )
        )

    def check_inputs(self, inputs):
        """Raise `StatusError` unless the arrays are this signature's inputs, by name, dtype and shape."""
        sent, wanted = set(inputs), set(self.inputs)
        if sent != wanted:
            raise StatusError(
                "INVALID_ARGUMENT",
                f"input size does not match signature: {len(sent)}!={len(wanted)} "
                f"len({{{_names(sent)}}}) != len({{{_names(wanted)}}}). "
                f"Sent extra: {{{_names(sent - wanted)}}}. Missing but required: {{{_names(wanted - sent)}}}.",
            )
        for name, array in inputs.items():
            spec = self.inputs[name]
            if array.dtype != spec.dtype:
                raise StatusError(
                    "INVALID_ARGUMENT",
                    f"input {name!r} must be {type_name(spec.dtype)}. Received: {type_name(array.dtype)}",
                )
            if not spec.fits(array.shape):
                raise StatusError(
                    "INVALID_ARGUMENT",
                    f"input {name!r} must have the shape {_shape_name(spec.shape)}. "
                    f"Received: {_shape_name(array.shape)}",
                )
        if self.row_wise and len({array.shape[0] for array in inputs.values()}) > 1:
            sizes = ", ".join(f"{name}={array.shape[0]}" for name, array in sorted(inputs.items()))
            raise StatusError("INVALID_ARGUMENT", f"inputs must have the same number of rows. Received: {sizes}")

    def choose_outputs(self, names):
        """Return the outputs asked for, all where `names` is empty, as a tuple of names."""
        for name in names:
            if name not in self.outputs:
                raise StatusError(
                    "INVALID_ARGUMENT",
                    f"output tensor alias not found in signature: {name} "
                    f"Outputs expected to be in the set {{{_names(self.outputs)}}}.",
                )
        if len(set(names)) < len(names):
            raise StatusError("INVALID_ARGUMENT", f"duplicate output tensor alias: {_names(names)}")
        return tuple(names) or tuple(sorted(self.outputs))


def _names(names):
    return ",".join(sorted(names))


def type_name(dtype):
    """Return what a dtype is called in messages."""
    return "string" if dtype.kind == "O" else str(dtype)


def _shape_name(shape):
    return "(" + ", ".join("?" if size is None else str(size) for size in shape) + ")"

"""From arrays to the JSON of an answer, as TF Serving's REST API defines it. Imports no TensorFlow."""

import base64
import json

import numpy as np

from keras_bert_suite.serving.status import StatusError

__all__ = ["write_classes", "write_columns", "write_numbers", "write_rows"]

#: Outputs with this ending are binary, and are written in base64.
BYTES_SUFFIX = "_bytes"


def write_rows(outputs):
    """Return the body of an answer to `instances`, as bytes: one value or object per row.

    Args:
        outputs: dict from output name to array.
    """
    sizes = {name: array.shape[0] if array.ndim else None for name, array in outputs.items()}
    if None in sizes.values():
        raise _invalid(f"Tensor name: {min(n for n in sizes if sizes[n] is None)} has no shape information ")
    if len(set(sizes.values())) > 1:
        raise _invalid(
            f"outputs have inconsistent batch sizes: {sizes}. Ask in the column format, with 'inputs' for 'instances'"
        )
    columns = {name: _plain(name, array) for name, array in outputs.items()}
    if len(columns) == 1:
        return _encoded({"predictions": next(iter(columns.values()))})
    rows = zip(*columns.values(), strict=True)
    return _encoded({"predictions": [dict(zip(columns, row, strict=True)) for row in rows]})


def write_columns(outputs):
    """Return the body of an answer to `inputs`, as bytes: one value, or an object of one array per output."""
    columns = {name: _plain(name, array) for name, array in outputs.items()}
    return _encoded({"outputs": next(iter(columns.values())) if len(columns) == 1 else columns})


def write_classes(rows):
    """Return the body of an answer to classify, as bytes.

    Args:
        rows: list per example of `(label, score)`; a label is bytes.
    """
    shown = [[[_text(label), float(str(score))] for label, score in row] for row in rows]
    return _encoded({"results": shown})


def write_numbers(values):
    """Return the body of an answer to regress, as bytes; `values` is a float array `(B,)`."""
    return _encoded({"results": _plain("", values)})


def _plain(name, array):
    """Return an array as nested lists of JSON values."""
    if array.dtype.kind == "O":
        binary = name.endswith(BYTES_SUFFIX)
        write = _base64 if binary else _text
        flat = np.empty(array.size, object)
        flat[:] = [write(value) for value in array.ravel()]
        return flat.reshape(array.shape).tolist()
    if array.dtype.kind in "biu" or array.dtype == np.float64:
        return array.tolist()
    # The shortest decimal that reads back as the same number: 0.2, not 0.20000000298.
    return array.astype("float32").astype("U").astype("float64").tolist()


def _base64(value):
    return {"b64": base64.b64encode(value).decode("ascii")}


def _encoded(value):
    return json.dumps(value, ensure_ascii=False).encode("utf-8")


def _text(value):
    return value.decode("utf-8", errors="replace")


def _invalid(message):
    return StatusError("INVALID_ARGUMENT", message)

"""From the JSON of a request to arrays, as TF Serving's REST API defines it. Imports no TensorFlow."""

import base64
import binascii
import json
import reprlib
from itertools import chain

import numpy as np

from keras_bert_suite.serving.signature import type_name
from keras_bert_suite.serving.status import StatusError

__all__ = ["decode_base64", "encode_text", "is_base64", "parse_body", "read_inputs"]

#: Dimensions of an array; TensorFlow's own bound is higher, and no model comes near.
MOST_DIMENSIONS = 32


def parse_body(body):
    """Return the JSON object in a request's body.

    Args:
        body: bytes.
    Returns:
        dict.
    Raises:
        StatusError: if it is not UTF-8, not JSON, nested too deeply or no object.
    """
    if not body:
        raise _invalid("JSON Parse error: The document is empty")
    try:
        parsed = json.loads(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise _invalid(f"JSON Parse error: not UTF-8 at byte {error.start}") from error
    except RecursionError as error:
        raise _invalid("JSON Parse error: nested too deeply") from error
    except ValueError as error:
        raise _invalid(f"JSON Parse error: {error}") from error
    if not isinstance(parsed, dict):
        raise _invalid(f"JSON Value: {_shown(parsed)} Is not object")
    if not isinstance(parsed.get("signature_name", ""), str):
        raise _invalid("'signature_name' key must be a string value.")
    return parsed


def read_inputs(request, signature):
    """Return the arrays of a predict request.

    Args:
        request: dict, from `parse_body`.
        signature: `Signature`.
    Returns:
        dict from input name to array, and whether they came in rows (`instances`).
    Raises:
        StatusError: INVALID_ARGUMENT, for whatever does not follow the API.
    """
    rows, columns = "instances" in request, "inputs" in request
    if rows and columns:
        raise _invalid("Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist")
    if not rows and not columns:
        raise _invalid("Missing 'inputs' or 'instances' key")
    values = _columns_of_rows(request["instances"], signature) if rows else _columns(request["inputs"], signature)
    return {name: _array(value, signature.inputs[name].dtype, name) for name, value in values.items()}, rows


def decode_base64(value):
    """Return the bytes of a `{"b64": ...}` object."""
    try:
        # Both alphabets, with and without padding.
        text = value["b64"].replace("-", "+").replace("_", "/").rstrip("=")
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _invalid("Unable to base64 decode") from error


def is_base64(value):
    """Return whether a JSON value is `{"b64": "..."}`."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def encode_text(text):
    """Return the bytes of a JSON string; half a surrogate pair has none."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _invalid("JSON Parse error: The surrogate pair in string is invalid.") from error


def _columns_of_rows(rows, signature):
    if not isinstance(rows, list):
        raise _invalid("Expecting 'instances' to be an list/array")
    if not rows:
        raise _invalid("No values in 'instances' array")
    names = sorted(signature.inputs)
    if not _is_object(rows[0]):
        if len(names) != 1:
            raise _invalid(
                "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
                f"tensorinfo_map: {','.join(names)}"
            )
        for index, row in enumerate(rows):
            if _is_object(row):
                raise _invalid(f"Expecting value/list but got object at item {index} of input list")
        return {names[0]: rows}
    for index, row in enumerate(rows):
        if not _is_object(row):
            raise _invalid(f"Expecting object but got list at item {index} of input list")
        if sorted(row) != names:
            raise _invalid(
                f"Failed to process element: {index} of 'instances' list. JSON object: {_shown(row)} "
                f"keys must be equal to: {','.join(names)}"
            )
    return {name: [row[name] for row in rows] for name in names}


def _columns(value, signature):
    names = sorted(signature.inputs)
    if not _is_object(value):
        if len(names) != 1:
            raise _invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                f"tensorinfo_map: {','.join(names)}"
            )
        return {names[0]: value}
    for name in names:
        if name not in value:
            raise _invalid(f"Missing named input: {name} in 'inputs' object.")
    return {name: value[name] for name in names}  # Like the stock server, what else is there is not looked at.


def _is_object(value):
    return isinstance(value, dict) and not is_base64(value)


def _array(value, dtype, name):
    """Return a dense array of a nested list; its shape is that of the first element at each level."""
    shape, first = [], value
    while isinstance(first, list):
        shape.append(len(first))
        if len(shape) > MOST_DIMENSIONS:
            raise _invalid(f"input {name!r}: lists are nested deeper than {MOST_DIMENSIONS}")
        if not first:
            break
        first = first[0]
    flat = [value]
    for level, size in enumerate(shape):
        for item in flat:
            if not isinstance(item, list):
                raise _invalid(
                    f"input {name!r}: JSON Value: {_shown(item)} found at incorrect level: {level} in the JSON DOM. "
                    f"Expected at level: {len(shape)}"
                )
            if len(item) != size:
                raise _invalid(
                    f"input {name!r}: Encountered list at unexpected size: {len(item)} at level: {level} "
                    f"expected size: {size}"
                )
        flat = list(chain.from_iterable(flat))
    return _leaves(flat, dtype, name, len(shape)).reshape(shape)


def _leaves(values, dtype, name, level):
    """Return a one-dimensional array of JSON scalars."""
    kinds = _KINDS.get(dtype.kind, (int, float))
    for value in values:
        if type(value) not in kinds or (type(value) is dict and not is_base64(value)):
            if isinstance(value, list):
                raise _invalid(f"input {name!r}: Encountered list at unexpected level: {level} expected < {level}")
            wanted = type_name(dtype)
            raise _invalid(f"input {name!r}: JSON Value: {_shown(value)} is not of expected type: {wanted}")
    if dtype.kind == "O":
        values = [encode_text(value) if type(value) is str else decode_base64(value) for value in values]
    elif dtype.kind in "iu" and values:
        limits = np.iinfo(dtype)
        if min(values) < limits.min or max(values) > limits.max:
            raise _invalid(f"input {name!r}: a number is out of the range of {dtype}")
    array = np.empty(len(values), dtype)
    try:
        with np.errstate(over="ignore"):  # as in C++, 1e300 is infinite as float32
            array[:] = values
    except OverflowError as error:
        raise _invalid(f"input {name!r}: a number is out of the range of {dtype}") from error
    return array


#: What JSON may hold for an array, by NumPy's kind; whatever is not here takes numbers.
_KINDS = {"O": (str, dict), "b": (bool,), "i": (int,), "u": (int,)}


def _shown(value):
    return f"{reprlib.repr(value)} Type: {_TYPES.get(type(value), 'Null')}"


_TYPES = {dict: "Object", list: "Array", str: "String", int: "Number", float: "Number", bool: "Bool"}


def _invalid(message):
    return StatusError("INVALID_ARGUMENT", message)

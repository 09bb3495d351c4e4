"""`TensorProto` to arrays and back, for gRPC."""

import math

import numpy as np

from keras_bert_suite.errors import require
from keras_bert_suite.serving.status import StatusError

__all__ = ["read_tensor", "write_tensor"]

#: The field in which TF Serving sends each type; a client may read it without TensorFlow.
FIELDS = {
    "float32": "float_val",
    "float64": "double_val",
    "int8": "int_val",
    "uint8": "int_val",
    "int16": "int_val",
    "int32": "int_val",
    "int64": "int64_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
    "bool": "bool_val",
    "object": "string_val",
}


def read_tensor(name, proto, most_bytes):
    """Return the array in a `TensorProto`; strings become bytes.

    Args:
        name: str. The input, for messages.
        proto: `TensorProto`.
        most_bytes: int. Size of the largest array; a few bytes of protobuf can describe any.
    Raises:
        StatusError: INVALID_ARGUMENT.
    """
    tf = require("tensorflow", "kbs serve")
    try:
        dtype = tf.dtypes.as_dtype(proto.dtype).as_numpy_dtype
        sizes = [dim.size for dim in proto.tensor_shape.dim]
        if proto.tensor_shape.unknown_rank or any(size < 0 for size in sizes):
            raise ValueError("the shape must be known")
        if math.prod(sizes) * np.dtype(dtype).itemsize > most_bytes:
            raise ValueError(f"the shape {sizes} is too large")
        return np.asarray(tf.make_ndarray(proto))
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise StatusError("INVALID_ARGUMENT", f"input {name!r} is not a valid tensor: {error}") from error


def write_tensor(array, proto):
    """Fill a `TensorProto` with an array, value by value as TF Serving does."""
    tf = require("tensorflow", "kbs serve")
    if array.dtype.name not in FIELDS:
        proto.CopyFrom(tf.make_tensor_proto(array))
        return
    proto.dtype = tf.dtypes.as_dtype(array.dtype).as_datatype_enum
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    getattr(proto, FIELDS[array.dtype.name]).extend(array.ravel().tolist())

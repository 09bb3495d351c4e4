"""The bytes of `tf.train.Example` messages, of many rows at a time: several times as fast as one message by one.

Protocol buffers are simple where every value is a list of numbers: a tag, a
length, and the numbers, integers in groups of seven bits.
"""

import functools
import itertools

import numpy as np

from keras_bert_suite.text.ragged import row_offsets

__all__ = ["serialize_examples"]

#: Field 1, 2 or 3 of a message, of a length that follows.
FIELD_1, FIELD_2, FIELD_3 = b"\x0a", b"\x12", b"\x1a"


def serialize_examples(features):
    """Serialize rows as `tf.train.Example` messages, with the names in order.

    Args:
        features: dict from a name to an array `(R, T)`: float32, or ints from 0
            to 2 ** 28 - 1.
    Returns:
        list of bytes, R of them.
    Example:
    >>> serialize_examples({"a": np.array([[1, 300]])})
    [b'\\n\\x0e\\n\\x0c\\n\\x01a\\x12\\x07\\x1a\\x05\\n\\x03\\x01\\xac\\x02']
    """
    columns = []
    for name, values in sorted(features.items()):
        is_float = values.dtype.kind == "f"
        data, sizes = _floats(values) if is_float else _integers(values)
        ends = row_offsets(sizes).tolist()
        heads = [_head(name, is_float, size) for size in sizes.tolist()]
        columns.append(heads)
        columns.append([data[start:end] for start, end in itertools.pairwise(ends)])
    rows = map(b"".join, zip(*columns, strict=True))
    return [FIELD_1 + _length(len(row)) + row for row in rows]


def _floats(values):
    return np.ascontiguousarray(values, "<f4").tobytes(), np.full(len(values), 4 * values.shape[1])


def _integers(values):
    """Integers as groups of seven bits, the lowest first, each but the last marked by the eighth bit."""
    values = np.ascontiguousarray(values, "<u4")
    if values.max(initial=0) < 128:
        return values.astype(np.uint8).tobytes(), np.full(len(values), values.shape[1])
    groups = values[..., None] >> np.array([0, 7, 14, 21], "<u4")  # (R, T, 4)
    used = groups > 0
    used[..., 0] = True
    groups &= 127
    groups[..., :3] |= used[..., 1:].astype("<u4") << np.uint32(7)
    return groups.astype(np.uint8)[used].tobytes(), used.sum(axis=(1, 2))


@functools.lru_cache(maxsize=1 << 16)
def _head(name, is_float, size):
    """What stands before the `size` bytes of a feature: its name, its kind and the lengths of all that holds it."""
    values = FIELD_1 + _length(size)
    kind = (FIELD_2 if is_float else FIELD_3) + _length(len(values) + size)
    feature = FIELD_2 + _length(len(kind) + len(values) + size)
    key = FIELD_1 + _length(len(name.encode())) + name.encode()
    head = key + feature + kind + values
    return FIELD_1 + _length(len(head) + size) + head


def _length(number):
    groups = []
    while number > 127:
        groups.append(number & 127 | 128)
        number >>= 7
    return bytes([*groups, number])

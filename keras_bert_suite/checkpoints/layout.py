"""Arrays turned from a foreign layout into ours, and back, one at a time and only when they are read."""

import numpy as np

from keras_bert_suite.checkpoints.arrays.stored import StoredArray, aligned_empty

__all__ = ["in_our_layout", "in_their_layout"]


def in_our_layout(stored, name):
    """Return a foreign array, or the part of it that is one of our weights, in our layout.

    Args:
        stored: `StoredArray`.
        name: `WeightName`.
    Returns:
        `StoredArray`; `stored` itself where its shape is such that nothing of
        ours has it, which whoever compares shapes will say.
    """
    if len(stored.shape) < 1 or stored.shape[0] % name.parts or (name.transposed and len(stored.shape) != 2):
        return stored
    rows = stored.shape[0] // name.parts
    shape = (rows, *stored.shape[1:])
    if not name.transposed and name.parts == 1:
        return stored

    def read():
        array = stored.read()[name.part * rows : (name.part + 1) * rows]
        ours = aligned_empty(array.shape[::-1] if name.transposed else array.shape, array.dtype)
        ours[...] = array.T if name.transposed else array
        return ours

    return StoredArray(shape[::-1] if name.transposed else shape, stored.dtype, read)


def in_their_layout(weights, names):
    """Return one foreign array, made of one of our weights or of several side by side.

    Args:
        weights: dict from our path to `StoredArray`.
        names: list of `WeightName`, all of the same foreign name.
    Returns:
        `StoredArray`.
    """
    first = weights[names[0].ours]
    if len(names) == 1 and not names[0].transposed:
        return first
    shape = first.shape[::-1] if names[0].transposed else first.shape

    def read():
        arrays = [weights[name.ours].read() for name in sorted(names, key=lambda name: name.part)]
        return np.concatenate([array.T if names[0].transposed else array for array in arrays])

    return StoredArray((shape[0] * len(names), *shape[1:]), first.dtype, read)

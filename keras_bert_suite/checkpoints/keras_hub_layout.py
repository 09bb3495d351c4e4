"""Arrays turned from KerasHub's layout into ours, and back, one at a time and only when they are read."""

import numpy as np

from keras_bert_suite.checkpoints.arrays.stored import StoredArray

__all__ = ["in_our_layout", "in_their_layout", "with_padding_rows", "without_padding_rows"]


def in_our_layout(stored, path, config):
    """Return a foreign array in our layout.

    Args:
        stored: `StoredArray`.
        path: str. The path of our variable.
        config: `EncoderConfig`.
    Returns:
        `StoredArray`; `stored` itself where its shape is such that nothing of
        ours has it, which whoever compares shapes will say.
    """
    shape = (config.hidden_dim,) * (2 if path.endswith("/kernel") else 1)
    if "/self_attention/" not in path or stored.shape != _their_shape(path, shape, config):
        return stored
    return _reshaped(stored, shape)


def in_their_layout(stored, path, config):
    """Return one of our arrays in the foreign layout; arguments as in `in_our_layout`."""
    return _reshaped(stored, _their_shape(path, stored.shape, config))


def _their_shape(path, shape, config):
    """The shape that KerasHub gives one of our weights: its attention has an axis for heads, one within a head."""
    heads = (config.num_heads, config.head_dim)
    if "/self_attention/" not in path or path.endswith("/output/bias"):
        return shape
    if path.endswith("/output/kernel"):
        return (*heads, *shape[1:])  # (D, D) is (N, H, D) there
    return (*shape[:-1], *heads)  # (D, D) is (D, N, H), (D,) is (N, H)


def _reshaped(stored, shape):
    if stored.shape == shape:
        return stored
    return StoredArray(shape, stored.dtype, lambda: stored.read().reshape(shape))


# The RoBERTas of KerasHub count positions from 0 for padding and tokens alike, in a table of
# `max_sequence_length` rows. Ours, as published, count tokens alone, from `pad_token_id + 1`, in a
# table that begins with rows for less. Texts are padded at their end, so token t reads row t there
# and row `pad_token_id + 1 + t` here: the first rows are all the difference, and only padding,
# which no token attends to, ever reads them. They are zeros when read, and left out when written.


def with_padding_rows(position, rows):
    """Return a foreign table of positions with `rows` rows of zeros before its own.

    Args:
        position: `StoredArray` `(max_sequence_length, D)`.
        rows: int.
    """
    shape = (rows + position.shape[0], *position.shape[1:])

    def read():
        return np.concatenate([np.zeros((rows, *shape[1:]), position.dtype), position.read()])

    return StoredArray(shape, position.dtype, read)


def without_padding_rows(position, segment, rows):
    """Return our table of positions without its first `rows` rows.

    KerasHub has no segments there. What the only one adds to every token is
    added to every position, which is the same sum.

    Args:
        position: `StoredArray` `(rows + max_sequence_length, D)`.
        segment: `StoredArray` `(1, D)`: zeros in models as published, not in those trained further.
        rows: int.
    """

    def read():
        table, added = position.read()[rows:], segment.read()
        if added.any():
            table = (table.astype("float64") + added.astype("float64")).astype(position.dtype)
        return np.ascontiguousarray(table)

    return StoredArray((position.shape[0] - rows, *position.shape[1:]), position.dtype, read)

"""Which rows go together and how long they are padded, so that padding is hardly ever computed.

Plans only: rows are indices and no array of tokens is built here. Lengths come
from a small fixed set of buckets, so that XLA and TPUs compile few programs.
"""

from typing import NamedTuple

import numpy as np

from keras_bert_suite.errors import check_choice, check_positive_int

__all__ = ["Batch", "bucket_lengths", "padding_share", "plan_prediction_batches", "plan_training_batches"]


class Batch(NamedTuple):
    """Rows that are computed together.

    Args:
        rows: int array `(R,)`. Indices of the rows, R at most `size`.
        length: int. Tokens to which each row is padded.
        size: int. Rows to which the batch is padded where shapes are fixed.
    """

    rows: np.ndarray
    length: int
    size: int

    def filled(self):
        """Return int `(size,)`: the rows, and the first of them in the places left."""
        return np.pad(self.rows, (0, self.size - len(self.rows)), constant_values=self.rows[0]).astype("int64")


def bucket_lengths(max_length, granularity="coarse"):
    """Return the padded lengths that batches may have, ascending, the last one `max_length`.

    Args:
        max_length: int. Tokens of the longest row, special ones included.
        granularity: `"coarse"` for backends that compile per shape: 16, 24, 32,
            48, 64, 96, ..., each at most 1.5 times the last. `"exact"` for the
            others: every length.
    Returns:
        tuple of int.
    Example:
    >>> bucket_lengths(128)
    (16, 24, 32, 48, 64, 96, 128)
    >>> bucket_lengths(5, "exact")
    (1, 2, 3, 4, 5)
    """
    check_positive_int("bucket_lengths", max_length=max_length)
    check_choice("bucket_lengths", "granularity", granularity, ("coarse", "exact"))
    if granularity == "exact":
        return tuple(range(1, max_length + 1))
    powers = (1 << exponent for exponent in range(4, max_length.bit_length()))
    steps = (length for power in powers for length in (power, power * 3 // 2))
    return (*(length for length in steps if length < max_length), max_length)


def plan_prediction_batches(lengths, buckets, tokens_per_batch, fixed_shapes=True):
    """Plan batches of about `tokens_per_batch` padded tokens, the longest rows first.

    With `fixed_shapes` each bucket has one batch size, and places left over in
    its last batch are filled with the next shorter rows; only the final batch
    is partial, and its size is rounded up to a power of two, so that a request
    of three rows is not computed as hundreds. Without, batches have whatever
    size is right, for backends that compile nothing. Write each batch's answers
    to `answers[batch.rows]` and the caller's order is back.

    Args:
        lengths: int array `(N,)`. Tokens of each row.
        buckets: sequence of int from `bucket_lengths`.
        tokens_per_batch: int. Rows times padded length; a batch has one row at
            least.
        fixed_shapes: bool. Whether the backend compiles per shape.
    Returns:
        list of `Batch`; every row is in exactly one.
    Raises:
        ValueError: if a row is longer than the last bucket.
    Example:
    >>> for batch in plan_prediction_batches([3, 30, 5, 9], (8, 16, 32), 32):
    ...     print(batch.rows, batch.length, batch.size)
    [1] 32 1
    [3 2] 16 2
    [0] 8 1
    """
    check_positive_int("plan_prediction_batches", tokens_per_batch=tokens_per_batch)
    lengths, buckets = _checked("plan_prediction_batches", lengths, buckets)
    order = np.argsort(-lengths, kind="stable")
    padded = buckets[np.searchsorted(buckets, lengths[order])].tolist()
    batches, start = [], 0
    while start < len(order):
        length = padded[start]
        size = _batch_size(tokens_per_batch // length)
        rows = order[start : start + size]
        if len(rows) < size:
            size = min(size, 1 << (len(rows) - 1).bit_length()) if fixed_shapes else len(rows)
        batches.append(Batch(rows, length, size))
        start += len(rows)
    return batches


def plan_training_batches(lengths, batch_size, buckets, rng, shuffle=True, window=50):
    """Plan one epoch: random batches of rows of like length, in random order.

    Rows are permuted, sorted by length inside windows of `window` batches, cut,
    and the batches shuffled. A window is at most a quarter of the epoch, so
    that small data sets are not cut the same way each time. The rows that fill
    no batch are drawn before sorting, and come last.

    Args:
        lengths: int array `(N,)`. Tokens of each row.
        batch_size: int. Rows in each batch but the last.
        buckets: sequence of int from `bucket_lengths`.
        rng: `numpy.random.Generator`. The plan depends on nothing else.
        shuffle: bool. If false, rows stay in the caller's order.
        window: int. Batches sorted together; 1 leaves length to chance.
    Returns:
        list of `Batch`; every row is in exactly one.
    Raises:
        ValueError: if a row is longer than the last bucket.
    Example:
    >>> plan = plan_training_batches([5, 9, 7], 2, (8, 16), np.random.default_rng(0), shuffle=False)
    >>> [(batch.rows.tolist(), batch.length, batch.size) for batch in plan]
    [([0, 1], 16, 2), ([2], 8, 2)]
    """
    check_positive_int("plan_training_batches", batch_size=batch_size, window=window)
    lengths, buckets = _checked("plan_training_batches", lengths, buckets)
    if not len(lengths):
        return []
    full = len(lengths) // batch_size
    order = rng.permutation(len(lengths)) if shuffle else np.arange(len(lengths))
    if shuffle:
        sorted_together = batch_size * max(1, min(window, full // 4))
        batched = order[: full * batch_size]
        by_length = np.lexsort((lengths[batched], np.arange(len(batched)) // sorted_together))
        batches = batched[by_length].reshape(full, batch_size)
        order[: full * batch_size] = rng.permutation(batches).reshape(-1)
    starts = np.arange(0, len(order), batch_size)
    longest = np.maximum.reduceat(lengths[order], starts)
    padded = buckets[np.searchsorted(buckets, longest)].tolist()
    return [
        Batch(order[start : start + batch_size], length, batch_size)
        for start, length in zip(starts.tolist(), padded, strict=True)
    ]


def padding_share(batches, lengths):
    """Return the share of computed tokens that are padding, in [0, 1).

    Args:
        batches: list of `Batch`, each computed at its full `size`.
        lengths: int array `(N,)`. Tokens of each row.
    Returns:
        float; 0.0 for an empty plan.
    """
    lengths = np.asarray(lengths)
    computed = sum(batch.length * batch.size for batch in batches)
    real = sum(int(lengths[batch.rows].sum()) for batch in batches)
    return 1 - real / computed if computed else 0.0


def _batch_size(rows):
    """Round down to a multiple of 8, which accelerators like, where there are 8; at least 1."""
    return rows // 8 * 8 if rows >= 8 else max(1, rows)


def _checked(subject, lengths, buckets):
    lengths = np.asarray(lengths, dtype="int64")
    buckets = np.asarray(buckets, dtype="int64")
    if lengths.ndim != 1:
        raise ValueError(f"{subject}: lengths must be one number a row. Received: shape {lengths.shape}.")
    if buckets.ndim != 1 or not len(buckets) or buckets[0] <= 0 or (np.diff(buckets) <= 0).any():
        raise ValueError(
            f"{subject}: buckets must be ascending lengths above 0. Received: {buckets.tolist()}. Use bucket_lengths."
        )
    if len(lengths) and lengths.max() > buckets[-1]:
        row = int(lengths.argmax())
        raise ValueError(
            f"{subject}: no row may be longer than the last bucket, {buckets[-1]}. "
            f"Received: row {row} of {lengths[row]} tokens. Truncate it or add a bucket."
        )
    return lengths, buckets

"""Which examples share a row, so that batches of short texts are computed without padding.

Plans only, as in batching.py. A batch is as many examples as it would be
without packing, drawn at random: what is learned from it is the same.
"""

from typing import NamedTuple

import numpy as np

from keras_bert_suite.errors import check_choice, check_positive_int

__all__ = ["PackedBatch", "packed_places", "packed_row_length", "plan_packed_batches", "row_counts"]

#: Tokens of a row at least: attention is still cheap beside the rest, and matrix units like the number.
ROW_LENGTH = 128


class PackedBatch(NamedTuple):
    """Examples that are computed together, several to a row.

    Args:
        examples: int array `(E,)`. Their indices.
        rows: int array `(E,)`. The row of the batch in which each stands.
        places: int array `(E,)`. Which of its row it is, from 0.
        starts: int array `(E,)`. Position of its first token in the row.
        size: int. Rows that are computed.
        length: int. Tokens in each row.
    """

    examples: np.ndarray
    rows: np.ndarray
    places: np.ndarray
    starts: np.ndarray
    size: int
    length: int


def row_counts(most, granularity="coarse"):
    """Return the numbers of rows that batches may have, ascending, the last one `most` or above.

    Args:
        most: int. Rows of the largest batch.
        granularity: `"coarse"` for backends that compile per shape: 1 to 8, 10,
            12, 14, 16, 20, ..., each at most 1.25 times the last from 4 on.
            `"exact"` for the others: every number.
    Returns:
        tuple of int.
    Example:
    >>> row_counts(17)
    (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20)
    """
    check_positive_int("row_counts", most=most)
    check_choice("row_counts", "granularity", granularity, ("coarse", "exact"))
    counts = [1]
    while counts[-1] < most:
        step = 1 << max(0, counts[-1].bit_length() - 3) if granularity == "coarse" else 1
        counts.append(counts[-1] + step)
    return tuple(counts)


def packed_row_length(lengths):
    """Return a length of rows, in tokens, that suits some examples: 128, or the next multiple of 64 that holds all.

    Args:
        lengths: int array `(N,)`. Tokens of each example.
    Example:
    >>> packed_row_length([20, 30]), packed_row_length([20, 130])
    (128, 192)
    """
    longest = int(np.max(lengths, initial=0))
    return max(ROW_LENGTH, -(-longest // 64) * 64)


def packed_places(lengths, row_length):
    """Return how many examples a row may hold: about twice what fits on average, or as many as can fit.

    Args:
        lengths: int array `(N,)`. Tokens of each example.
        row_length: int. Tokens of a row.
    Returns:
        int.
    Example:
    >>> packed_places([10, 30, 50], row_length=128)
    8
    """
    lengths = np.asarray(lengths)
    if not len(lengths):
        return 1
    on_average = 2 * row_length / max(1.0, lengths.mean())
    return min(1 << (max(1, int(on_average)) - 1).bit_length(), row_length // max(1, int(lengths.min())))


def plan_packed_batches(lengths, batch_size, row_length, rng, shuffle=True, places=None, granularity="coarse"):
    """Plan one epoch: batches of random examples, packed first-fit into rows, the longest first.

    All batches are packed at once, example by example, so that 100,000 of them
    take a fraction of a second.

    Args:
        lengths: int array `(N,)`. Tokens of each example.
        batch_size: int. Examples in each batch but the last.
        row_length: int. Tokens of a row.
        rng: `numpy.random.Generator`. The plan depends on nothing else.
        shuffle: bool. If false, batches take the examples in the caller's order.
        places: optional int. Examples that a row may hold at most. Defaults to `packed_places`.
        granularity: str, as in `row_counts`, which the numbers of rows come from.
    Returns:
        list of `PackedBatch`; every example is in exactly one, the longest of a batch first.
    Raises:
        ValueError: if an example is longer than a row.
    Example:
    >>> plan = plan_packed_batches([5, 9, 7, 2], 3, 16, np.random.default_rng(0), shuffle=False)
    >>> [(batch.examples.tolist(), batch.rows.tolist(), batch.starts.tolist()) for batch in plan]
    [([1, 2, 0], [0, 0, 1], [0, 9, 0]), ([3], [0], [0])]

    Source: Krell et al. 2021, section 3; Johnson 1973 for first-fit-decreasing.
    """
    lengths = np.asarray(lengths, dtype="int64")
    check_positive_int("plan_packed_batches", batch_size=batch_size, row_length=row_length)
    if lengths.ndim != 1:
        raise ValueError(
            f"plan_packed_batches: lengths must be one number an example. Received: shape {lengths.shape}."
        )
    if len(lengths) and lengths.max() > row_length:
        longest = int(lengths.argmax())
        raise ValueError(
            f"plan_packed_batches: no example may be longer than a row, {row_length} tokens. Received: example "
            f"{longest} of {lengths[longest]} tokens. Truncate it or choose a larger row_length."
        )
    if not len(lengths):
        return []
    places = packed_places(lengths, row_length) if places is None else places
    order = rng.permutation(len(lengths)) if shuffle else np.arange(len(lengths))
    num_batches = -(-len(order) // batch_size)
    # Filler, of no tokens and in no batch, makes the last batch as large as the others while they are packed.
    order = np.pad(order, (0, num_batches * batch_size - len(order)), constant_values=-1).reshape(num_batches, -1)
    tokens = np.where(order < 0, 0, lengths[order])
    longest_first = np.argsort(-tokens, axis=1, kind="stable")
    order, tokens = (np.take_along_axis(array, longest_first, axis=1) for array in (order, tokens))
    rows, taken, starts = _first_fit(tokens, row_length, places)
    real = order >= 0
    used = np.where(real, rows + 1, 0).max(axis=1)
    if num_batches > 1 and granularity == "coarse":
        used[-1] = max(used[-1], used[:-1].min())  # a small last batch is not worth a program of its own
    counts = np.array(row_counts(int(used.max()), granularity))
    sizes = counts[np.searchsorted(counts, used)].tolist()
    return [
        PackedBatch(*(array[number, real[number]] for array in (order, rows, taken, starts)), size, row_length)
        for number, size in enumerate(sizes)
    ]


def _first_fit(tokens, row_length, places):
    """Give each example the first row of its batch that has room for it.

    Args:
        tokens: int `(num_batches, batch_size)`. Tokens of the examples of each batch.
    Returns:
        row, place and start of each, int `(num_batches, batch_size)`.
    """
    num_batches, batch_size = tokens.shape
    batches = np.arange(num_batches)
    filled = np.zeros((num_batches, 1), "int64")  # tokens in each row; one more row is added whenever one needs it
    counts = np.zeros((num_batches, 1), "int64")  # examples in each row
    rows, taken, starts = (np.zeros(tokens.shape, "int64") for _ in range(3))
    for index in range(batch_size):
        fits = (filled + tokens[:, index, None] <= row_length) & (counts < places)
        if not fits.any(axis=1).all():
            filled, counts, fits = (np.pad(array, ((0, 0), (0, 1)), constant_values=array.dtype == bool)
                                    for array in (filled, counts, fits))  # fmt: skip
        row = fits.argmax(axis=1)
        rows[:, index], taken[:, index], starts[:, index] = row, counts[batches, row], filled[batches, row]
        filled[batches, row] += tokens[:, index]
        counts[batches, row] += 1
    return rows, taken, starts

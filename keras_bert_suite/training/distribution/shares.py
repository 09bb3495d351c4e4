"""One global batch as equal shares, so that the mean of their means is the mean over all of it."""

import json
import zlib

import keras
import numpy as np

__all__ = ["SharedDataset", "check_divisible", "check_same_data", "share_rows"]


def share_rows(weights, num_shares):
    """Divide the rows of a batch into shares of equal size and equal total weight.

    Each device divides by the weight of its own share. Were those weights to
    differ, as they do where only one share has rows that fill up the batch, the
    mean over devices would not be that over rows. So a row on the border
    between two shares is put into both, with a part of its weight in each.
    Where a model has several outputs, each with weights of its own, a share has
    the rows that any of them needs there.

    Args:
        weights: float array `(N,)`, at least 0; or `(K, N)`, for K outputs.
        num_shares: int.
    Returns:
        `(rows, parts)`: int `(num_shares, M)`, indices of rows, and float32
        `(num_shares, M)` or `(K, num_shares, M)`, the part of each row's weight
        that counts there. M is the least that suffices, and `N / num_shares` at least.
    Example:
    >>> rows, parts = share_rows([1, 1, 1, 0], 2)
    >>> rows.tolist(), parts.tolist()
    ([[0, 1], [1, 2]], [[1.0, 0.5], [0.5, 1.0]])
    """
    given = np.asarray(weights, "float64")
    weights = np.atleast_2d(given)
    count = weights.shape[1]
    size = -(-count // num_shares)
    ends = np.cumsum(weights, axis=1)
    borders = np.linspace(0, ends[:, -1], num_shares + 1, axis=1)
    if count % num_shares == 0 and np.allclose(ends[:, size - 1 :: size], borders[:, 1:], rtol=1e-9, atol=0):
        rows, parts = np.arange(count).reshape(num_shares, size), np.ones((len(weights), num_shares, size), "float32")
        return rows, parts.reshape(*given.shape[:-1], num_shares, size)
    # Row i lies on the line from ends[i] - weights[i] to ends[i], and a share between two borders.
    starts = ends - weights
    overlaps = np.minimum(ends[:, None], borders[:, 1:, None]) - np.maximum(starts[:, None], borders[:, :-1, None])
    overlaps[overlaps < 1e-9 * ends[:, -1:, None]] = 0  # (K, num_shares, N)
    needed = (overlaps > 0).any(axis=0)
    size = max(size, int(needed.sum(axis=1).max()))
    rows = np.zeros((num_shares, size), "int64")
    parts = np.zeros((len(weights), num_shares, size), "float32")
    for share, found in enumerate(map(np.flatnonzero, needed)):
        rows[share, : len(found)] = found
        parts[:, share, : len(found)] = overlaps[:, share, found] / np.maximum(weights[:, found], 1e-300)
    return rows, parts.reshape(*given.shape[:-1], num_shares, size)


class SharedDataset(keras.utils.PyDataset):
    """The shares of each batch of a data set that are computed in this process.

    Args:
        dataset: `keras.utils.PyDataset` of global batches. Where it has an
            attribute `copies`, so many rows in turn are not parted.
        num_shares: int. Shares of each batch, in all processes.
        own: slice. Those of this process.
        equal_weights: bool. Whether shares must have equal weight; otherwise
            only equal size.
        on_batch: optional callable. Called with the index of each batch read.
    """

    def __init__(self, dataset, num_shares, own=slice(None), equal_weights=True, on_batch=None):
        if not isinstance(dataset, keras.utils.PyDataset):
            raise TypeError(
                f"distribution.dataset takes a keras.utils.PyDataset, such as training.BucketedDataset. "
                f"Received: {type(dataset).__name__}."
            )
        super().__init__(dataset.workers, dataset.use_multiprocessing, dataset.max_queue_size)
        self.dataset = dataset
        self.num_shares = num_shares
        self.own = own
        self.equal_weights = equal_weights
        self.on_batch = on_batch

    def __getattr__(self, name):
        if name == "dataset":  # not there yet, while the object is being made
            raise AttributeError(name)
        return getattr(self.dataset, name)

    @property
    def num_batches(self):
        return self.dataset.num_batches

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        if self.on_batch is not None:
            self.on_batch(index)
        inputs, targets, weights = keras.utils.unpack_x_y_sample_weight(self.dataset[index])
        size = _num_rows(inputs)
        if weights is None:
            if size % self.num_shares:
                raise _indivisible(size, self.num_shares, ", or yield sample weights too")
            rows = np.arange(size).reshape(self.num_shares, -1)[self.own].reshape(-1)
            return keras.utils.pack_x_y_sample_weight(_take(inputs, rows), _take(targets, rows))
        of_outputs = [np.asarray(array) for array in keras.tree.flatten(weights)]
        rows, parts = self._shares(np.stack([array.reshape(size, -1).sum(axis=1) for array in of_outputs]))
        rows, parts = rows[self.own].reshape(-1), parts[:, self.own].reshape(len(of_outputs), -1)
        shared = [
            array[rows] * part.reshape(-1, *(1,) * (array.ndim - 1)).astype(array.dtype)
            for array, part in zip(of_outputs, parts, strict=True)
        ]
        return _take(inputs, rows), _take(targets, rows), keras.tree.pack_sequence_as(weights, shared)

    def _shares(self, row_weights):
        """Return rows `(num_shares, M)`, and for weights `(K, N)` the parts of them, `(K, num_shares, M)`."""
        outputs, count = row_weights.shape
        if not self.equal_weights:
            filler = (0, -count % self.num_shares)
            rows, parts = np.pad(np.arange(count), filler), np.pad(np.ones(count), filler)
            return rows.reshape(self.num_shares, -1), np.tile(parts.reshape(self.num_shares, -1), (outputs, 1, 1))
        copies = getattr(self.dataset, "copies", 1)
        groups, parts = share_rows(row_weights.reshape(outputs, -1, copies).sum(axis=2), self.num_shares)
        rows = groups[..., None] * copies + np.arange(copies)  # (num_shares, M / copies, copies)
        return rows.reshape(self.num_shares, -1), parts.repeat(copies, axis=2)

    def starting_at(self, epoch, step=0):
        """Return the shares of what is left of an epoch, as `BucketedDataset.starting_at` does of whole batches."""
        left = self.dataset.starting_at(epoch, step)
        left.copies = getattr(self.dataset, "copies", 1)
        return SharedDataset(left, self.num_shares, self.own, self.equal_weights, self.on_batch)

    def on_epoch_begin(self):
        self.dataset.on_epoch_begin()

    def on_epoch_end(self):
        self.dataset.on_epoch_end()


def check_divisible(dataset, num_shares):
    """Raise if a data set has a batch size, in rows, that would be filled up in every batch."""
    batch_size = getattr(dataset, "batch_size", None)
    rows = _num_rows(keras.utils.unpack_x_y_sample_weight(dataset[0])[0])
    if batch_size == rows // getattr(dataset, "copies", 1) and batch_size % num_shares:
        raise _indivisible(batch_size, num_shares)


def check_same_data(distribution, dataset):
    """Raise unless every process has the same data set, as far as can be told.

    Args:
        distribution: `Distribution`.
        dataset: `keras.utils.PyDataset`. Where it has a `fingerprint()`, all of it counts, else the first batch.
    """
    if len(np.unique(distribution.gather([_checksum(dataset)]))) > 1:
        raise ValueError(
            "distribution.dataset: every process must be given the same data, in the same order. "
            "Received: data sets that differ. Give all of them the same files and the same seed."
        )


def _checksum(dataset):
    """Return an int in [0, 2**31), as `gather` takes it."""
    parts = [str(dataset.num_batches).encode()]
    for array in map(np.ascontiguousarray, keras.tree.flatten(dataset[0])):
        parts += [str(array.shape).encode(), array.tobytes()]
    if hasattr(dataset, "fingerprint"):
        parts.append(json.dumps(dataset.fingerprint()).encode())
    value = 0
    for part in parts:
        value = zlib.crc32(part, value)
    return value >> 1


def _num_rows(inputs):
    return len(keras.tree.flatten(inputs)[0])


def _take(structure, rows):
    return keras.tree.map_structure(lambda array: np.asarray(array)[rows], structure)


def _indivisible(size, num_shares, alternative=""):
    below = size // num_shares * num_shares
    good = f"{below} or {below + num_shares}" if below else str(num_shares)
    return ValueError(
        f"distribution.dataset: the batch size must be divisible by the number of replicas that share a batch. "
        f"Received: {size} rows, {num_shares} replicas. Use a batch size of {good}{alternative}."
    )

"""Rows of token ids of unequal length in two flat arrays, padded to any batch without a Python loop."""

import dataclasses

import numpy as np

__all__ = ["Ragged", "row_offsets", "row_positions"]


@dataclasses.dataclass(frozen=True, eq=False)
class Ragged:
    """Encoded texts, special tokens included, kept as flat arrays until a batch is wanted.

    Text is encoded once and batched many times: every epoch, every bucket. Ten
    bytes of bookkeeping a row and four a token are all it holds.

    Args:
        token_ids: int32 `(N,)`. The ids of every row, one row after the other.
        offsets: int64 `(B + 1,)`. Row `i` is `token_ids[offsets[i]:offsets[i + 1]]`.
        second_starts: int32 `(B,)`. Position in its row at which segment 1
            begins; the row's length where there is no second segment.
        pad_token_id: int. The id that fills short rows.
    Example:
    >>> rows = Ragged(np.array([2, 5, 3, 2, 3], "int32"), np.array([0, 3, 5]), np.array([3, 2], "int32"), 0)
    >>> rows.pad()["token_ids"].tolist()
    [[2, 5, 3], [2, 3, 0]]
    """

    token_ids: np.ndarray
    offsets: np.ndarray
    second_starts: np.ndarray
    pad_token_id: int = 0

    @property
    def lengths(self):
        """int64 `(B,)`: tokens in each row."""
        return np.diff(self.offsets)

    def __len__(self):
        return len(self.offsets) - 1

    def __getitem__(self, row):
        """int32 ids of one row, a view."""
        row = range(len(self))[row]
        return self.token_ids[self.offsets[row] : self.offsets[row + 1]]

    def take(self, rows):
        """The given rows, in the given order, as a new `Ragged`.

        Args:
            rows: int `(R,)`, or a slice.
        """
        rows = np.arange(len(self))[rows]
        lengths = self.lengths[rows]
        return Ragged(self._gather(rows, lengths), row_offsets(lengths), self.second_starts[rows], self.pad_token_id)

    def pad(self, rows=None, length=None, pad_to_multiple_of=None):
        """Pad some rows to one rectangle.

        Args:
            rows: optional int `(R,)` or slice. Which rows, in this order. Defaults to all.
            length: optional int. Tokens per row; must hold the longest one.
                Defaults to the longest row's.
            pad_to_multiple_of: optional int. Rounds the length up.
        Returns:
            dict of int32 `(R, T)`: `token_ids`, `segment_ids` (0 or 1) and
            `padding_mask` (1 = token, 0 = padding).
        Raises:
            ValueError: if a row is longer than `length`.
        """
        rows = np.arange(len(self)) if rows is None else np.arange(len(self))[rows]
        lengths = self.lengths[rows]
        longest = int(lengths.max(initial=0))
        length = longest if length is None else length
        if longest > length:
            raise ValueError(
                f"Ragged.pad: length must hold the longest row. Received: length={length}, longest row={longest} "
                "tokens. Encode with max_length, or pass a larger length."
            )
        if pad_to_multiple_of:
            length = -(-length // pad_to_multiple_of) * pad_to_multiple_of
        positions = np.arange(length, dtype=np.int32)
        mask = positions < lengths.astype(np.int32)[:, None]  # (R, T)
        token_ids = np.full(mask.shape, self.pad_token_id, np.int32)
        token_ids[mask] = self._gather(rows, lengths)
        second_starts = self.second_starts[rows]
        if (second_starts < lengths).any():
            segment_ids = (mask & (positions >= second_starts[:, None])).astype(np.int32)
        else:
            segment_ids = np.zeros(mask.shape, np.int32)
        return {"token_ids": token_ids, "segment_ids": segment_ids, "padding_mask": mask.astype(np.int32)}

    def _gather(self, rows, lengths):
        """The ids of `rows`, flat; a view when the rows follow one another."""
        if len(rows) and (np.diff(rows) == 1).all():
            return self.token_ids[self.offsets[rows[0]] : self.offsets[rows[-1] + 1]]
        return self.token_ids[row_positions(self.offsets[rows], lengths)]


def row_positions(starts, lengths):
    """Flat positions of rows: `starts[0] + (0 .. lengths[0] - 1)`, then the next row's.

    Args:
        starts: int `(R,)`. First position of each row.
        lengths: int `(R,)`. Positions in each row.
    Returns:
        int64 `(sum(lengths),)`.
    Example:
    >>> row_positions(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    splits = row_offsets(lengths)
    return np.repeat(starts - splits[:-1], lengths) + np.arange(splits[-1])


def row_offsets(lengths):
    """Return where rows of these lengths begin and end when they follow one another: int64 `(R + 1,)`."""
    splits = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=splits[1:])
    return splits

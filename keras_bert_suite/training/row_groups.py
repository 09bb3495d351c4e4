"""Rows of several shards of a corpus, held in memory together."""

import dataclasses

import numpy as np

from keras_bert_suite.text.ragged import row_offsets, row_positions

__all__ = ["Rows", "read_group"]

#: Fields of `Rows` with one value a token, and with one a row.
OF_TOKENS = ("token_ids", "word_starts")
OF_ROWS = ("second_starts", "pair_labels")


@dataclasses.dataclass(eq=False)
class Rows:
    """Rows of token ids, one after the other.

    Args:
        token_ids: int `(N,)`.
        offsets: int64 `(R + 1,)`.
        second_starts: int `(R,)`.
        pair_labels: optional int `(R,)`.
        word_starts: optional bool `(N,)`. Whether a token begins a word.
        masked_places: optional int64 `(M,)`, ascending.
        masked_ids: optional int `(M,)`. What stood there.
        order: optional int `(R,)`. In which to read them.
    """

    token_ids: np.ndarray
    offsets: np.ndarray
    second_starts: np.ndarray
    pair_labels: np.ndarray | None = None
    word_starts: np.ndarray | None = None
    masked_places: np.ndarray | None = None
    masked_ids: np.ndarray | None = None
    order: np.ndarray | None = None

    @property
    def lengths(self):
        """int64 `(R,)`."""
        return np.diff(self.offsets)

    def take(self, rows):
        """Return some rows, in the order given."""
        lengths = self.lengths[rows]
        offsets = row_offsets(lengths)
        places = row_positions(self.offsets[rows], lengths)
        found = {name: self._at(name, places) for name in OF_TOKENS} | {name: self._at(name, rows) for name in OF_ROWS}
        if self.masked_places is not None:
            firsts, lasts = np.searchsorted(self.masked_places, [self.offsets[rows], self.offsets[rows + 1]])
            masked = row_positions(firsts, lasts - firsts)
            moved = np.repeat(offsets[:-1] - self.offsets[rows], lasts - firsts)
            found |= {"masked_places": self.masked_places[masked] + moved, "masked_ids": self.masked_ids[masked]}
        return Rows(offsets=offsets, **found)

    def _at(self, name, index):
        values = getattr(self, name)
        return None if values is None else values[index]

    def joined(self, others):
        """Return these rows and then those of `others`, a list of `Rows`."""
        every = [self, *others]
        starts = np.cumsum([0, *(len(rows.token_ids) for rows in every)])[:-1]
        found = {}
        for name in (*OF_TOKENS, *OF_ROWS, "masked_ids"):
            values = [getattr(rows, name) for rows in every]
            found[name] = None if values[0] is None else np.concatenate(values)
        if self.masked_places is not None:
            moved = [rows.masked_places + start for rows, start in zip(every, starts, strict=True)]
            found["masked_places"] = np.concatenate(moved)
        return Rows(offsets=row_offsets(np.concatenate([rows.lengths for rows in every])), **found)


def read_group(corpus, shards, static=False):
    """Read some shards of a corpus.

    Args:
        corpus: `data.corpus.Corpus`.
        shards: sequence of int.
        static: bool. Whether to keep the masks that the corpus was built with;
            otherwise what they hide is put back.
    Returns:
        `Rows`.
    Raises:
        DataError: if a shard is damaged.
    """
    parts = [_rows(corpus, int(shard), static) for shard in shards]
    return parts[0] if len(parts) == 1 else parts[0].joined(parts[1:])


def _rows(corpus, number, static):
    shard = corpus.shard(number)
    token_ids, masked = shard.token_ids, {}
    if static:
        masked = {"masked_places": shard.masked_positions.astype("int64"), "masked_ids": shard.masked_ids}
    elif shard.masked_positions is not None:
        token_ids = token_ids.copy()
        token_ids[shard.masked_positions] = shard.masked_ids
    return Rows(token_ids, shard.offsets, shard.second_starts, shard.pair_labels, shard.begins_word(), **masked)

"""Rows of token ids as a safetensors file, which any language can read and none runs code from."""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np

from keras_bert_suite.files import replaced_file
from keras_bert_suite.text.ragged import Ragged

__all__ = ["Shard", "file_record", "write_shard"]


@dataclasses.dataclass(frozen=True, eq=False)
class Shard:
    """Rows of token ids, special tokens included.

    Args:
        token_ids: uint16 or uint32 `(N,)`. The ids of every row, one row after the other.
        offsets: int64 `(R + 1,)`. Row `i` is `token_ids[offsets[i]:offsets[i + 1]]`.
        second_starts: int32 `(R,)`. Place in its row at which the second text
            begins; the row's length where there is none.
        pair_labels: optional uint8 `(R,)`. 0: the second text followed the first;
            1: it was picked at random, or the two are swapped.
        word_starts: optional uint8 `(ceil(N / 8),)`. Bits, of the order of
            `numpy.packbits`: whether a token begins a word. Kept where the ids
            alone do not tell.
        masked_positions: optional int32 `(M,)`. Where masking was done already:
            places in `token_ids`, ascending.
        masked_ids: optional uint16 or uint32 `(M,)`. What stood there before.
    """

    token_ids: np.ndarray
    offsets: np.ndarray
    second_starts: np.ndarray
    pair_labels: np.ndarray | None = None
    word_starts: np.ndarray | None = None
    masked_positions: np.ndarray | None = None
    masked_ids: np.ndarray | None = None

    def __len__(self):
        return len(self.offsets) - 1

    def begins_word(self):
        """Return bool `(N,)`, whether each token begins a word, or `None` where only the ids tell."""
        if self.word_starts is None:
            return None
        return np.unpackbits(self.word_starts, count=len(self.token_ids)).astype(bool)

    def rows(self, pad_token_id=0):
        """Return the rows as a `text.Ragged`."""
        return Ragged(self.token_ids.astype("int32"), self.offsets, self.second_starts, pad_token_id)


def write_shard(path, shard):
    """Write a shard, whole or not at all.

    Args:
        path: str or path.
        shard: `Shard`.
    Returns:
        dict: the shard's record in the manifest.
    """
    from safetensors.numpy import save

    arrays = {field.name: getattr(shard, field.name) for field in dataclasses.fields(shard)}
    data = save({name: np.ascontiguousarray(array) for name, array in arrays.items() if array is not None})
    with replaced_file(path, "wb") as file:
        file.write(data)
    return file_record(path, shard, data)


def file_record(path, shard, data):
    """Return the record of a shard that was written as the bytes `data`, for the manifest."""
    record = {
        "file": Path(path).name,
        "rows": len(shard),
        "tokens": len(shard.token_ids),
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    if shard.masked_positions is not None:
        counts = np.diff(np.searchsorted(shard.masked_positions, shard.offsets))
        share = (counts / np.diff(shard.offsets)).max(initial=0)
        # In all, and at most of a row, also as a share of its tokens: what the rows of a batch have to hold.
        record |= {"masked": int(counts.sum()), "most_masked": int(counts.max(initial=0)), "masked_share": float(share)}
    return record

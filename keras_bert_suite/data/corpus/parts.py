"""A corpus cut into parts of a few megabytes of text, which depend on nothing but its files.

A part is what one worker makes into shards.
"""

import hashlib
from typing import NamedTuple

from keras_bert_suite.data.corpus.pieces import read_pieces

__all__ = ["PART_BYTES", "Part", "group_inputs", "read_parts"]

#: Text of a part at most.
PART_BYTES = 8 << 20
#: Text of another file that goes with a part which is one document.
OTHER_BYTES = 1 << 18
#: How many times larger than on disk the text of a compressed file is thought to be.
EXPANSION = 4


class Part(NamedTuple):
    """What becomes one shard, or one for each copy.

    Args:
        group, number: int. Its place: the group of files, and the part in it, both from 0.
        pieces: list of `Piece`, in order.
        others: list of `Piece`. Text of another file, from which random texts
            are drawn where the part is a single document.
    """

    group: int
    number: int
    pieces: list
    others: list

    @property
    def name(self):
        """str: what its shards are called by, in the order of the text."""
        return f"{self.group:06d}-{self.number:06d}"

    @property
    def bytes_read(self):
        """int: bytes on disk that were read for it."""
        return sum(piece.bytes_read for piece in self.pieces)

    @property
    def sha256(self):
        """str: a checksum that is the same whenever the files, up to here, are."""
        return hashlib.sha256("".join(piece.sha256 for piece in (*self.pieces, *self.others)).encode()).hexdigest()


def group_inputs(inputs, part_bytes=PART_BYTES):
    """Group files that follow one another, so that small ones fill a part together.

    Args:
        inputs: list of `Input`.
        part_bytes: int. Text of a part at most.
    Returns:
        list of lists of `Input`.
    """
    groups, room = [], 0
    for source in inputs:
        size = source.size * (EXPANSION if source.compression or source.format == "parquet" else 1)
        if size > room or not groups:
            groups.append([])
            room = part_bytes
        groups[-1].append(source)
        room -= size
    return groups


def read_parts(group, number, documents, column="text", other=None, part_bytes=PART_BYTES, read=None, errors="strict"):
    """Cut a group of files into parts.

    Args:
        group: list of `Input`.
        number: int. The group's number.
        documents: `"block"`, `"line"` or `"file"`: what is a document in a file of plain text.
        column: str. Where JSON Lines and Parquet have the text.
        other: optional `Input`. The file that lends text to parts which are one document.
        part_bytes: int. Text of a part at most; only a longer JSON object exceeds it.
        read: optional function, called with each `Input` and its SHA-256 when it was read.
        errors: `"strict"` or `"replace"`: what becomes of bytes that are not UTF-8.
    Yields:
        `Part`.
    Raises:
        DataError: if a file cannot be read.
    """
    pieces, room, count = [], part_bytes, 0

    def part():
        lonely = other is not None and {piece.documents for piece in pieces} == {"file"} and len(pieces) == 1
        others = next(read_pieces(other, documents, column, OTHER_BYTES, errors=errors), None) if lonely else None
        return Part(number, count, pieces, [] if others is None else [others])

    for source in group:
        for piece in read_pieces(source, documents, column, part_bytes, read, errors):
            if pieces and piece.size > room:
                yield part()
                pieces, room, count = [], part_bytes, count + 1
            pieces.append(piece)
            room -= piece.size
    if pieces:
        yield part()

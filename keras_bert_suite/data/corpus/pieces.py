"""Files of text read from start to end and cut between documents, so that a few megabytes are held at a time.

Nothing is decoded here but the one JSON object, or the one row of Parquet,
that is too large to be handed on whole.
"""

import hashlib
import re
from typing import NamedTuple

from keras_bert_suite.data.corpus.decoding import json_texts, row_text
from keras_bert_suite.data.corpus.inputs import BLOCK_BYTES, open_input, unreadable
from keras_bert_suite.errors import DataError, require

__all__ = ["Piece", "read_pieces"]

#: An object on one line cannot be cut before it is parsed, and a longer one would fill the memory.
MAX_JSON_BYTES = 128 << 20

BLANK_LINE = re.compile(rb"\n[ \t\r\f\v]*\n")


class Piece(NamedTuple):
    """A stretch of one file.

    Args:
        path: str.
        offset: int. Bytes of text (of Parquet: rows) before it in the file.
        documents: how to find the documents in it: `"block"`, `"line"`, `"file"`
            (all of it belongs to one), `"json"` or `"rows"`.
        text: bytes; of `"rows"` a list of bytes.
        bytes_read: int. Bytes on disk that were read for it.
        sha256: str. The checksum of its file up to its end and beyond, which
            is the same whenever the file is; of `"rows"` that of the text.
    """

    path: str
    offset: int
    documents: str
    text: bytes | list
    bytes_read: int = 0
    sha256: str = ""

    @property
    def size(self):
        """int: bytes of text."""
        return len(self.text) if isinstance(self.text, bytes) else sum(map(len, self.text))


def read_pieces(source, documents, column, size, read=None, errors="strict"):
    """Cut a file into pieces.

    Args:
        source: `Input`.
        documents: `"block"`, `"line"` or `"file"`: what is a document in plain text.
        column: str. Where JSON Lines and Parquet have the text.
        size: int. Bytes of a piece at most; only a longer JSON object comes whole.
        read: optional function, called with `source` and its SHA-256 when all was read.
        errors: `"strict"` or `"replace"`, for a text that is decoded here.
    Yields:
        `Piece`.
    Raises:
        DataError: if the file cannot be read.
    """
    if source.format == "parquet":
        yield from _parquet_pieces(source, column, size, errors)
    with open_input(source) as (stream, hashed):
        if source.format == "json":
            for piece in _cut(stream, source.path, "json", _after_objects, size, hashed):
                whole = len(piece.text) <= size
                yield from [piece] if whole else _long_object(piece, column, size, errors)
        elif source.format == "text":
            find_end = {"block": _after_block, "line": _after_line, "file": _after_paragraph}[documents]
            yield from _cut(stream, source.path, documents, find_end, size, hashed)
        if read is not None:
            with unreadable(source.path):
                digest = hashed.finish()
            read(source, digest)


def _cut(stream, path, documents, find_end, size, hashed):
    text, offset, bytes_read = bytearray(), 0, 0
    while True:
        end = None
        while end is None:
            with unreadable(path):
                while len(text) < size and (block := stream.read(BLOCK_BYTES)):
                    text += block
                end = len(text) if len(text) < size else find_end(text, size)
                if end is None:  # not within this many bytes
                    block = stream.read(BLOCK_BYTES)
                    text += block
                    end = None if block else len(text)
            if len(text) > size + MAX_JSON_BYTES:
                raise DataError(
                    f"an object of JSON may have at most {MAX_JSON_BYTES >> 20} MiB, and one is longer. Check that a "
                    "line feed ends each, or give texts of that size as files of plain text.",
                    path,
                )
        if not end:
            return
        cut, text = bytes(memoryview(text)[:end]), text[end:]
        yield Piece(path, offset, documents, cut, hashed.bytes_read - bytes_read, hashed.sha256())
        offset, bytes_read = offset + end, hashed.bytes_read


def _after_block(text, size):
    """Where to cut between documents: after a blank line, or else as a long document is cut."""
    found = BLANK_LINE.search(text, size * 3 // 4, size)
    return found.end() if found else _after_paragraph(text, size)


def _after_line(text, size):
    """Where to cut between lines; one that is too long is cut in itself."""
    return text.rfind(b"\n", 0, size) + 1 or _after_sentence(text, size)


def _after_objects(text, size):
    """Where to cut between lines that must stay whole: after the last that fits, else after the first."""
    return text.rfind(b"\n", 0, size) + 1 or text.find(b"\n") + 1 or None


def _after_paragraph(text, size):
    """Where to cut one long document: after a blank line, a line, a sentence or a word."""
    found = BLANK_LINE.search(text, size * 7 // 8, size)
    return found.end() if found else text.rfind(b"\n", size // 2, size) + 1 or _after_sentence(text, size)


def _after_sentence(text, size):
    for mark in (b". ", "。".encode(), b" "):
        found = text.rfind(mark, size // 2, size)
        if found >= 0:
            return found + len(mark)
    while size > 1 and size < len(text) and text[size] & 0xC0 == 0x80:  # inside a character
        size -= 1
    return size


def _long_object(piece, column, size, errors):
    """The text of one very long JSON object, or of some that stand beside it, as pieces of one document each."""
    for text in json_texts(piece, column, errors):
        yield from _long_document(piece._replace(documents="file", text=text.encode()), size)
        piece = piece._replace(bytes_read=0)


def _long_document(piece, size):
    """A document in pieces."""
    text = piece.text
    while text:
        end = len(text) if len(text) <= size else _after_paragraph(text, size)
        yield piece._replace(text=text[:end])
        text, piece = text[end:], piece._replace(bytes_read=0)


def _parquet_pieces(source, column, size, errors):
    parquet = require("pyarrow.parquet", "Reading Parquet files")
    arrow = require("pyarrow", "Reading Parquet files")
    texts, room, row = [], size, 0
    try:
        with parquet.ParquetFile(source.path, buffer_size=BLOCK_BYTES) as file:
            names = file.schema_arrow.names
            if column not in names:
                raise DataError(f"no column called {column!r}. Columns found: {', '.join(names)}.", source.path)
            row_bytes = source.size / max(1, file.metadata.num_rows)
            for batch in file.iter_batches(batch_size=_batch_rows(file.metadata), columns=[column]):
                values = batch.column(0)
                if isinstance(values, arrow.DictionaryArray):
                    values = values.dictionary_decode()
                if "string" not in str(values.type) and values.null_count < len(values):
                    first = row + 1 + values.is_valid().index(arrow.scalar(True)).as_py()
                    raise DataError(f"{column} must be a string. Received: {values.type}.", source.path, first)
                for data in values.cast(arrow.large_binary()).to_pylist():  # not to str, so that we say what is wrong
                    data = data or b""
                    if texts and len(data) > room:
                        yield _rows(source.path, row, texts, row_bytes)
                        texts, room = [], size
                    if len(data) > size:
                        data = row_text(data, source.path, row + 1, errors).encode()
                        long = Piece(source.path, row, "file", data, int(row_bytes), hashlib.sha256(data).hexdigest())
                        yield from _long_document(long, size)
                    else:
                        texts.append(data)
                        room -= len(data)
                    row += 1
    except (arrow.ArrowException, OSError, UnicodeError) as error:
        raise DataError(f"cannot be read as Parquet: {error}. Write the file again.", source.path) from error
    if texts:
        yield _rows(source.path, row, texts, row_bytes)


def _rows(path, end, texts, row_bytes):
    """The texts of rows up to `end` as a piece."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(len(text).to_bytes(8, "little") + text)
    first = end - len(texts)
    read = int(row_bytes * end) - int(row_bytes * first)
    return Piece(path, first, "rows", texts, read, digest.hexdigest())


def _batch_rows(metadata, most=1024, batch_bytes=8 << 20):
    """Rows to read at a time: fewer where they are large."""
    size = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
    return max(1, min(most, batch_bytes * max(1, metadata.num_rows) // max(1, size)))

"""The files of a corpus: found, opened whatever compresses them, and hashed while they are read."""

import bz2
import contextlib
import glob
import gzip
import hashlib
import io
import lzma
import os
import zlib
from pathlib import Path
from typing import NamedTuple

from keras_bert_suite.errors import DataError, require

__all__ = ["Input", "describe_input", "find_inputs", "line_number", "open_input", "unreadable"]

#: What a file may be compressed with.
COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst")
#: What the other suffixes mean; a file of any other suffix is plain text.
FORMATS = {".jsonl": "json", ".ndjson": "json", ".json": "json", ".parquet": "parquet"}
#: Bytes that are read at a time.
BLOCK_BYTES = 1 << 20


class Input(NamedTuple):
    """One file of a corpus.

    Args:
        path: str.
        size: int. Its bytes on disk.
        format: `"text"`, `"json"` (JSON Lines) or `"parquet"`.
        compression: a suffix out of `COMPRESSIONS`, or `""`.
    """

    path: str
    size: int
    format: str
    compression: str


def find_inputs(paths, outside=None):
    """Find the files that are meant.

    Args:
        paths: sequence of str or path: files, directories (all files below, but
            those whose name begins with a dot), or patterns such as `"data/*.txt"`.
        outside: optional str or path: a directory whose files are not meant, though it lies in one that is named.
    Returns:
        list of `Input`: in the order given, the files of a directory or a
        pattern sorted by name, none of them twice.
    Raises:
        DataError: if there is no such file, or none at all.
    Example:
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = pathlib.Path(folder, "b.txt").write_text("B"), pathlib.Path(folder, "a.jsonl.gz").write_bytes(b"")
    ...     [found._replace(path="") for found in find_inputs([folder])]
    [Input(path='', size=0, format='json', compression='.gz'), Input(path='', size=1, format='text', compression='')]
    """
    if isinstance(paths, str | os.PathLike):
        paths = [paths]
    found = {}
    for path in map(os.fspath, paths):
        files = _files(path)
        if outside is not None and files != [path]:
            place = os.path.join(os.path.realpath(outside), "")
            files = [file for file in files if not os.path.realpath(file).startswith(place)]
        if not files:
            raise DataError("no text files were found there. Name files, a directory or a pattern.", path)
        for file in files:
            found.setdefault(os.path.realpath(file), file)
    if not found:
        raise DataError("a corpus needs at least one file of text. Received: none.")
    return [describe_input(path, os.path.getsize(path)) for path in found.values()]


def _files(path):
    if os.path.isdir(path):
        files = []
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            files += [os.path.join(folder, name) for name in names if not name.startswith(".")]
        return sorted(files)
    if os.path.exists(path):
        return [path]
    if glob.has_magic(path):
        return sorted(name for name in glob.glob(path, recursive=True) if os.path.isfile(name))
    raise DataError(f"no such file. Check the path; relative ones start at {Path.cwd()}.", path)


def describe_input(path, size):
    """Return the `Input` of a file, by its name and its bytes on disk."""
    stem, suffix = os.path.splitext(path.lower())
    compression = suffix if suffix in COMPRESSIONS else ""
    file_format = FORMATS.get(os.path.splitext(stem)[1] if compression else suffix, "text")
    if compression and file_format == "parquet":
        raise DataError(f"Parquet compresses by itself. Received: {compression} around it. Decompress the file.", path)
    return Input(path, size, file_format, compression)


class HashedFile(io.RawIOBase):
    """A file that is read once, from its start to its end, and remembers the checksum of what was read."""

    def __init__(self, path):
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed with this object
        self._digest = hashlib.sha256()
        self.bytes_read = 0

    def readable(self):
        return True

    def readinto(self, buffer):
        count = self._file.readinto(buffer)
        self._digest.update(memoryview(buffer)[:count])
        self.bytes_read += count
        return count

    def sha256(self):
        """Return the SHA-256 of what was read so far, in hexadecimal digits."""
        return self._digest.hexdigest()

    def finish(self):
        """Read what a decompressor left and return the SHA-256 of the whole file, in hexadecimal digits."""
        while self.read(BLOCK_BYTES):
            pass
        return self.sha256()

    def close(self):
        self._file.close()
        super().close()


@contextlib.contextmanager
def open_input(source):
    """Open a file of text, decompressed on the way.

    Args:
        source: `Input`, not Parquet.
    Yields:
        `(stream, hashed)`: a binary file object to read from, and the `HashedFile` beneath.
    Raises:
        DataError: if the file cannot be read or decompressed.
    """
    with unreadable(source.path), contextlib.ExitStack() as stack:
        hashed = stack.enter_context(HashedFile(source.path))
        buffered = stack.enter_context(io.BufferedReader(hashed, BLOCK_BYTES))
        yield stack.enter_context(_decompressed(buffered, source.compression)), hashed


def _decompressed(file, compression):
    if compression == ".zst":
        arrow = require("pyarrow", "Reading .zst files")
        return arrow.CompressedInputStream(arrow.PythonFile(file, mode="r"), "zstd")
    opener = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}.get(compression)
    return contextlib.nullcontext(file) if opener is None else opener(file, "rb")


@contextlib.contextmanager
def unreadable(path):
    """Re-raise what reading a file may raise as a `DataError` that names it."""
    try:
        yield
    except DataError:
        raise
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"cannot be read: {reason}. Check the permissions and that the file is complete.", path
        ) from error


def line_number(path, offset):
    """Return the line, from 1, on which a byte of a file's text stands; the file is read once more."""
    line = 1
    with open_input(find_inputs([path])[0]) as (stream, _):
        while offset > 0 and (block := stream.read(min(BLOCK_BYTES, offset))):
            line += block.count(b"\n")
            offset -= len(block)
    return line

"""Lines of a UTF-8 text file, streamed: only a line feed ends a line, and every fault names its line.

It knows nothing about columns. Python's own text mode is not used because its
decoding errors do not say on which line they are, and because `splitlines`
also breaks at U+2028, U+0085 and form feeds, which are ordinary text here.
"""

import gzip
import zlib
from pathlib import Path

from keras_bert_suite.errors import DataError

__all__ = ["check_file", "read_lines"]

BLOCK_BYTES = 1 << 18
#: A longer line is a binary or a lost line feed, and would fill the memory.
MAX_LINE_BYTES = 64 << 20

_ENCODING_REMEDY = (
    'Save the file as UTF-8, e.g. with "iconv -f WINDOWS-1252 -t UTF-8" (for older Chinese files, "-f GB18030")'
)


def check_file(path):
    """Return `path` as a `pathlib.Path`, or raise `DataError` unless a file is there."""
    path = Path(path)
    if path.is_dir():
        raise DataError("a data file is needed, but this is a directory. Name one file in it.", path)
    if not path.exists():
        raise DataError(f"no such file. Check the path; relative ones start at {Path.cwd()}.", path)
    return path


def read_lines(path):
    r"""Yield `(number, line)` for each line of a UTF-8 file, in constant memory.

    A byte order mark and the carriage return of `\r\n` are taken off. A file
    whose name ends in `.gz` is decompressed on the way.

    Args:
        path: str or path.
    Yields:
        (int, str). The line's number, from 1, and its text without its end.
    Raises:
        DataError: for a byte sequence that is not UTF-8, a NUL byte, a line
            over 64 MiB, or a file that cannot be read or decompressed. The
            lines before the fault are yielded first.
    """
    number = 1
    for block in _blocks(path):
        if number == 1:
            _check_not_utf16(block, path)
            block = block.removeprefix(b"\xef\xbb\xbf")
        fault_at, fault = _first_fault(block)
        if fault:
            sound, line_feed, broken = block[:fault_at].rpartition(b"\n")
            lines = _split(sound) if line_feed else []
            yield from enumerate(lines, number)
            raise DataError(fault.format(place=len(broken) + 1), path, number + len(lines))
        lines = _split(block)
        yield from enumerate(lines, number)
        number += len(lines)


def _split(block):
    return [line.removesuffix("\r") for line in block.decode().split("\n")]


def _blocks(path):
    """Yield runs of whole lines as bytes, without the last line feed of each run."""
    pending, pending_bytes, line = [], 0, 1
    opener = gzip.open if str(path).lower().endswith(".gz") else open
    try:
        with opener(path, "rb") as file:
            while chunk := file.read(BLOCK_BYTES):
                head, line_feed, rest = chunk.rpartition(b"\n")
                if line_feed:
                    block = b"".join([*pending, head])
                    yield block
                    line += block.count(b"\n") + 1
                    pending, pending_bytes = [rest], len(rest)
                    continue
                pending.append(chunk)
                pending_bytes += len(chunk)
                if pending_bytes > MAX_LINE_BYTES:
                    limit = MAX_LINE_BYTES >> 20
                    raise DataError(
                        f"a line may hold at most {limit} MiB, and this one is longer. "
                        "Check that the file is text and that a line feed ends each row.",
                        path,
                        line,
                    )
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"cannot be read: {reason}. Check the permissions and that the file is complete.", path
        ) from error
    if pending_bytes:
        yield b"".join(pending)


def _check_not_utf16(block, path):
    if block.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError('the file is UTF-16; UTF-8 is needed. Convert it: "iconv -f UTF-16 -t UTF-8".', path, 1)


def _first_fault(block):
    """Return the offset and description of the first byte that cannot be text, or `(None, None)`."""
    nul_at = block.find(b"\0")
    try:
        block.decode()
    except UnicodeDecodeError as error:
        if nul_at < 0 or error.start < nul_at:
            byte = block[error.start]
            return error.start, f"invalid UTF-8: 0x{byte:02X} at byte {{place}} of the line. {_ENCODING_REMEDY}."
    if nul_at >= 0:
        return nul_at, (
            "NUL byte at byte {place} of the line; a text file has none. Check that the file is text and not damaged."
        )
    return None, None

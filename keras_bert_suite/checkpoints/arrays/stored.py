"""Arrays that lie in a file and are not in memory yet, and what the readers of every format share.

A reader checks the structure of a whole file first and allocates nothing that
the file's size does not warrant; an array is read only when it is asked for,
into a buffer of its own. Files are never memory-mapped: pages that stay mapped
count as memory of the process. The formats themselves are read elsewhere.
"""

import contextlib
import dataclasses
import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np

from keras_bert_suite.errors import CheckpointError, shortened

__all__ = [
    "BFLOAT16",
    "MAX_JSON_BYTES",
    "Malformed",
    "StoredArray",
    "aligned_empty",
    "array_bytes",
    "as_stored",
    "count_elements",
    "file_size",
    "little_endian_bytes",
    "opened",
    "parse_json",
    "quoted",
    "read_array",
    "read_directory",
    "take",
]

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)

#: Bytes of JSON that a checkpoint may hold: what the safetensors format allows its header.
MAX_JSON_BYTES = 100_000_000

#: Where the vectors of processors begin, in bytes.
ALIGNMENT = 64

#: What NumPy 1 can index; no weight of a network comes near.
MAX_RANK = 32

#: How a Git LFS pointer, which many clones hold in place of the file, begins.
LFS_POINTER = b"version https://git-lfs"


@dataclasses.dataclass(frozen=True)
class StoredArray:
    """One array in a file, not read yet.

    Args:
        shape: tuple of int.
        dtype: NumPy dtype; bfloat16 is that of `ml_dtypes`.
        read: called without arguments; returns a fresh, writable, C-contiguous
            NumPy array of exactly that shape and dtype. Raises `CheckpointError`
            if the file is no longer what it was.
    """

    shape: tuple
    dtype: np.dtype
    read: Callable[[], np.ndarray] = dataclasses.field(repr=False, compare=False)

    @property
    def nbytes(self):
        """int. Bytes that `read` will allocate for its result."""
        return count_elements(self.shape) * self.dtype.itemsize


class Malformed(Exception):
    """A rule of a file format is broken; `opened` adds the path and the remedy."""


@contextlib.contextmanager
def opened(path):
    """Open a file, turning whatever is wrong with it into one `CheckpointError`.

    Args:
        path: str or path of a regular file: opening a pipe would wait for ever.
    Yields:
        The open binary file.
    Raises:
        CheckpointError: for an `OSError` or a `Malformed` raised in the block.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise CheckpointError(f"{path}: must be a file. Received: a folder or a device. Give the file itself.")
        with open(path, "rb") as file:
            yield file
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: not found. Download the checkpoint again, or correct the path.") from error
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be read ({error.strerror or error}). Check its permissions and its disk."
        ) from error
    except Malformed as error:
        raise CheckpointError(f"{path}: damaged or truncated ({error}). Download the checkpoint again.") from error


def take(file, offset, count):
    """Read exactly `count` bytes at `offset`, which the caller has held against the file's size."""
    file.seek(offset)
    content = file.read(count)
    if len(content) != count:
        raise Malformed(f"it ends {count - len(content)} bytes too soon")
    return content


def file_size(file):
    """int. Bytes in an open file, refusing the pointer that stands for a file in a clone without Git LFS."""
    size = os.fstat(file.fileno()).st_size
    if file.read(len(LFS_POINTER)) == LFS_POINTER:
        raise Malformed("a Git LFS pointer, not the file itself")
    return size


def quoted(name):
    """Quote a name from a file for a one-line message; hostile names can be long and hold line ends."""
    text = ascii(name) if isinstance(name, str) else type(name).__name__
    return text if len(text) <= 100 else f"{text[:97]}..."


def count_elements(shape):
    """Return the number of elements of `shape`, which came from a file.

    Raises:
        Malformed: unless it is a list or tuple of ints from 0 on that NumPy can hold,
            which an array without elements need not be.
    """
    if not isinstance(shape, list | tuple) or len(shape) > MAX_RANK:
        raise Malformed(f"a shape must be a list of at most {MAX_RANK} sizes")
    count = extent = 1
    for size in shape:
        if type(size) is not int or size < 0:  # bool is an int as well
            raise Malformed("a shape must hold whole numbers from 0 on")
        count *= size
        extent *= max(size, 1)
        if extent >= 2**59:  # 2**63 bytes of the widest dtype
            raise Malformed("a shape that no memory could hold")
    return count


def as_stored(path, offset, shape, dtype, byteorder="little"):
    """Make the `StoredArray` of consecutive elements in a file, in C order.

    Args:
        path: path of the file.
        offset: int. Where the array begins, in bytes.
        shape: list or tuple of int.
        dtype: NumPy dtype.
        byteorder: `"little"` or `"big"`.
    """
    shape = tuple(shape)
    return StoredArray(shape, dtype, lambda: read_array(path, offset, shape, dtype, byteorder))


def read_array(path, offset, shape, dtype, byteorder="little"):
    """Read consecutive elements of a file into a fresh array; arguments as in `as_stored`."""
    array = aligned_empty(shape, dtype)
    octets = array_bytes(array)
    with opened(path) as file:
        file.seek(offset)
        if file.readinto(octets) != octets.size:
            raise Malformed("it has become shorter since it was opened")
    if byteorder != sys.byteorder:
        array.byteswap(inplace=True)
    if dtype == np.bool_:  # A bool that holds 2 is neither equal to True nor to False.
        np.minimum(octets, 1, out=octets)
    return array


def aligned_empty(shape, dtype):
    """Return a new array that begins at a multiple of 64 bytes, where frameworks need no copy of it.

    Args:
        shape: tuple of int.
        dtype: NumPy dtype.
    """
    count = count_elements(shape) * dtype.itemsize
    octets = np.empty(count + ALIGNMENT, np.uint8)
    start = -octets.ctypes.data % ALIGNMENT
    return octets[start : start + count].view(dtype).reshape(shape)


def array_bytes(array):
    """View a C-contiguous array as `(bytes,)` uint8, without a copy."""
    return array.reshape(-1).view(np.uint8)


def little_endian_bytes(array):
    """Read an array, where it is stored, and view it as `(bytes,)` uint8 in the byte order of files.

    Args:
        array: NumPy array or `StoredArray`.
    """
    values = array.read() if isinstance(array, StoredArray) else array
    if values.shape != array.shape or values.dtype != array.dtype:
        raise TypeError(
            f"StoredArray: read must return {array.dtype} {array.shape}. Received: {values.dtype} {values.shape}."
        )
    return array_bytes(np.ascontiguousarray(values, values.dtype.newbyteorder("<")))


def parse_json(content):
    """Parse a JSON object from a file, refusing what parsers disagree about.

    Args:
        content: bytes.
    Returns:
        dict.
    Raises:
        Malformed: if it is not JSON, not an object, or names a key twice.
    """

    def once(pairs):
        values = dict(pairs)
        if len(values) != len(pairs):
            raise Malformed("a name occurs twice")
        return values

    def no_constant(name):
        raise Malformed(f"{name} is not JSON")

    try:
        values = json.loads(content.decode("utf-8"), object_pairs_hook=once, parse_constant=no_constant)
    except RecursionError as error:
        raise Malformed("JSON nested too deep") from error
    except ValueError as error:  # of the decoder, the parser and the conversion of endless digits
        raise Malformed(f"not valid JSON: {shortened([str(error)[:100]])}") from error
    if not isinstance(values, dict):
        raise Malformed("not a JSON object")
    return values


def read_directory(directory, file_name, read_file):
    """Read a checkpoint that is one file, or several beside an index that maps weights to files.

    Args:
        directory: str or path.
        file_name: str, e.g. `"model.safetensors"`; the index is `file_name` + `".index.json"`.
        read_file: called with the path of one file; returns dict[str, `StoredArray`].
    Returns:
        dict[str, `StoredArray`], in the order of the file or of the index.
    Raises:
        CheckpointError: if a file, or a weight that the index names, is missing.
    """
    directory = Path(directory)
    path = directory / file_name
    index = directory / f"{file_name}.index.json"
    if path.exists() or not index.exists():
        if not path.exists() and directory.is_dir():
            found = shortened(sorted(entry.name for entry in directory.iterdir())) or "nothing"
            raise CheckpointError(f"{path}: not found; the folder holds {found}. Give the folder with the weights.")
        return read_file(path)
    with opened(index) as file:
        weight_map = _weight_map(file)
    shards = {}
    for weight, name in weight_map.items():
        if name not in shards:
            if not os.path.exists(directory / name):  # false for what no file system takes as a name, too
                raise CheckpointError(
                    f"{index}: the file {quoted(name)}, which holds {quoted(weight)}, is missing. "
                    "Download the whole checkpoint again."
                )
            shards[name] = read_file(directory / name)
    lacking = [f"{quoted(weight)} of {name}" for weight, name in weight_map.items() if weight not in shards[name]]
    if lacking:
        raise CheckpointError(
            f"{index}: every weight must be in the file that the index names. Missing: {shortened(lacking)}. "
            "Download the checkpoint again."
        )
    return {weight: shards[name][weight] for weight, name in weight_map.items()}


def _weight_map(file):
    size = file_size(file)
    if size > MAX_JSON_BYTES:
        raise Malformed(f"an index of more than {MAX_JSON_BYTES} bytes")
    weight_map = parse_json(take(file, 0, size)).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise Malformed("weight_map must map weights to files")
    for weight, name in weight_map.items():
        # A file beside the index, and nothing else: no folder, no drive, no way up.
        if not isinstance(name, str) or name in ("", ".", "..") or any(sign in name for sign in "/\\:\0"):
            raise Malformed(f"{quoted(weight)} is said to be in {quoted(name)}, which is no plain file name")
    return weight_map

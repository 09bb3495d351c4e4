"""The safetensors format: read lazily with every rule of the format checked, and written array by array.

The `safetensors` package maps the file into memory and writes from a dict that
holds every array; this reader and this writer hold one array at a time.
"""

import json
from pathlib import Path

import numpy as np

from keras_bert_suite.checkpoints.arrays.stored import (
    BFLOAT16,
    MAX_JSON_BYTES,
    Malformed,
    as_stored,
    count_elements,
    file_size,
    little_endian_bytes,
    opened,
    parse_json,
    quoted,
    read_directory,
    take,
)
from keras_bert_suite.errors import CheckpointError

__all__ = ["MAX_SHARD_BYTES", "read_safetensors", "read_safetensors_file", "write_safetensors"]

WEIGHTS_FILE = "model.safetensors"

#: The size at which `transformers` begins another file.
MAX_SHARD_BYTES = 50_000_000_000

#: Every dtype that is read and written, in the order by which the `safetensors` package
#: lays out a file: the last come first, so that no array is misaligned.
DTYPES = {
    "BOOL": np.dtype("bool"),
    "U8": np.dtype("uint8"),
    "I8": np.dtype("int8"),
    "I16": np.dtype("int16"),
    "U16": np.dtype("uint16"),
    "F16": np.dtype("float16"),
    "BF16": BFLOAT16,
    "I32": np.dtype("int32"),
    "U32": np.dtype("uint32"),
    "F32": np.dtype("float32"),
    "F64": np.dtype("float64"),
    "I64": np.dtype("int64"),
    "U64": np.dtype("uint64"),
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
RANKS = {dtype: rank for rank, dtype in enumerate(NAMES)}

#: The name in a header that is no array's.
METADATA = "__metadata__"


def read_safetensors(directory):
    """Read `model.safetensors`, or the files that `model.safetensors.index.json` names.

    Args:
        directory: str or path.
    Returns:
        dict[str, `StoredArray`], in file order.
    Raises:
        CheckpointError: if a file is missing, damaged or breaks a rule of the format.
    """
    return read_directory(directory, WEIGHTS_FILE, read_safetensors_file)


def read_safetensors_file(path):
    """Read one safetensors file; as `read_safetensors` otherwise.

    Args:
        path: str or path.
    """
    path = Path(path)
    with opened(path) as file:
        size = file_size(file)
        if size < 8:
            raise Malformed(f"{size} bytes are too few")
        length = int.from_bytes(take(file, 0, 8), "little")
        if length > min(size - 8, MAX_JSON_BYTES):
            raise Malformed(f"a header of {length} bytes does not fit")
        header = parse_json(take(file, 8, length))
        metadata = header.pop(METADATA, {})
        if not isinstance(metadata, dict) or any(type(value) is not str for value in metadata.values()):
            raise Malformed(f"{METADATA} must map strings to strings")
        arrays = {name: _stored(path, 8 + length, name, entry) for name, entry in header.items()}
        _check_layout(header, size - 8 - length)
    return arrays


def _stored(path, start, name, entry):
    """Check one entry of a header and make its `StoredArray`; `start` is where the data begins, in bytes."""
    if not isinstance(entry, dict):
        raise Malformed(f"{quoted(name)} must be described by an object")
    dtype, shape, offsets = (entry.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(dtype, str):
        raise Malformed(f"{quoted(name)} has no dtype")
    if dtype not in DTYPES:
        raise CheckpointError(
            f"{path}: a dtype must be one of {', '.join(DTYPES)}. Received: {quoted(name)} is {quoted(dtype)}. "
            "Save the weights as F32."
        )
    if not isinstance(offsets, list) or len(offsets) != 2 or any(type(offset) is not int for offset in offsets):
        raise Malformed(f"{quoted(name)} must have two data_offsets")
    needed = count_elements(shape) * DTYPES[dtype].itemsize
    if offsets[1] - offsets[0] != needed:
        raise Malformed(f"{quoted(name)} needs {needed} bytes and has others")
    return as_stored(path, start + offsets[0], shape, DTYPES[dtype])


def _check_layout(header, size):
    """Raise unless the arrays cover `size` bytes of data without a gap or an overlap."""
    position = 0
    for start, stop in sorted(entry["data_offsets"] for entry in header.values()):
        if start != position:
            raise Malformed("its arrays overlap or leave a gap")
        position = stop
    if position != size:
        raise Malformed("its arrays do not cover its data")


def write_safetensors(directory, arrays, max_shard_bytes=MAX_SHARD_BYTES):
    """Write `model.safetensors`, or several files and their index where one would be too large.

    The files are those that the `safetensors` package writes, byte for byte.

    Args:
        directory: str or path that exists; give one that `replaced_directory` made.
        arrays: mapping from str to NumPy array or `StoredArray`; each is read as it
            is written, so that no two are held at once.
        max_shard_bytes: int. Data bytes of one file; a larger array has a file to itself.
    Raises:
        TypeError: for a dtype that the format, or this module, does not have.
        OSError: if the disk is full.
    """
    directory = Path(directory)
    for name, array in arrays.items():
        if name == METADATA:
            raise ValueError(f"write_safetensors: no array may be named {METADATA}. Rename it.")
        if _native(array.dtype) not in RANKS:
            raise TypeError(
                f"write_safetensors: a dtype must be one of {', '.join(map(str, RANKS))}. "
                f"Received: {name} is {array.dtype}. Convert it."
            )
    shards = [[]]
    filled = 0
    for name, array in arrays.items():
        if shards[-1] and filled + array.nbytes > max_shard_bytes:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += array.nbytes
    if len(shards) == 1:
        _write_file(directory / WEIGHTS_FILE, arrays)
        return
    weight_map = {}
    for number, names in enumerate(shards, start=1):
        file_name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        _write_file(directory / file_name, {name: arrays[name] for name in names})
        weight_map.update(dict.fromkeys(names, file_name))
    index = {"metadata": {"total_size": sum(array.nbytes for array in arrays.values())}, "weight_map": weight_map}
    (directory / f"{WEIGHTS_FILE}.index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _native(dtype):
    return dtype.newbyteorder("=")


def _write_file(path, arrays):
    order = sorted(arrays, key=lambda name: (-RANKS[_native(arrays[name].dtype)], name))
    header = {METADATA: {"format": "pt"}}  # transformers refuses a file that does not say so
    position = 0
    for name in order:
        array = arrays[name]
        header[name] = {
            "dtype": NAMES[_native(array.dtype)],
            "shape": list(array.shape),
            "data_offsets": [position, position + array.nbytes],
        }
        position += array.nbytes
    content = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    content += b" " * (-len(content) % 8)  # the data then begins aligned
    with open(path, "wb") as file:
        file.write(len(content).to_bytes(8, "little") + content)
        for name in order:
            file.write(little_endian_bytes(arrays[name]))

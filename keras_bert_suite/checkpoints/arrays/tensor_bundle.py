"""TensorFlow checkpoints of the second version, read and written without TensorFlow.

A checkpoint is a prefix: `prefix.index` is a table in LevelDB's format, from names to
where each array lies, and `prefix.data-00000-of-00001` holds the arrays. The first
version, one file without an index, is refused by name, and so are arrays stored in parts.
The names of variables are not interpreted.

Source: tensorflow/core/util/tensor_bundle and tensorflow/core/protobuf/tensor_bundle.proto.
"""

import re
from pathlib import Path

import ml_dtypes
import numpy as np

from keras_bert_suite.checkpoints.arrays.crc32c import crc32c, mask, unmask
from keras_bert_suite.checkpoints.arrays.leveldb_table import is_table, read_table, read_varint, to_table, to_varint
from keras_bert_suite.checkpoints.arrays.stored import (
    BFLOAT16,
    Malformed,
    StoredArray,
    array_bytes,
    count_elements,
    file_size,
    little_endian_bytes,
    opened,
    quoted,
    read_array,
)
from keras_bert_suite.errors import CheckpointError, shortened

__all__ = ["find_prefix", "read_bundle", "write_bundle"]

#: TensorFlow's number of a dtype, for each that NumPy can hold.
DTYPES = {
    1: np.dtype("float32"),
    2: np.dtype("float64"),
    3: np.dtype("int32"),
    4: np.dtype("uint8"),
    5: np.dtype("int16"),
    6: np.dtype("int8"),
    8: np.dtype("complex64"),
    9: np.dtype("int64"),
    10: np.dtype("bool"),
    14: BFLOAT16,
    17: np.dtype("uint16"),
    18: np.dtype("complex128"),
    19: np.dtype("float16"),
    22: np.dtype("uint32"),
    23: np.dtype("uint64"),
    24: np.dtype(ml_dtypes.float8_e5m2),
    25: np.dtype(ml_dtypes.float8_e4m3fn),
}
NUMBERS = {dtype: number for number, dtype in DTYPES.items()}

#: Strings, resources and variants: the graph of objects that Keras and tf.train.Checkpoint
#: store beside the weights, and nothing that a network computes with.
NOT_ARRAYS = (7, 20, 21)

# The messages in the index ---------------------------------------------------------------


def _fields(message):
    """Yield `(field number, value)` of a protocol buffer; value is an int, or bytes for what has a length."""
    position = 0
    while position < len(message):
        tag, position = read_varint(message, position)
        kind = tag & 7
        if kind == 0:
            value, position = read_varint(message, position)
        else:
            length, position = read_varint(message, position) if kind == 2 else ({1: 8, 5: 4}.get(kind), position)
            if length is None or position + length > len(message):
                raise Malformed("an entry is cut off or of an unknown kind")
            value = message[position : position + length]
            position += length
            if kind != 2:
                value = int.from_bytes(value, "little")
        yield tag >> 3, value


def _number(fields, field):
    value = fields.get(field, 0)
    if not isinstance(value, int):
        raise Malformed("an entry holds text for a number")
    return value


def _shape(message):
    """Return the shape in a TensorShapeProto."""
    if not isinstance(message, bytes):
        raise Malformed("an entry holds a number for a shape")
    shape = []
    for field, value in _fields(message):
        if field == 3 and value:
            raise Malformed("an array of unknown rank")
        if field == 2:
            if not isinstance(value, bytes):
                raise Malformed("an entry holds a number for a shape")
            shape.append(_number(dict(_fields(value)), 1))
    return tuple(shape)


def _tagged(field, value):
    """Encode one field of a protocol buffer; zero is the default, which is left out."""
    if isinstance(value, bytes):
        return to_varint(field << 3 | 2) + to_varint(len(value)) + value
    return to_varint(field << 3) + to_varint(value) if value else b""


def _to_entry(array, offset, checksum):
    """Encode the BundleEntryProto of an array at `offset` of the only data file."""
    shape = b"".join(_tagged(2, _tagged(1, size)) for size in array.shape)
    return (
        _tagged(1, NUMBERS[array.dtype.newbyteorder("=")])
        + _tagged(2, shape)
        + _tagged(4, offset)
        + _tagged(5, array.nbytes)
        + to_varint(6 << 3 | 5)
        + mask(checksum).to_bytes(4, "little")
    )


# The checkpoint --------------------------------------------------------------------------


def read_bundle(prefix):
    """Read a checkpoint that `tf.train.Saver`, `tf.train.Checkpoint` or Keras wrote.

    Every variable is listed, an optimizer's slots and counters too; strings are not.
    An array's checksum is verified when it is read.

    Args:
        prefix: str or path, e.g. `"bert/bert_model.ckpt"`.
    Returns:
        dict[str, `StoredArray`], in the order of the index.
    Raises:
        CheckpointError: if a file is missing or damaged, or of the first version.
    """
    prefix = Path(prefix)
    path = Path(f"{prefix}.index")
    if not path.exists() and is_table(prefix):
        raise _first_version(prefix)
    with opened(path) as file:
        table = read_table(file, file_size(file))
        header = dict(_fields(table.pop(b"", b"")))
        shards = _number(header, 1)
        byteorder = {0: "little", 1: "big"}.get(_number(header, 2))
        if not 0 < shards < 100_000 or byteorder is None:
            raise Malformed("it has no header that says how many data files there are")
        sizes = {}
        arrays = {}
        for key, message in table.items():
            if key.startswith(b"\0"):  # a part of an array, which the array's own entry refuses
                continue
            try:
                name = key.decode("utf-8")
            except UnicodeDecodeError as error:
                raise Malformed("a name is not UTF-8") from error
            array = _stored(prefix, name, message, shards, byteorder, sizes)
            if array is not None:
                arrays[name] = array
    return arrays


def _stored(prefix, name, message, shards, byteorder, sizes):
    """Check one entry against its data file and make its `StoredArray`; `None` for what is no array.

    Args:
        sizes: dict of the sizes of data files, filled as they are met.
    """
    fields = dict(_fields(message))
    number = _number(fields, 1)
    if number in NOT_ARRAYS:
        return None
    if number not in DTYPES:
        raise Malformed(f"{quoted(name)} has the unknown dtype {number}")
    dtype, shape = DTYPES[number], _shape(fields.get(2, b""))
    needed = count_elements(shape) * dtype.itemsize
    path = Path(f"{prefix}.data-{_number(fields, 3):05d}-of-{shards:05d}")
    if 7 in fields:
        return StoredArray(shape, dtype, lambda: _refuse_parts(path, name))
    if _number(fields, 3) >= shards:
        raise Malformed(f"{quoted(name)} is said to be in a data file that there is not")
    offset, size, checksum = (_number(fields, field) for field in (4, 5, 6))
    if size != needed:
        raise Malformed(f"{quoted(name)} needs {needed} bytes and has {size}")
    if path not in sizes:
        with opened(path) as file:
            sizes[path] = file_size(file)
    if offset + size > sizes[path]:
        raise CheckpointError(
            f"{path}: damaged or truncated ({quoted(name)} ends at byte {offset + size}, the file at {sizes[path]}). "
            "Download the checkpoint again."
        )

    def read():
        array = read_array(path, offset, shape, dtype)
        if crc32c(array_bytes(array)) != unmask(checksum):
            raise CheckpointError(
                f"{path}: damaged (the checksum of {quoted(name)} is wrong). Download the checkpoint again."
            )
        return array.byteswap(inplace=True) if byteorder == "big" else array

    return StoredArray(shape, dtype, read)


def _refuse_parts(path, name):
    raise CheckpointError(
        f"{path}: an array must be stored whole. Received: {quoted(name)} in parts (a partitioned variable). "
        "Save the checkpoint without a partitioner."
    )


def write_bundle(prefix, arrays):
    """Write `prefix.index` and `prefix.data-00000-of-00001`, the files that TensorFlow would write.

    Args:
        prefix: str or path in a folder that exists.
        arrays: mapping from str to NumPy array or `StoredArray`; each is read as it
            is written, so that no two are held at once.
    Raises:
        TypeError: for a dtype that TensorFlow does not have.
        OSError: if the disk is full.
    """
    for name, array in arrays.items():
        if not name or name.startswith("\0"):
            raise ValueError(f"write_bundle: a name must have letters. Received: {quoted(name)}. Rename the array.")
        if array.dtype.newbyteorder("=") not in NUMBERS:
            raise TypeError(
                f"write_bundle: a dtype must be one of {', '.join(map(str, NUMBERS))}. "
                f"Received: {name} is {array.dtype}. Convert it."
            )
    header = _tagged(1, 1) + _tagged(3, _tagged(1, 1))  # one data file; written in version 1
    entries = [(b"", header)]
    offset = 0
    with open(f"{prefix}.data-00000-of-00001", "wb") as file:
        for key, name in sorted((name.encode("utf-8"), name) for name in arrays):
            content = little_endian_bytes(arrays[name])
            file.write(content)
            entries.append((key, _to_entry(arrays[name], offset, crc32c(content))))
            offset += content.size
    Path(f"{prefix}.index").write_bytes(to_table(entries))


def find_prefix(directory):
    """Find the one checkpoint in a folder, or the one of several that the file `checkpoint` calls the latest.

    Args:
        directory: str or path.
    Returns:
        `pathlib.Path` of the prefix, which is no file itself.
    Raises:
        CheckpointError: if there is none, or several and nothing says which.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise CheckpointError(f"{directory}: no such directory. Give the folder that holds the checkpoint.")
    names = sorted(path.name for path in directory.iterdir())
    prefixes = [name.removesuffix(".index") for name in names if name.endswith(".index")]
    if not prefixes:
        for name in names:
            if is_table(directory / name):
                raise _first_version(directory / name)
        raise CheckpointError(
            f"{directory}: holds no TensorFlow checkpoint, a file that ends in .index, but "
            f"{shortened(names) or 'nothing'}. Give the folder that holds one."
        )
    if len(prefixes) > 1:
        # The path in it is of the machine that trained; only the name still means something.
        latest = _latest(directory / "checkpoint") if "checkpoint" in names else None
        if latest not in prefixes:
            raise CheckpointError(
                f"{directory}: must hold one checkpoint, or a file named checkpoint that says which is meant. "
                f"Received: {shortened(prefixes)}. Give one of them, such as {directory / prefixes[-1]}."
            )
        return directory / latest
    return directory / prefixes[0]


def _latest(path):
    """The base name in a `checkpoint` file, or `None`."""
    with opened(path) as file:
        found = re.search(rb'^\s*model_checkpoint_path:\s*"([^"\n]*)"', file.read(2**20), re.MULTILINE)
    return re.split(r"[/\\]", found[1].decode("utf-8", "replace"))[-1] if found else None


def _first_version(path):
    return CheckpointError(
        f"{path}: a TensorFlow checkpoint must be of version 2, with an .index file. Received: one of version 1. "
        "Restore it in TensorFlow and save it with tf.compat.v1.train.Saver()."
    )

"""TensorFlow checkpoints of the second version, read and written without TensorFlow.

A checkpoint is a prefix: `prefix.index` is a table in LevelDB's format, from names to
where each array lies, and `prefix.data-00000-of-00001` holds the arrays. The first
version, one file without an index, is refused by name, and so are arrays stored in parts.

Source: tensorflow/core/util/tensor_bundle and tensorflow/core/lib/io/format.
"""

import re
import struct
from pathlib import Path

import ml_dtypes
import numpy as np

from keras_bert_suite.checkpoints.stored import (
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
    take,
)
from keras_bert_suite.errors import CheckpointError, shortened

__all__ = ["crc32c", "find_prefix", "read_bundle", "write_bundle"]

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

TABLE_MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")
FOOTER_BYTES = 48
MAX_INDEX_BYTES = 256 * 2**20

#: A key stored as "as the last, and one letter more" can make a small file large; real
#: indices grow by less than 5.
MAX_KEY_GROWTH = 32

#: Entries between two keys that are stored whole.
RESTART_INTERVAL = 16

# The table -------------------------------------------------------------------------------


def _varint(content, position):
    """Read a number of 7 bits a byte; returns `(number, the next position)`."""
    number = 0
    for shift in range(0, 70, 7):
        if position >= len(content):
            raise Malformed("a number is cut off")
        octet = content[position]
        position += 1
        number |= (octet & 0x7F) << shift
        if octet < 0x80:
            return number, position
    raise Malformed("a number of more than 64 bits")


def _to_varint(number):
    octets = bytearray()
    while number >= 0x80:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    octets.append(number)
    return bytes(octets)


def _read_block(file, size, handle, position):
    """Read the block that a handle, at `position` of the bytes `handle`, points at.

    Returns:
        (bytes of the block, the position behind the handle).
    """
    offset, position = _varint(handle, position)
    length, position = _varint(handle, position)
    if offset + length + 5 > size - FOOTER_BYTES:
        raise Malformed("a block lies outside the index")
    content = take(file, offset, length + 5)  # a byte for the compression and four for the checksum follow
    if _unmask(int.from_bytes(content[-4:], "little")) != crc32c(content[:-4]):
        raise Malformed("the checksum of the index is wrong")
    if content[length] != 0:
        kind = {1: "snappy"}.get(content[length], content[length])
        raise Malformed(f"a block is compressed with {kind}, as TensorFlow never writes it")
    return content[:length], position


def _entries(block, budget):
    """Yield `(key, value)` of a block, keys rising; raises once the keys exceed `budget` bytes."""
    if len(block) < 4:
        raise Malformed("a block without restart points")
    end = len(block) - 4 - 4 * int.from_bytes(block[-4:], "little")
    if end < 0:
        raise Malformed("a block with more restart points than bytes")
    key, position, first = b"", 0, True
    while position < end:
        shared, position = _varint(block, position)
        fresh, position = _varint(block, position)
        length, position = _varint(block, position)
        if shared > len(key) or position + fresh + length > end:
            raise Malformed("an entry reaches outside its block")
        last, key = key, key[:shared] + block[position : position + fresh]
        if key <= last and not first:
            raise Malformed("its names are not in order")
        first = False
        budget -= len(key)
        if budget < 0:
            raise Malformed("its names are much longer than the file")
        position += fresh
        yield key, block[position : position + length]
        position += length


def _read_table(file, size):
    """Return dict[bytes, bytes] of a whole table, in order."""
    if size < FOOTER_BYTES or size > MAX_INDEX_BYTES:
        raise Malformed(f"an index of {size} bytes")
    footer = take(file, size - FOOTER_BYTES, FOOTER_BYTES)
    if not footer.endswith(TABLE_MAGIC):
        raise Malformed("it does not end as an index does")
    _, position = _varint(footer, 0)  # The first handle is of a block that TensorFlow leaves empty.
    _, position = _varint(footer, position)
    blocks, _ = _read_block(file, size, footer, position)
    table, last, covered = {}, None, 0
    for _, handle in _entries(blocks, MAX_KEY_GROWTH * size):
        block, _ = _read_block(file, size, handle, 0)
        covered += len(block)
        if covered > size:  # Every block named many times would take for ever.
            raise Malformed("its blocks overlap")
        for key, value in _entries(block, MAX_KEY_GROWTH * size):
            if last is not None and key <= last:
                raise Malformed("its names are not in order")
            table[key] = value
            last = key
    return table


def _to_block(entries):
    """Encode `(key, value)` pairs in order, without the trailer."""
    content, restarts, last = bytearray(), [], b""
    for number, (key, value) in enumerate(entries):
        shared = 0
        if number % RESTART_INTERVAL == 0:
            restarts.append(len(content))
        else:
            while shared < min(len(key), len(last)) and key[shared] == last[shared]:
                shared += 1
        content += _to_varint(shared) + _to_varint(len(key) - shared) + _to_varint(len(value))
        content += key[shared:] + value
        last = key
    return bytes(content) + struct.pack(f"<{len(restarts or [0]) + 1}I", *(restarts or [0]), len(restarts or [0]))


def _to_table(entries):
    """Encode `(key, value)` pairs in order as a table of one block; readers take blocks of any size."""
    content = bytearray()

    def append(block):
        handle = _to_varint(len(content)) + _to_varint(len(block))
        content.extend(block + b"\0" + _mask(crc32c(block + b"\0")).to_bytes(4, "little"))
        return handle

    handle = append(_to_block(entries))
    empty = append(_to_block([]))
    blocks = append(_to_block([(_successor(entries[-1][0]), handle)]))
    return bytes(content) + (empty + blocks).ljust(FOOTER_BYTES - 8, b"\0") + TABLE_MAGIC


def _successor(key):
    """The shortest key that is not below `key`, as LevelDB names the end of its last block."""
    for position, octet in enumerate(key):
        if octet != 0xFF:
            return key[:position] + bytes([octet + 1])
    return key


# The messages in it ----------------------------------------------------------------------


def _fields(message):
    """Yield `(field number, value)` of a protocol buffer; value is an int, or bytes for what has a length."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        kind = tag & 7
        if kind == 0:
            value, position = _varint(message, position)
        else:
            length, position = _varint(message, position) if kind == 2 else ({1: 8, 5: 4}.get(kind), position)
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
        return _to_varint(field << 3 | 2) + _to_varint(len(value)) + value
    return _to_varint(field << 3) + _to_varint(value) if value else b""


def _to_entry(array, offset, checksum):
    """Encode the BundleEntryProto of an array at `offset` of the only data file."""
    shape = b"".join(_tagged(2, _tagged(1, size)) for size in array.shape)
    return (
        _tagged(1, NUMBERS[array.dtype.newbyteorder("=")])
        + _tagged(2, shape)
        + _tagged(4, offset)
        + _tagged(5, array.nbytes)
        + _to_varint(6 << 3 | 5)
        + _mask(checksum).to_bytes(4, "little")
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
    if not path.exists() and _is_table(prefix):
        raise _first_version(prefix)
    with opened(path) as file:
        table = _read_table(file, file_size(file))
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
        if crc32c(array_bytes(array)) != _unmask(checksum):
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
    Path(f"{prefix}.index").write_bytes(_to_table(entries))


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
            if _is_table(directory / name):
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


def _is_table(path):
    """Whether `path` is a file that ends as a table does."""
    if not path.is_file() or path.stat().st_size < FOOTER_BYTES:
        return False
    with opened(path) as file:
        return take(file, path.stat().st_size - 8, 8) == TABLE_MAGIC


def _first_version(path):
    return CheckpointError(
        f"{path}: a TensorFlow checkpoint must be of version 2, with an .index file. Received: one of version 1. "
        "Restore it in TensorFlow and save it with tf.compat.v1.train.Saver()."
    )


# The checksum ----------------------------------------------------------------------------

#: The polynomial of CRC-32C, its bits reversed.
POLYNOMIAL = 0x82F63B78

#: Sparse multiples of the polynomial: x**a + x**b + ... + 1, each as (a, b, ..., 0). Squared six
#: times they have the exponents 64a, 64b, ..., so that a word of 8 bytes may be moved to later
#: words by exclusive or alone, which NumPy does to thousands at a time. Found by search among
#: the smallest, for a wide gap between the two highest exponents: that many words move at once.
MULTIPLES = ((5685, 1362, 426, 0), (290, 136, 113, 107, 32, 0))

#: Words that are folded at a time; they and the longest multiple fit a second-level cache.
CHUNK_WORDS = 2**15


def _byte_table():
    table = []
    for octet in range(256):
        for _ in range(8):
            octet = octet >> 1 ^ (POLYNOMIAL if octet & 1 else 0)
        table.append(octet)
    return tuple(table)


BYTE_TABLE = _byte_table()


def crc32c(content):
    """Return the CRC-32C (Castagnoli) of bytes, at several GB a second.

    Python's `zlib.crc32` is of another polynomial. Here the message is folded: words at its
    beginning are moved to later ones that change the remainder alike, until few are left.

    Args:
        content: bytes, or a C-contiguous `(bytes,)` uint8 array.
    Returns:
        int below 2**32.

    Example:
    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    octets = np.frombuffer(content, np.uint8)
    words = octets[: octets.size // 8 * 8].view("<u8")
    held = words[:0]
    remainder = 0xFFFFFFFF  # which the checksum begins with, and which is put into the first word
    if words.size:
        for start in range(0, words.size, CHUNK_WORDS):
            held = np.concatenate([held, words[start : start + CHUNK_WORDS]])
            if start == 0:
                held[0] ^= np.uint64(remainder)
            held = _fold(held, MULTIPLES[0])
        held = _fold(held, MULTIPLES[1])
        remainder = 0
    for octet in held.tobytes() + octets[words.size * 8 :].tobytes():
        remainder = remainder >> 8 ^ BYTE_TABLE[(remainder ^ octet) & 0xFF]
    return remainder ^ 0xFFFFFFFF


def _fold(words, multiple):
    """Fold `(n,)` words, in place, into their last `multiple[0]`, which are returned."""
    shifts = [multiple[0] - exponent for exponent in multiple[1:]]
    surplus = words.size - multiple[0]
    for start in range(0, surplus, shifts[0]):
        stop = min(start + shifts[0], surplus)
        for shift in shifts:
            words[start + shift : stop + shift] ^= words[start:stop]
    return words[max(surplus, 0) :]


def _mask(checksum):
    """Disguise a checksum as TensorFlow stores it, so that checksums of checksums stay sound."""
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _unmask(masked):
    rotated = masked - 0xA282EAD8 & 0xFFFFFFFF
    return (rotated >> 17 | rotated << 15) & 0xFFFFFFFF

"""Tables in LevelDB's format, from names to bytes in the order of the names, as a checkpoint's index is one.

A table is blocks of entries, each with its checksum, then a block of where they are, then a
footer. What an entry means is for the caller to know. Tables that are compressed are refused:
TensorFlow writes none.

Source: tensorflow/core/lib/io/format and table_builder, and doc/table_format.md of LevelDB.
"""

import struct

from keras_bert_suite.checkpoints.arrays.crc32c import crc32c, mask, unmask
from keras_bert_suite.checkpoints.arrays.stored import Malformed, opened, take

__all__ = ["TABLE_MAGIC", "is_table", "read_table", "read_varint", "to_block", "to_table", "to_varint"]

TABLE_MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")
FOOTER_BYTES = 48
MAX_INDEX_BYTES = 256 * 2**20

#: A key stored as "as the last, and one letter more" can make a small file large; real
#: indices grow by less than 5.
MAX_KEY_GROWTH = 32

#: Entries between two keys that are stored whole.
RESTART_INTERVAL = 16


def is_table(path):
    """Whether `path` is a file that ends as a table does."""
    if not path.is_file() or path.stat().st_size < FOOTER_BYTES:
        return False
    with opened(path) as file:
        return take(file, path.stat().st_size - 8, 8) == TABLE_MAGIC


def read_varint(content, position):
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


def to_varint(number):
    """Encode a number of 7 bits a byte."""
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
    offset, position = read_varint(handle, position)
    length, position = read_varint(handle, position)
    if offset + length + 5 > size - FOOTER_BYTES:
        raise Malformed("a block lies outside the index")
    content = take(file, offset, length + 5)  # a byte for the compression and four for the checksum follow
    if unmask(int.from_bytes(content[-4:], "little")) != crc32c(content[:-4]):
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
        shared, position = read_varint(block, position)
        fresh, position = read_varint(block, position)
        length, position = read_varint(block, position)
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


def read_table(file, size):
    """Return dict[bytes, bytes] of a whole table, in order."""
    if size < FOOTER_BYTES or size > MAX_INDEX_BYTES:
        raise Malformed(f"an index of {size} bytes")
    footer = take(file, size - FOOTER_BYTES, FOOTER_BYTES)
    if not footer.endswith(TABLE_MAGIC):
        raise Malformed("it does not end as an index does")
    _, position = read_varint(footer, 0)  # The first handle is of a block that TensorFlow leaves empty.
    _, position = read_varint(footer, position)
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


def to_block(entries):
    """Encode `(key, value)` pairs in order, without the trailer."""
    content, restarts, last = bytearray(), [], b""
    for number, (key, value) in enumerate(entries):
        shared = 0
        if number % RESTART_INTERVAL == 0:
            restarts.append(len(content))
        else:
            while shared < min(len(key), len(last)) and key[shared] == last[shared]:
                shared += 1
        content += to_varint(shared) + to_varint(len(key) - shared) + to_varint(len(value))
        content += key[shared:] + value
        last = key
    return bytes(content) + struct.pack(f"<{len(restarts or [0]) + 1}I", *(restarts or [0]), len(restarts or [0]))


def to_table(entries):
    """Encode `(key, value)` pairs in order as a table of one block; readers take blocks of any size."""
    content = bytearray()

    def append(block):
        handle = to_varint(len(content)) + to_varint(len(block))
        content.extend(block + b"\0" + mask(crc32c(block + b"\0")).to_bytes(4, "little"))
        return handle

    handle = append(to_block(entries))
    empty = append(to_block([]))
    blocks = append(to_block([(_successor(entries[-1][0]), handle)]))
    return bytes(content) + (empty + blocks).ljust(FOOTER_BYTES - 8, b"\0") + TABLE_MAGIC


def _successor(key):
    """The shortest key that is not below `key`, as LevelDB names the end of its last block."""
    for position, octet in enumerate(key):
        if octet != 0xFF:
            return key[:position] + bytes([octet + 1])
    return key

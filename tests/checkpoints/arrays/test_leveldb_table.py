"""A table that is written is read, and one that breaks a rule with true checksums is refused."""

import io

import pytest

from keras_bert_suite.checkpoints.arrays.crc32c import crc32c, mask
from keras_bert_suite.checkpoints.arrays.leveldb_table import (
    TABLE_MAGIC,
    is_table,
    read_table,
    read_varint,
    to_block,
    to_table,
    to_varint,
)
from keras_bert_suite.checkpoints.arrays.stored import Malformed


def read(content):
    return read_table(io.BytesIO(content), len(content))


def table_of(blocks, kind=b"\0"):
    """Join encoded blocks with true checksums; returns `(content, where each block is, under a name of its own)`."""
    content, handles = bytearray(), []
    for number, block in enumerate(blocks):
        handles.append((b"%03d" % number, to_varint(len(content)) + to_varint(len(block))))
        content += block + kind + mask(crc32c(block + kind)).to_bytes(4, "little")
    return content, handles


def closed(content, handles):
    """Add the block of handles and the footer, so that the table is whole."""
    index = to_block(handles)
    handle = to_varint(len(content)) + to_varint(len(index))
    content = content + index + b"\0" + mask(crc32c(index + b"\0")).to_bytes(4, "little")
    return bytes(content) + (b"\0\0" + handle).ljust(40, b"\0") + TABLE_MAGIC


@pytest.mark.parametrize("number", [0, 1, 127, 128, 2**14 - 1, 2**14, 2**32, 2**64 - 1])
def test_numbers(number):
    octets = to_varint(number)
    assert read_varint(b"x" + octets + b"x", 1) == (number, 1 + len(octets))
    with pytest.raises(Malformed, match="cut off"):
        read_varint(octets[:-1], 0)


def test_a_number_without_an_end():
    with pytest.raises(Malformed, match="more than 64 bits"):
        read_varint(b"\xff" * 11, 0)


@pytest.mark.parametrize("count", [1, 16, 17, 1000])
def test_written_and_read(count, tmp_path):
    entries = [(b"", b"header"), *((b"bert/layer/%05d" % number, b"v" * (number % 200)) for number in range(count))]
    content = to_table(entries)
    assert list(read(content).items()) == entries
    (tmp_path / "x").write_bytes(content)
    assert is_table(tmp_path / "x")
    (tmp_path / "x").write_bytes(content[:-1])
    assert not is_table(tmp_path / "x")
    assert not is_table(tmp_path)


def test_several_blocks():
    content, handles = table_of([to_block([(b"a", b"1"), (b"b", b"2")]), to_block([(b"c", b"3")])])
    assert read(closed(content, handles)) == {b"a": b"1", b"b": b"2", b"c": b"3"}


def test_tables_that_break_a_rule():
    block = to_block([(b"a", b"1"), (b"b", b"2")])
    with pytest.raises(Malformed, match="names are not in order"):
        read(closed(*table_of([block, block])))
    with pytest.raises(Malformed, match="names are not in order"):
        read(closed(*table_of([to_block([(b"b", b"1"), (b"a", b"2")])])))
    with pytest.raises(Malformed, match="compressed with snappy"):
        read(closed(*table_of([block], b"\1")))
    content, _ = table_of([block])
    with pytest.raises(Malformed, match="outside the index"):
        read(closed(content, [(b"a", to_varint(0) + to_varint(2**20))]))
    with pytest.raises(Malformed, match="checksum of the index"):
        read(closed(content, [(b"a", to_varint(0) + to_varint(len(block) - 1))]))


def test_a_block_that_is_named_many_times():
    content, [(_, handle)] = table_of([to_block([])])  # without a name that would be out of order
    with pytest.raises(Malformed, match="blocks overlap"):
        read(closed(content, [(b"%03d" % number, handle) for number in range(100)]))

"""The directory of a zip file, as far as `torch.save` makes use of the format.

Says where the bytes of each entry lie, and why those that are compressed or encrypted
cannot be read. Nothing is inflated, and no entry's content is looked at.

Source: the .ZIP file format specification (APPNOTE.TXT).
"""

import struct

from keras_bert_suite.checkpoints.arrays.stored import Malformed, quoted, take

__all__ = ["zip_entries"]

MAX_DIRECTORY_BYTES = 2**24

_DIRECTORY_END = struct.Struct("<4s4H2LH")
_DIRECTORY_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL_ENTRY = struct.Struct("<4s5H3L2H")


def _unpack(structure, file, offset, signature, size):
    """Read one record of a zip file, refusing any other."""
    if not 0 <= offset <= size - structure.size:
        raise Malformed("the zip file is cut off")
    fields = structure.unpack(take(file, offset, structure.size))
    if fields[0] != signature:
        raise Malformed("the zip file has no record where one must be")
    return fields


def zip_entries(file, size):
    """Return what is in a zip file: `(dict from name to (offset, bytes), dict from name to why it is not read)`.

    Python's `zipfile` would inflate whatever asks for it, and take sizes at their word.
    """
    end = size - _DIRECTORY_END.size  # PyTorch writes no comment behind it
    *_, length, start, _ = _unpack(_DIRECTORY_END, file, end, b"PK\5\6", size)
    locator = end - _LOCATOR_64.size
    if locator >= 0 and take(file, locator, 4) == b"PK\6\7":
        _, _, end, _ = _unpack(_LOCATOR_64, file, locator, b"PK\6\7", size)
        *_, length, start = _unpack(_DIRECTORY_END_64, file, end, b"PK\6\6", size)
    if length > MAX_DIRECTORY_BYTES or start + length > end:
        raise Malformed("the zip file's directory does not fit")
    directory = take(file, start, length)
    entries, unread, position = {}, {}, 0
    while position < length:
        position, name, offset, count, reason = _zip_entry(directory, position)
        if reason:
            unread[name] = reason
        if name in entries:
            raise Malformed(f"{quoted(name)} occurs twice")
        local = _unpack(_LOCAL_ENTRY, file, offset, b"PK\3\4", start)
        offset += _LOCAL_ENTRY.size
        spelled = name.encode("utf-8")
        if local[-2] != len(spelled) or take(file, offset, len(spelled)) != spelled:
            raise Malformed(f"{quoted(name)} has another name where it lies")
        entries[name] = (offset + local[-2] + local[-1], count)
    position = 0
    for offset, count in sorted(entries.values()):
        if offset < position or offset + count > start:
            raise Malformed("the zip file's entries overlap or are cut off")
        position = offset + count
    return entries, unread


def _zip_entry(directory, position):
    """Read the entry at `position` of a zip directory.

    Returns:
        (the next position, name, offset, bytes in the file, `None` or why it is not read).
    """
    if position + _ENTRY.size > len(directory):
        raise Malformed("the zip file's directory is cut off")
    fields = _ENTRY.unpack_from(directory, position)
    signature, flags, method, packed, count, offset = (fields[index] for index in (0, 3, 4, 8, 9, 16))
    lengths = fields[10:13]
    position += _ENTRY.size
    stop = position + sum(lengths)
    if signature != b"PK\1\2" or stop > len(directory):
        raise Malformed("the zip file's directory is cut off")
    try:
        name = directory[position : position + lengths[0]].decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed("a name is not UTF-8") from error
    extra = directory[position + lengths[0] : position + lengths[0] + lengths[1]]
    count, packed, offset = _wide(extra, (count, packed, offset))
    reason = "encrypted" if flags & 1 else "compressed" if method or packed != count else None
    return stop, name, offset, packed, reason


def _wide(extra, numbers):
    """Replace each number that says 0xFFFFFFFF by that of 64 bits in an entry's extra field."""
    position, wide = 0, []
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, position)
        content = extra[position + 4 : position + 4 + length]
        if kind == 1:
            wide = [number for (number,) in struct.iter_unpack("<Q", content[: len(content) // 8 * 8])]
        position += 4 + length
    if len(wide) < numbers.count(0xFFFFFFFF):
        raise Malformed("the zip file's directory is cut off")
    return [wide.pop(0) if number == 0xFFFFFFFF else number for number in numbers]

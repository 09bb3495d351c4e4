"""Files of `torch.save`, read without PyTorch and without running anything that is in them.

Such a file is a program for Python's `pickle`, which may call whatever it likes. Here an
interpreter of our own follows the few instructions that tensors need; the names that it
knows stand for inert values, and any other name refuses the file. Both layouts are read,
the zip of PyTorch 1.6 and the one before it. Nothing is written: save as safetensors.

Source: torch/serialization.py, torch/_weights_only_unpickler.py and the .ZIP specification.
"""

import dataclasses
import pickletools
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np

from keras_bert_suite.checkpoints.stored import (
    BFLOAT16,
    Malformed,
    StoredArray,
    as_stored,
    count_elements,
    file_size,
    opened,
    quoted,
    read_array,
    read_directory,
    take,
)
from keras_bert_suite.errors import CheckpointError, shortened

__all__ = ["read_torch"]

WEIGHTS_FILE = "pytorch_model.bin"

#: Where weights lie in a dict that holds more than weights.
STATE_NAMES = ("state_dict", "model_state_dict", "model")

#: A model of 1,000 tensors takes 2**17 bytes and 2**15 instructions.
MAX_PICKLE_BYTES = 2**26
MAX_INSTRUCTIONS = 2**20
MAX_STACK = 2**16
MAX_DIRECTORY_BYTES = 2**24

#: What a file of the layout before PyTorch 1.6 begins with, each pickled on its own.
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001


def read_torch(path):
    """Read a file of `torch.save`, or the files that `pytorch_model.bin.index.json` names.

    The file may hold a dict of tensors, or a dict with such a dict under a name.

    Args:
        path: str or path of a file, or of a folder with `pytorch_model.bin`.
    Returns:
        dict[str, `StoredArray`], in file order.
    Raises:
        CheckpointError: if a file is missing or damaged, or holds anything but tensors
            and plain values. Nothing in it is ever executed.
    """
    path = Path(path)
    return read_directory(path, WEIGHTS_FILE, _read_file) if path.is_dir() else _read_file(path)


def _read_file(path):
    with opened(path) as file:
        size = file_size(file)
        beginning = take(file, 0, min(size, 512))
        if beginning.startswith(b"PK\x03\x04"):
            tensors, places, byteorder = _read_zip(path, file, size)
        elif beginning[257:262] == b"ustar":
            raise CheckpointError(
                f"{path}: must be of PyTorch 0.2 or newer. Received: a tar file, as older ones wrote. "
                "Load it in PyTorch and save it again."
            )
        elif beginning.startswith(b"\x80"):
            tensors, places, byteorder = _read_legacy(path, file, size)
        else:
            raise Malformed("neither a zip nor a pickle, as torch.save writes them")
        return {name: _stored(path, name, tensor, places, byteorder) for name, tensor in tensors.items()}


# What a pickle may make ------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Function:
    """What a name stands for that a pickle may call; `call` is ours and only makes a value."""

    call: Callable


@dataclasses.dataclass(frozen=True)
class _Kind:
    """A dtype, or the type of storage that holds it; `None` in a storage of bare bytes."""

    dtype: np.dtype | None

    @property
    def itemsize(self):
        return 1 if self.dtype is None else self.dtype.itemsize


@dataclasses.dataclass(frozen=True)
class _Storage:
    """A run of `nbytes` in the file; which one only the layout knows. `view` is `(start, size)` in elements."""

    kind: _Kind
    key: str
    nbytes: int
    view: tuple | None


@dataclasses.dataclass(frozen=True)
class _Tensor:
    """A view of a storage; `start` and `strides` count elements of `dtype`."""

    storage: _Storage
    dtype: np.dtype
    start: int
    shape: tuple
    strides: tuple


def _rebuild_tensor(storage, start, shape, strides, *rest, dtype=None):
    """Stand in for `torch._utils._rebuild_tensor` and `_rebuild_tensor_v2`."""
    if not isinstance(storage, _Storage):
        raise Malformed("a tensor without a storage")
    dtype = storage.kind.dtype if dtype is None else dtype
    if dtype is None:
        raise Malformed("a tensor without a dtype")
    count_elements(shape)
    if not isinstance(strides, list | tuple) or len(strides) != len(shape):
        raise Malformed("a tensor must have as many strides as sizes")
    if any(type(number) is not int or number < 0 for number in (start, *strides)):
        raise Malformed("a tensor's start and strides must be whole numbers from 0 on")
    return _Tensor(storage, dtype, start, tuple(shape), tuple(strides))


def _rebuild_tensor_v3(storage, start, shape, strides, requires_grad, hooks, kind, *rest):
    """Stand in for the function that rebuilds dtypes without a storage type of their own."""
    if not isinstance(kind, _Kind) or kind.dtype is None:
        raise Malformed("a tensor without a dtype")
    return _rebuild_tensor(storage, start, shape, strides, dtype=kind.dtype)


def _rebuild_parameter(tensor, *rest):
    if not isinstance(tensor, _Tensor):
        raise Malformed("a parameter that is no tensor")
    return tensor


def _ordered_dict(pairs=None):
    """Make a dict; Python 2 pickled the pairs with the call, Python 3 adds them later."""
    values = {}
    if pairs is None:
        return values
    if not isinstance(pairs, list):
        raise Malformed("a dict that is no list of pairs")
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise Malformed("a dict that is no list of pairs")
        _set_item(values, *pair)
    pairs.clear()  # One long list, recalled again and again, would fill the memory with copies.
    return values


def _size(sizes=()):
    count_elements(sizes)
    return tuple(sizes)


def _set_item(values, key, value):
    # Hashing a deeply nested tuple would overflow the stack, and large numbers can be
    # chosen to collide; PyTorch's dicts have names, and the indices of parameters.
    if not isinstance(key, str) and (type(key) is not int or not 0 <= key < 2**31):
        raise Malformed("a dict must have names or small numbers for keys")
    if key in values:
        raise Malformed(f"{quoted(key)} occurs twice" if isinstance(key, str) else f"key {key} occurs twice")
    values[key] = value


#: PyTorch's dtypes: name -> (ours, name of the storage that holds it, where it has one).
DTYPES = {
    "float32": (np.dtype("float32"), "FloatStorage"),
    "float64": (np.dtype("float64"), "DoubleStorage"),
    "float16": (np.dtype("float16"), "HalfStorage"),
    "bfloat16": (BFLOAT16, "BFloat16Storage"),
    "int64": (np.dtype("int64"), "LongStorage"),
    "int32": (np.dtype("int32"), "IntStorage"),
    "int16": (np.dtype("int16"), "ShortStorage"),
    "int8": (np.dtype("int8"), "CharStorage"),
    "uint8": (np.dtype("uint8"), "ByteStorage"),
    "bool": (np.dtype("bool"), "BoolStorage"),
    "uint16": (np.dtype("uint16"), None),
    "uint32": (np.dtype("uint32"), None),
    "uint64": (np.dtype("uint64"), None),
}

#: Every name that a pickle may use, and the inert thing that it stands for.
GLOBALS = {
    "collections.OrderedDict": _Function(_ordered_dict),
    "torch._utils._rebuild_tensor": _Function(_rebuild_tensor),
    "torch._utils._rebuild_tensor_v2": _Function(_rebuild_tensor),
    "torch._utils._rebuild_tensor_v3": _Function(_rebuild_tensor_v3),
    "torch._utils._rebuild_parameter": _Function(_rebuild_parameter),
    "torch._utils._rebuild_parameter_with_state": _Function(_rebuild_parameter),
    "torch.Size": _Function(_size),
    "torch.device": _Function(lambda *place: None),
    "torch.UntypedStorage": _Kind(None),
    "torch.storage.UntypedStorage": _Kind(None),
    **{f"torch.{name}": _Kind(dtype) for name, (dtype, _) in DTYPES.items()},
    **{f"torch.{storage}": _Kind(dtype) for dtype, storage in DTYPES.values() if storage},
}


# The interpreter -------------------------------------------------------------------------


class _Interpreter:
    """Follows one pickle, from where `file` stands to its end.

    Args:
        path: path, for messages.
        file: binary file.
        end: int. Where the pickle, or the file, ends.
    """

    def __init__(self, path, file, end):
        self.path = path
        self.file = file
        self.end = min(end, file.tell() + MAX_PICKLE_BYTES)
        self.left = self.end - file.tell()
        self.stack = []
        self.marks = []
        self.memo = {}
        self.storages = {}  # key -> the first that has it

    def run(self):
        """Return the value that the pickle describes."""
        for _ in range(MAX_INSTRUCTIONS):
            code = self.read(1)
            if code == STOP:
                return self.pop()
            instruction = INSTRUCTIONS.get(code)
            if instruction is None:
                raise Malformed(f"the pickle instruction {quoted(code.decode('latin-1'))}, which no tensor needs")
            instruction(self)
            if len(self.stack) + len(self.marks) > MAX_STACK:
                raise Malformed(f"a pickle with more than {MAX_STACK} values at a time")
        raise Malformed(f"a pickle of more than {MAX_INSTRUCTIONS} instructions")

    def read(self, count):
        if count > self.left:
            raise Malformed("a pickle that is cut off, or too long")
        self.left -= count
        content = self.file.read(count)
        if len(content) != count:
            raise Malformed("a pickle that is cut off")
        return content

    def read_number(self, count, signed=False):
        return int.from_bytes(self.read(count), "little", signed=signed)

    def read_text(self, count):
        try:
            return self.read(count).decode("utf-8")
        except UnicodeDecodeError as error:
            raise Malformed("a name is not UTF-8") from error

    def read_line(self):
        line = self.file.readline(min(self.left, 1000))
        self.left -= len(line)
        if not line.endswith(b"\n"):
            raise Malformed("a name that is cut off, or too long")
        return line[:-1].decode("utf-8", "replace")

    def push(self, value):
        self.stack.append(value)

    def pop(self):
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise Malformed("a pickle that uses a value it has not made")
        return self.stack.pop()

    def top(self, kind):
        """The value that an instruction changes, which must be of type `kind`."""
        value = self.pop()
        if not isinstance(value, kind):
            raise Malformed(f"a pickle that takes another value for a {kind.__name__}")
        self.push(value)
        return value

    def pop_marked(self):
        if not self.marks:
            raise Malformed("a pickle that ends what it has not begun")
        mark = self.marks.pop()
        values = self.stack[mark:]
        del self.stack[mark:]
        return values

    def pop_tuple(self, count):
        self.push(tuple(reversed([self.pop() for _ in range(count)])))

    def get(self, index):
        if index not in self.memo:
            raise Malformed("a pickle that recalls what it has not kept")
        self.push(self.memo[index])

    def put(self, index):
        if index > MAX_INSTRUCTIONS:
            raise Malformed("a pickle that keeps more than it has")
        value = self.pop()
        self.push(value)
        self.memo[index] = value

    def find(self, module, name):
        """Push what a name stands for, or refuse the file."""
        found = GLOBALS.get(f"{module}.{name}")
        if found is None:
            raise CheckpointError(
                f"{self.path}: holds code ({quoted(f'{module}.{name}')[1:-1]}); nothing was executed. "
                "Ask for safetensors, or load it in PyTorch where you trust it and save its state_dict."
            )
        self.push(found)

    def find_on_stack(self):
        name, module = self.pop(), self.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise Malformed("a name that is no text")
        self.find(module, name)

    def reduce(self):
        """Call one of our own functions; the pickle has no other."""
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, _Function) or not isinstance(arguments, tuple):
            raise Malformed("a pickle that calls what is no function")
        try:
            self.push(function.call(*arguments))
        except TypeError as error:  # the wrong number of arguments; their types are checked inside
            raise Malformed("a pickle that calls a function wrongly") from error

    def build(self):
        """Leave aside the state of an object: versions, beside a state_dict's tensors."""
        self.pop()
        self.top(dict)

    def set_items(self, items):
        values = self.top(dict)
        if len(items) % 2:
            raise Malformed("a dict with a key and no value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            _set_item(values, key, value)

    def set_item(self):
        value, key = self.pop(), self.pop()
        self.set_items([key, value])

    def append(self):
        value = self.pop()
        self.top(list).append(value)

    def read_long(self):
        count = self.read_number(1)
        if count > 16:
            raise Malformed("a number of more than 16 bytes")
        self.push(self.read_number(count, signed=True))

    def persistent(self):
        """Push the storage that `("storage", type, key, place, size)` names; a sixth item is a view of it."""
        name = self.pop()
        if not isinstance(name, tuple) or len(name) not in (5, 6) or name[0] != "storage":
            raise Malformed("a reference to what is no storage")
        _, kind, key, _, count, view = (*name, None)[:6]
        if not isinstance(kind, _Kind) or not isinstance(key, str) or type(count) is not int or count < 0:
            raise Malformed("a reference to what is no storage")
        if view is not None:
            if not isinstance(view, tuple) or len(view) != 3 or any(type(number) is not int for number in view[1:]):
                raise Malformed("a view of a storage without a start and a size")
            view = view[1:]
        storage = _Storage(kind, key, count * kind.itemsize, view)
        self.storages.setdefault(key, storage)
        self.push(storage)


STOP = b"."

#: Instruction -> what it does, by the names that `pickletools` documents.
_BY_NAME = {
    "PROTO": lambda self: self.read(1),
    "FRAME": lambda self: self.read(8),
    "MARK": lambda self: self.marks.append(len(self.stack)),
    "POP": lambda self: self.pop(),
    "NONE": lambda self: self.push(None),
    "NEWTRUE": lambda self: self.push(True),
    "NEWFALSE": lambda self: self.push(False),
    "BININT": lambda self: self.push(self.read_number(4, signed=True)),
    "BININT1": lambda self: self.push(self.read_number(1)),
    "BININT2": lambda self: self.push(self.read_number(2)),
    "LONG1": _Interpreter.read_long,
    "BINFLOAT": lambda self: self.push(struct.unpack(">d", self.read(8))[0]),
    "BINUNICODE": lambda self: self.push(self.read_text(self.read_number(4))),
    "SHORT_BINUNICODE": lambda self: self.push(self.read_text(self.read_number(1))),
    "BINSTRING": lambda self: self.push(self.read_text(self.read_number(4))),
    "SHORT_BINSTRING": lambda self: self.push(self.read_text(self.read_number(1))),
    "EMPTY_TUPLE": lambda self: self.push(()),
    "EMPTY_LIST": lambda self: self.push([]),
    "EMPTY_DICT": lambda self: self.push({}),
    "TUPLE": lambda self: self.push(tuple(self.pop_marked())),
    "TUPLE1": lambda self: self.pop_tuple(1),
    "TUPLE2": lambda self: self.pop_tuple(2),
    "TUPLE3": lambda self: self.pop_tuple(3),
    "APPEND": _Interpreter.append,
    "APPENDS": lambda self: (lambda values: self.top(list).extend(values))(self.pop_marked()),
    "SETITEM": _Interpreter.set_item,
    "SETITEMS": lambda self: self.set_items(self.pop_marked()),
    "BINGET": lambda self: self.get(self.read_number(1)),
    "LONG_BINGET": lambda self: self.get(self.read_number(4)),
    "BINPUT": lambda self: self.put(self.read_number(1)),
    "LONG_BINPUT": lambda self: self.put(self.read_number(4)),
    "MEMOIZE": lambda self: self.put(len(self.memo)),
    "GLOBAL": lambda self: self.find(self.read_line(), self.read_line()),
    "INST": lambda self: self.find(self.read_line(), self.read_line()),
    "STACK_GLOBAL": _Interpreter.find_on_stack,
    "REDUCE": _Interpreter.reduce,
    "BUILD": _Interpreter.build,
    "BINPERSID": _Interpreter.persistent,
}
INSTRUCTIONS = {
    operation.code.encode("latin-1"): _BY_NAME[operation.name]
    for operation in pickletools.opcodes
    if operation.name in _BY_NAME
}


# The two layouts -------------------------------------------------------------------------

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


def _zip_entries(file, size):
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


def _read_zip(path, file, size):
    """Read the layout since PyTorch 1.6; returns `(dict of _Tensor, dict of where each storage is, byte order)`."""
    entries, unread = _zip_entries(file, size)
    pickles = [name for name in entries if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(pickles) != 1:
        raise Malformed("a zip file without the one data.pkl of torch.save")
    folder = pickles[0].removesuffix("data.pkl")
    if f"{folder}constants.pkl" in entries:
        raise CheckpointError(
            f"{path}: must hold weights. Received: a TorchScript program; nothing was executed. "
            "Load it in PyTorch and save its state_dict."
        )
    for name, reason in unread.items():
        raise Malformed(f"{quoted(name)} is {reason}, as torch.save never writes it")
    offset, count = entries[pickles[0]]
    file.seek(offset)
    value = _Interpreter(path, file, offset + count).run()
    places = {
        name.removeprefix(f"{folder}data/"): place
        for name, place in entries.items()
        if name.startswith(f"{folder}data/")
    }
    byteorder = "little"
    if f"{folder}byteorder" in entries:
        offset, count = entries[f"{folder}byteorder"]
        byteorder = take(file, offset, min(count, 8)).decode("latin-1")
        if byteorder not in ("little", "big"):
            raise Malformed(f"its byte order is {quoted(byteorder)}")
    return _state_dict(path, value), places, byteorder


def _read_legacy(path, file, size):
    """Read the layout before PyTorch 1.6: four pickles, the keys of the storages, the storages; as `_read_zip`."""
    file.seek(0)
    beginning = [_Interpreter(path, file, size).run() for _ in range(3)]
    if beginning[:2] != [LEGACY_MAGIC, LEGACY_PROTOCOL]:
        raise Malformed("a pickle that torch.save did not write")
    interpreter = _Interpreter(path, file, size)
    value = interpreter.run()
    keys = _Interpreter(path, file, size).run()
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise Malformed("its list of storages is missing")
    places = {}
    position = file.tell()
    for key in keys:
        storage = interpreter.storages.get(key)
        if storage is None or key in places or position + 8 > size:
            raise Malformed(f"the storage {quoted(key)} is cut off, or none")
        count = int.from_bytes(take(file, position, 8), "little")
        position += 8
        if count * storage.kind.itemsize != storage.nbytes or position + storage.nbytes > size:
            raise Malformed(f"the storage {quoted(key)} is cut off, or of another size than was said")
        places[key] = (position, storage.nbytes)
        position += storage.nbytes
    return _state_dict(path, value), places, "little"  # whatever the machine that wrote it was


def _state_dict(path, value):
    """Return the dict of tensors in what a pickle described, at the top or one level below."""
    if not isinstance(value, dict):
        raise CheckpointError(
            f"{path}: must hold a dict of tensors. Received: {type(value).__name__.strip('_').lower()}. "
            "Save the model's state_dict."
        )
    parts = {None: value}
    parts.update((name, part) for name, part in value.items() if isinstance(part, dict))
    distinct = {id(part): _tensors(part) for part in parts.values()}  # One dict may be recalled under many names.
    found = {name: distinct[id(part)] for name, part in parts.items() if distinct[id(part)]}
    chosen = [name for name in STATE_NAMES if name in found] or list(found)
    if len(chosen) != 1:
        names = shortened(quoted(name) if isinstance(name, str) else "the top" for name in chosen)
        raise CheckpointError(
            f"{path}: must hold one dict of tensors. Received: {names or 'none'}. Save the model's state_dict alone."
        )
    return found[chosen[0]]


def _tensors(values):
    return {name: value for name, value in values.items() if isinstance(name, str) and isinstance(value, _Tensor)}


# From tensors to arrays ------------------------------------------------------------------


def _place(storage, places):
    """Return `(offset, bytes)` of a storage in the file; a view of another lies inside that one."""
    if storage.key not in places:
        raise Malformed(f"the storage {quoted(storage.key)} is missing")
    offset, held = places[storage.key]
    start, nbytes = 0, storage.nbytes
    if storage.view is not None:
        start, nbytes = (number * storage.kind.itemsize for number in storage.view)
    if not 0 <= start <= start + nbytes <= held:
        raise Malformed(f"the storage {quoted(storage.key)} has {held} bytes, too few")
    return offset + start, nbytes


def _stored(path, name, tensor, places, byteorder):
    """Hold a tensor against its storage and make its `StoredArray`."""
    shape, dtype = tensor.shape, tensor.dtype
    offset, nbytes = _place(tensor.storage, places)
    begin = offset + tensor.start * dtype.itemsize
    held = nbytes // dtype.itemsize
    count = count_elements(shape)
    if count == 0:
        return as_stored(path, offset, shape, dtype)
    strides = [stride if size > 1 else 0 for size, stride in zip(shape, tensor.strides, strict=True)]
    extent = 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if tensor.start + extent > held:
        raise Malformed(f"{quoted(name)} reaches outside its storage")
    if count > held:
        raise CheckpointError(
            f"{path}: a tensor must have no more elements than are stored. Received: {quoted(name)}, expanded from "
            f"{held} to {count}. Save it after calling contiguous()."
        )
    dense, step = [], 1
    for size in reversed(shape):
        dense.insert(0, step if size > 1 else 0)
        step *= size
    if strides == dense:
        return as_stored(path, begin, shape, dtype, byteorder)

    def read():
        flat = read_array(path, begin, (extent,), dtype, byteorder)
        view = np.lib.stride_tricks.as_strided(flat, shape, [stride * dtype.itemsize for stride in strides])
        return np.array(view, order="C")

    return StoredArray(shape, dtype, read)

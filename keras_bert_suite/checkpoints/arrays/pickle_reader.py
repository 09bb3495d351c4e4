"""Pickles of tensors, followed by an interpreter of our own that can run no code.

A pickle is a program for Python's `pickle`, which may call whatever it likes. Here the few
instructions that tensors need are known; the names that are known stand for inert values,
and any other name refuses the file. Instructions, values held at a time and bytes are
bounded. What comes out says how a tensor lies in its storage; where the storage is in the
file is not known here, and no element is read.

Source: torch/_weights_only_unpickler.py, torch/_utils.py and Python's pickletools.
"""

import dataclasses
import pickletools
import struct
from collections.abc import Callable

import numpy as np

from keras_bert_suite.checkpoints.arrays.stored import BFLOAT16, Malformed, count_elements, quoted
from keras_bert_suite.errors import CheckpointError

__all__ = ["Interpreter", "Storage", "Tensor"]

#: A model of 1,000 tensors takes 2**17 bytes and 2**15 instructions.
MAX_PICKLE_BYTES = 2**26
MAX_INSTRUCTIONS = 2**20
MAX_STACK = 2**16

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
class Storage:
    """A run of `nbytes` in the file; which one only the layout knows. `view` is `(start, size)` in elements."""

    kind: _Kind
    key: str
    nbytes: int
    view: tuple | None


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A view of a storage; `start` and `strides` count elements of `dtype`."""

    storage: Storage
    dtype: np.dtype
    start: int
    shape: tuple
    strides: tuple


def _rebuild_tensor(storage, start, shape, strides, *rest, dtype=None):
    """Stand in for `torch._utils._rebuild_tensor` and `_rebuild_tensor_v2`."""
    if not isinstance(storage, Storage):
        raise Malformed("a tensor without a storage")
    dtype = storage.kind.dtype if dtype is None else dtype
    if dtype is None:
        raise Malformed("a tensor without a dtype")
    count_elements(shape)
    if not isinstance(strides, list | tuple) or len(strides) != len(shape):
        raise Malformed("a tensor must have as many strides as sizes")
    if any(type(number) is not int or number < 0 for number in (start, *strides)):
        raise Malformed("a tensor's start and strides must be whole numbers from 0 on")
    return Tensor(storage, dtype, start, tuple(shape), tuple(strides))


def _rebuild_tensor_v3(storage, start, shape, strides, requires_grad, hooks, kind, *rest):
    """Stand in for the function that rebuilds dtypes without a storage type of their own."""
    if not isinstance(kind, _Kind) or kind.dtype is None:
        raise Malformed("a tensor without a dtype")
    return _rebuild_tensor(storage, start, shape, strides, dtype=kind.dtype)


def _rebuild_parameter(tensor, *rest):
    if not isinstance(tensor, Tensor):
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


class Interpreter:
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
        storage = Storage(kind, key, count * kind.itemsize, view)
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
    "LONG1": Interpreter.read_long,
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
    "APPEND": Interpreter.append,
    "APPENDS": lambda self: (lambda values: self.top(list).extend(values))(self.pop_marked()),
    "SETITEM": Interpreter.set_item,
    "SETITEMS": lambda self: self.set_items(self.pop_marked()),
    "BINGET": lambda self: self.get(self.read_number(1)),
    "LONG_BINGET": lambda self: self.get(self.read_number(4)),
    "BINPUT": lambda self: self.put(self.read_number(1)),
    "LONG_BINPUT": lambda self: self.put(self.read_number(4)),
    "MEMOIZE": lambda self: self.put(len(self.memo)),
    "GLOBAL": lambda self: self.find(self.read_line(), self.read_line()),
    "INST": lambda self: self.find(self.read_line(), self.read_line()),
    "STACK_GLOBAL": Interpreter.find_on_stack,
    "REDUCE": Interpreter.reduce,
    "BUILD": Interpreter.build,
    "BINPERSID": Interpreter.persistent,
}
INSTRUCTIONS = {
    operation.code.encode("latin-1"): _BY_NAME[operation.name]
    for operation in pickletools.opcodes
    if operation.name in _BY_NAME
}

"""Files of `torch.save`, read without PyTorch and without running anything that is in them.

Both layouts are read, the zip of PyTorch 1.6 and the one before it; the pickle in either is
followed in `pickle_reader.py`. The dict of tensors may be at the top or one level below.
Nothing is written: save as safetensors.

Source: torch/serialization.py.
"""

from pathlib import Path

import numpy as np

from keras_bert_suite.checkpoints.arrays.pickle_reader import Interpreter, Tensor
from keras_bert_suite.checkpoints.arrays.stored import (
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
from keras_bert_suite.checkpoints.arrays.torch_zip import zip_entries
from keras_bert_suite.errors import CheckpointError, shortened

__all__ = ["read_torch"]

WEIGHTS_FILE = "pytorch_model.bin"

#: Where weights lie in a dict that holds more than weights.
STATE_NAMES = ("state_dict", "model_state_dict", "model")

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


# The two layouts -------------------------------------------------------------------------


def _read_zip(path, file, size):
    """Read the layout since PyTorch 1.6; returns `(dict of Tensor, dict of where each storage is, byte order)`."""
    entries, unread = zip_entries(file, size)
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
    value = Interpreter(path, file, offset + count).run()
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
    beginning = [Interpreter(path, file, size).run() for _ in range(3)]
    if beginning[:2] != [LEGACY_MAGIC, LEGACY_PROTOCOL]:
        raise Malformed("a pickle that torch.save did not write")
    interpreter = Interpreter(path, file, size)
    value = interpreter.run()
    keys = Interpreter(path, file, size).run()
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
    return {name: value for name, value in values.items() if isinstance(name, str) and isinstance(value, Tensor)}


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

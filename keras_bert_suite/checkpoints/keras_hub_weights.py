"""Weight files of Keras (`*.weights.h5`, whole or in shards): looked into with care, written array by array.

HDF5 is a file system in a file: it has links to other files, virtual arrays,
filters and types of any make. Keras writes none of these, so none is accepted.
h5py only tells where in the file an array lies; its bytes are read as those of
every other format are, which no filter and no plug-in has a part in.
"""

from pathlib import Path

import numpy as np

from keras_bert_suite.checkpoints.arrays.stored import (
    BFLOAT16,
    MAX_JSON_BYTES,
    Malformed,
    StoredArray,
    as_stored,
    count_elements,
    file_size,
    opened,
    parse_json,
    quoted,
    take,
)
from keras_bert_suite.errors import CheckpointError

__all__ = ["read_weights", "write_weights"]

#: What Keras keeps beside the weights of a model that was compiled.
STATE = "optimizer"

#: The folder that Keras 2.13 had in the place of `layers`, as later versions still read it.
OLD_FOLDER = "_layer_checkpoint_dependencies/"
FOLDER = "layers/"

#: What h5py raises for a file with a fault.
FAULTS = (OSError, RuntimeError, SystemError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError)


def read_weights(directory, name):
    """Read a file of weights, or the shards that its index names.

    Args:
        directory: str or path.
        name: str, e.g. `"model.weights.h5"`; the index is then `model.weights.json`.
    Returns:
        dict from str, e.g. `"layers/dense/vars/0"`, to `StoredArray`.
    Raises:
        CheckpointError: if a file is missing, damaged, or holds what Keras does not write.
    """
    directory = Path(directory)
    index = directory / f"{name.removesuffix('.h5')}.json"
    if (directory / name).exists() or not index.exists():
        return _read_file(directory / name)
    with opened(index) as file:
        shards = _shards(file)
    arrays = {}
    for shard in shards:
        found = _read_file(directory / shard)
        twice = sorted(arrays.keys() & found.keys())
        if twice:
            raise CheckpointError(f"{index}: two shards hold {quoted(twice[0])}. Download the checkpoint again.")
        arrays.update(found)
    return arrays


def _shards(file):
    """The names of the files that an index names, each once."""
    size = file_size(file)
    if size > MAX_JSON_BYTES:
        raise Malformed(f"an index of more than {MAX_JSON_BYTES} bytes")
    weight_map = parse_json(take(file, 0, size)).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise Malformed("weight_map must map weights to files")
    names = [name for value in weight_map.values() for name in (value if isinstance(value, list) else [value])]
    for name in names:
        # A file beside the index, and nothing else: no folder, no drive, no way up.
        if not isinstance(name, str) or not name.endswith(".h5") or any(sign in name for sign in "/\\:\0"):
            raise Malformed(f"weights are said to be in {quoted(name)}, which is no name of a file of weights")
    return list(dict.fromkeys(names))


def _read_file(path):
    import h5py

    with opened(path) as file:
        size = file_size(file)
        try:
            with h5py.File(file, "r") as content:
                return _arrays(path, content, size)
        except FAULTS as error:
            raise Malformed("not a sound HDF5 file") from error


def _arrays(path, content, size):
    """Make the `StoredArray` of every array in an open HDF5 file of `size` bytes."""
    import h5py

    links = []
    # Visits every group once, whatever circles the links make, and follows none out of the file.
    content.id.links.visit(lambda name, link: links.append((name, link.type)), info=True)
    arrays, total = {}, 0
    for name, kind in links:
        name = name.decode()
        if kind != h5py.h5l.TYPE_HARD:
            raise Malformed(f"{quoted(name)} is a link to elsewhere")
        item = None if name.partition("/")[0] == STATE else content[name]
        if item is None or isinstance(item, h5py.Group):
            continue
        if name.startswith(OLD_FOLDER):
            name = name.replace(OLD_FOLDER, FOLDER, 1)
        if not isinstance(item, h5py.Dataset):
            raise Malformed(f"{quoted(name)} is no array")
        arrays[name] = _stored(path, name, item, size)
        total += arrays[name].nbytes
        if total > size:
            raise Malformed("its arrays are larger than the file")
    return arrays


def _stored(path, name, item, size):
    """Check one array, which must be a plain block of floats, and make its `StoredArray`."""
    import h5py

    dtype, byteorder = _dtype(item)
    if dtype is None:
        raise Malformed(f"{quoted(name)} is not made of floats")
    offset, needed = item.id.get_offset(), count_elements(item.shape) * dtype.itemsize
    creation = item.id.get_create_plist()
    plain = creation.get_layout() == h5py.h5d.CONTIGUOUS and not creation.get_external_count()
    if not plain or creation.get_nfilters() or offset is None or item.id.get_storage_size() != needed:
        raise Malformed(f"{quoted(name)} is compressed, in pieces or outside of the file")
    if not 0 <= offset <= size - needed:
        raise Malformed(f"{quoted(name)} ends after the file does")
    return as_stored(path, offset, item.shape, dtype, byteorder)


def _dtype(item):
    """Return the NumPy dtype of an HDF5 array and its byte order, or `(None, None)` unless it is made of floats."""
    from h5py import h5t

    kind = item.id.get_type()
    # HDF5 as Keras writes it has no bfloat16: opaque pairs of bytes, and a note.
    if kind.get_class() == h5t.OPAQUE:
        note = item.attrs.get("dtype")
        is_bfloat16 = kind.get_size() == 2 and isinstance(note, str) and note == "bfloat16"
        return (BFLOAT16, "little") if is_bfloat16 else (None, None)
    for bits in (16, 32, 64):
        for ending, byteorder in (("LE", "little"), ("BE", "big")):
            if kind.equal(getattr(h5t, f"IEEE_F{bits}{ending}")):
                return np.dtype(f"float{bits}"), byteorder
    return None, None


def write_weights(path, arrays):
    """Write a file of weights that Keras opens.

    Args:
        path: path of the new file.
        arrays: mapping from str, e.g. `"layers/dense/vars/0"`, to NumPy array or
            `StoredArray`; each is read as it is written, so that no two are held at once.
    """
    import h5py

    with h5py.File(path, "w") as content:
        for name, array in arrays.items():
            values = array.read() if isinstance(array, StoredArray) else array
            dataset = content.create_dataset(name, data=values)
            if values.dtype == BFLOAT16:
                dataset.attrs["dtype"] = "bfloat16"

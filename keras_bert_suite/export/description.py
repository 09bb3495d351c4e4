"""What an artifact carries beside its graph, so that it can be used as the task that it came from.

Tokenizer, labels and settings lie with an artifact as the files of the saved
task, its weights left out: of these only names, types and shapes are kept, as
the header of their safetensors file. A task is opened from them with weights
of zero, and computes with the artifact instead (`artifact`).
"""

import contextlib
import json
import struct
import tempfile
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from keras_bert_suite.errors import ArtifactError

__all__ = ["FOLDER", "describe", "described", "write_description"]

#: Where the files lie in a SavedModel (in `assets.extra`), in a `.tflite` file, and beside other files.
FOLDER = "task"
#: Files of weights that are kept whole: what a task computes beside its model.
SMALL_FILES = ("head.safetensors",)
#: Arrays that are kept although their file is not: a task's own decoding reads them.
KEPT = "crf"
HEADER, ARRAYS = "model.header.json", "model.kept.safetensors"


def describe(directory):
    """Return the files that describe a saved task.

    Args:
        directory: path, as `save_pretrained` writes it.
    Returns:
        dict from relative path, a str, to bytes.
    """
    directory, files = Path(directory), {}
    for path in sorted(directory.rglob("*")):
        if path.is_file() and (path.suffix != ".safetensors" or path.name in SMALL_FILES):
            files[path.relative_to(directory).as_posix()] = path.read_bytes()
    kept = {}
    for path in sorted(directory.glob("model*.safetensors")):
        with safe_open(path, framework="np") as stored:
            slices = {name: stored.get_slice(name) for name in stored.keys()}  # noqa: SIM118
            shapes = {name: [part.get_dtype(), part.get_shape()] for name, part in slices.items()}
            kept |= {name: stored.get_tensor(name) for name in slices if KEPT in name.replace("/", ".").split(".")}
        files[HEADER] = json.dumps({**json.loads(files.get(HEADER, b"{}")), **shapes}).encode()
    if kept:
        with tempfile.TemporaryDirectory() as folder:
            save_file(kept, Path(folder) / ARRAYS)
            files[ARRAYS] = (Path(folder) / ARRAYS).read_bytes()
    files.pop("model.safetensors.index.json", None)
    return files


def write_description(files, directory):
    """Write what `describe` returned below a directory."""
    for name, content in files.items():
        path = Path(directory) / FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@contextlib.contextmanager
def described(files, source):
    """Yield a directory that `from_pretrained` opens, with weights of zero.

    Args:
        files: dict from relative path to bytes, as `describe` returns it.
        source: path of the artifact, for the error.
    Raises:
        ArtifactError: if the description is missing or damaged.
    """
    if HEADER not in files or "config.json" not in files:
        raise ArtifactError(
            f"{source}: it does not say which task it is for. Received: an artifact without a description. Export it "
            "again, or verify it with the model that it came from."
        )
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        for name, content in files.items():
            path = (root / name).resolve()
            if not path.is_relative_to(root):
                raise ArtifactError(f"{source}: its description has a file outside of it: {name!r}. Do not use it.")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        try:
            _write_zeros(root, json.loads(files[HEADER]))
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"{source}: its description is damaged: {error}. Export it again.") from error
        yield root


def _write_zeros(root, shapes):
    """Write `model.safetensors`: the arrays that were kept, and for the rest a hole in the file."""
    widths = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1, "I8": 1, "BOOL": 1}
    header, end = {}, 0
    for name, (dtype, shape) in shapes.items():
        size = widths[dtype] * int(np.prod(shape, dtype="int64"))
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    with open(root / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(encoded)) + encoded)
        file.truncate(8 + len(encoded) + end)
        if (root / ARRAYS).is_file():
            with safe_open(root / ARRAYS, framework="np") as stored:
                for name in stored.keys():  # noqa: SIM118
                    file.seek(8 + len(encoded) + header[name]["data_offsets"][0])
                    file.write(stored.get_tensor(name).tobytes())

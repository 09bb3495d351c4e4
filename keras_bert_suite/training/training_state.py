"""The state of a training as one safetensors file: every variable, and values as JSON.

A file takes its name only when it is whole, and carries a checksum of its
content, so that what a crash or a bad disk left behind is told from a state.
"""

import hashlib
import json
import logging
import os
import re
import shutil
from pathlib import Path

import ml_dtypes  # noqa: F401  (names such as "bfloat16" for np.dtype)
import numpy as np
import safetensors.numpy
from safetensors import SafetensorError, safe_open

from keras_bert_suite.errors import CheckpointError, shortened
from keras_bert_suite.files import replaced_file

__all__ = [
    "assign_variables",
    "check_variables",
    "find_state",
    "keep_newest",
    "load_state",
    "named_variables",
    "save_state",
    "state_path",
]

logger = logging.getLogger(__name__)

VERSION = 1


def named_variables(model):
    """Return all that `model` trains, and trains with, as dict from name to `keras.Variable`.

    Weights, states of seed generators, the optimizer's variables and those of
    the metrics. All of them must have been built.
    """
    groups = {"model": model.variables, "optimizer": model.optimizer.variables, "metrics": model.metrics_variables}
    named, seen = {}, set()
    for group, variables in groups.items():
        for number, variable in enumerate(variables):
            if id(variable) not in seen:
                seen.add(id(variable))
                named[f"{group}/{number:05}/{variable.path}"] = variable
    return named


def _kinds(variables):
    """What must be equal in two runs: names, without the numbers that Keras gives to a name used again, and shapes."""
    return {f"{re.sub(r'_[0-9]+(?=[_/]|$)', '', name)} {tuple(value.shape)}" for name, value in variables.items()}


def check_variables(arrays, variables):
    """Raise `ValueError`, naming some, unless the arrays of a state are those of `variables`.

    Args:
        arrays: dict from name to array. What is there besides variables is passed over.
        variables: dict from `named_variables`.
    """
    groups = ("model/", "optimizer/", "metrics/")
    saved = _kinds({name: array for name, array in arrays.items() if name.startswith(groups)})
    needed = _kinds(variables)
    if saved != needed:
        raise ValueError(
            f"it is of another model, optimizer or metrics. Only in the state: "
            f"{shortened(sorted(saved - needed), 3) or 'nothing'}. "
            f"Only in this training: {shortened(sorted(needed - saved), 3) or 'nothing'}"
        )


def _place(name):
    """The part of a name that is the same in every run: group and number."""
    return tuple(name.split("/", 2)[:2])


def assign_variables(arrays, variables, group=""):
    """Assign the arrays of a state to those of `variables` whose name begins with `group`."""
    by_place = {_place(name): array for name, array in arrays.items()}
    for name, variable in variables.items():
        if name.startswith(group):
            variable.assign(by_place[_place(name)])


def state_path(directory, batches):
    """The file of the state after so many batches of the whole training."""
    return Path(directory) / f"step-{batches:08}.safetensors"


def _checksum(arrays, text):
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.reshape(-1).view("uint8"))
    return digest.hexdigest()


def save_state(path, arrays, values):
    """Write a state; it is on the disk when this returns.

    Args:
        path: str or path.
        arrays: dict from name to array.
        values: JSON object.
    """
    stored, dtypes = {}, {}
    for name, array in arrays.items():
        array = np.array(array, order="C", copy=None)
        if array.dtype.kind == "V":  # of ml_dtypes, e.g. bfloat16
            dtypes[name] = array.dtype.name
            array = array.view(f"uint{8 * array.dtype.itemsize}")
        stored[name] = array
    text = json.dumps({"version": VERSION, "dtypes": dtypes, "values": values}, default=_plain)
    metadata = {"state": text, "sha256": _checksum(stored, text)}
    with replaced_file(path, "wb") as file:
        try:
            safetensors.numpy.save_file(stored, file.name, metadata=metadata)
        except SafetensorError as error:
            raise OSError(f"cannot write {path}: {error}. Free some space, or choose another directory.") from error
        _put_on_disk(file.name)
    if os.name == "posix":
        _put_on_disk(Path(path).parent)


def _plain(value):
    """A number or array of NumPy, as logs may have it, for JSON."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"{value!r} cannot be saved: it is {type(value).__name__}, neither JSON nor a NumPy array")


def _put_on_disk(path):
    descriptor = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def load_state(path):
    """Read what `save_state` wrote.

    Args:
        path: str or path.
    Returns:
        tuple: dict from name to array, and the JSON object.
    Raises:
        CheckpointError: if the file is damaged, cut off, or no such state.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        text = metadata["state"]
        whole = metadata["sha256"] == _checksum(arrays, text)
    except (SafetensorError, KeyError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is not a whole state of a training: {error}.") from error
    if not whole:
        raise CheckpointError(f"{path} is damaged: its checksum is not that of its content.")
    state = json.loads(text)
    if state["version"] != VERSION:
        raise CheckpointError(f"{path} is a state of version {state['version']}; this package reads {VERSION}.")
    for name, dtype in state["dtypes"].items():
        arrays[name] = arrays[name].view(np.dtype(dtype))
    return arrays, state["values"]


def _state_files(directory):
    return sorted(path for path in Path(directory).glob("step-*.safetensors") if re.fullmatch(r"step-\d+", path.stem))


def find_state(directory, peers=()):
    """Load the newest state of `directory` that is whole, with a warning for each newer one that is not.

    Args:
        directory: str or path.
        peers: sequence of paths. Directories that must have a whole state of the same place in the training.
    Returns:
        optional tuple: path, arrays, values.
    """
    for partial in Path(directory).glob(".step-*.partial"):  # a save that was killed
        shutil.rmtree(partial, ignore_errors=True)
    files = _state_files(directory)
    for path in reversed(files):
        others = [Path(peer) / path.name for peer in peers]
        if not all(other.is_file() for other in others):
            continue
        try:
            places = [_place_of(load_state(other)[1]) for other in others]
            arrays, values = load_state(path)
        except CheckpointError as error:
            logger.warning("%s The state before it is used, if there is one.", error)
            continue
        if all(place == _place_of(values) for place in places):
            return path, arrays, values
    if files and peers:
        logger.warning(
            "training begins anew: of the states in %s, none is whole in %s too. All processes must be able to read "
            "them.",
            directory,
            ", ".join(map(str, peers)),
        )
    return None


def _place_of(values):
    """Where a training is: two states of one batch may be of before and after the validation that follows it."""
    return [values.get(name) for name in ("epoch", "step", "stopped")]


def keep_newest(path, count):
    """Remove the states older than the `count` newest up to `path`, and those beyond it, which were damaged."""
    files = _state_files(Path(path).parent)
    kept = [file for file in files if file <= Path(path)][-count:]
    for file in files:
        if file not in kept:
            file.unlink(missing_ok=True)

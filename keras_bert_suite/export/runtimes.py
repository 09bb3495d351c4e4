"""Opening any artifact in its own runtime. Imports that runtime alone, and neither Keras nor a backend."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from keras_bert_suite.errors import ArtifactError
from keras_bert_suite.export.formats import SPECIFICATIONS

__all__ = ["Runtime", "find_artifact", "find_artifacts", "open_runtime", "packed_files", "size_of"]


class Runtime(NamedTuple):
    """An artifact that is open.

    Args:
        run_ids: function from a dict of int32 arrays `(B, T)`, or `(B, C, T)` for
            multiple choice, to a dict of arrays, as `build_served_model` names them.
        run_text: optional function from a dict of lists of str to a dict of
            arrays, where the artifact takes strings.
        max_length: optional int. The most tokens that it takes, where its shapes are fixed.
    """

    run_ids: Callable
    run_text: Callable | None = None
    max_length: int | None = None


def find_artifact(path):
    """Return the artifact that a path is, or the only one right below it, or `None`.

    Args:
        path: str or path.
    Returns:
        `pathlib.Path` of a SavedModel's directory, which may lie in a bundle
        for TF Serving, or of a `.tflite`, `.onnx` or `.xml` file.
    """
    path = Path(path)
    if path.is_file():
        return path if path.suffix in (".tflite", ".onnx", ".xml") else None
    if (path / "saved_model.pb").is_file():
        return path
    bundled = sorted(path.glob("models/*/*/saved_model.pb"))
    if len(bundled) == 1:
        return bundled[0].parent
    found = [path / f"model{suffix}" for suffix in (".tflite", ".onnx", ".xml") if (path / f"model{suffix}").is_file()]
    return found[0] if len(found) == 1 and not (path / "config.json").exists() else None


def find_artifacts(path):
    """Return the artifacts of an export: dict from format to path.

    Args:
        path: str or path: a directory as `export_task` wrote it, or one artifact.
    Raises:
        ArtifactError: if there is none.
    """
    path = Path(path)
    paths = {name: find_artifact(path / specification.file) for name, specification in SPECIFICATIONS.items()}
    paths = {name: found for name, found in paths.items() if found is not None}
    if paths:
        return paths
    found = find_artifact(path)
    if found is None:
        places = ", ".join(specification.file for specification in SPECIFICATIONS.values())
        raise ArtifactError(f"{path}: holds no artifact ({places}). Give the output directory of an export.")
    return {_format_of(found): found}


def _format_of(path):
    """Return the format that a file is most like: its runtime decides how it is run, its weights how exact it is."""
    if path.is_dir():
        return "saved_model"
    kind = {".tflite": "litert", ".onnx": "onnx", ".xml": "openvino"}[path.suffix]
    return path.parent.name if path.parent.name in SPECIFICATIONS and path.parent.name.startswith(kind) else kind


def open_runtime(path, num_threads=None):
    """Open an artifact.

    Args:
        path: path, as `find_artifact` returns it.
        num_threads: optional int. Defaults to what the runtime chooses.
    Raises:
        ArtifactError: if the file is damaged.
        ImportError: if its runtime is not installed.
    """
    path = Path(path)
    if path.is_dir():
        from keras_bert_suite.export.run_saved_model import load_saved_model

        return Runtime(*load_saved_model(path, num_threads))
    if path.suffix == ".tflite":
        from keras_bert_suite.export.run_litert import load_litert, read_lengths

        return Runtime(_by_rows(load_litert(path, num_threads)), None, max(read_lengths(path)))
    if path.suffix == ".onnx":
        from keras_bert_suite.export.run_onnx import load_onnx

        return Runtime(load_onnx(path, num_threads))
    if path.suffix == ".xml":
        from keras_bert_suite.export.run_openvino import load_openvino

        return Runtime(load_openvino(path, num_threads))
    raise ArtifactError(f"{path}: not an artifact. Give a SavedModel, or a .tflite, .onnx or .xml file.")


def packed_files(path):
    """Return the files that an artifact carries: dict from relative path to bytes."""
    path = Path(path)
    if path.suffix == ".tflite":
        from keras_bert_suite.export.run_litert import read_files

        return read_files(path)
    root = path / "assets.extra" if path.is_dir() else path.parent
    below = root if path.is_dir() else root / "task"
    files = [file for file in below.rglob("*") if file.is_file()]
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in files}


def size_of(path):
    """Return the bytes of an artifact: of a directory all, of a file also those of its weights beside it."""
    path = Path(path)
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    beside = [path.with_suffix(".bin"), path.with_name(f"{path.name}.data")]
    return sum(file.stat().st_size for file in (path, *beside) if file.is_file())


def _by_rows(run):
    """Let a function of rows take the choices of multiple choice too, each of them a row."""

    def run_any(arrays):
        shape = arrays["token_ids"].shape
        if len(shape) == 2:
            return run(arrays)
        rows = run({name: array.reshape(-1, shape[-1]) for name, array in arrays.items()})
        return {name: output.reshape(shape[:2]) for name, output in rows.items()}

    return run_any

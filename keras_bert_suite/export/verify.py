"""Running artifacts in their own runtimes and comparing them with the Keras model."""

import contextlib
import json
import tempfile
from pathlib import Path

from keras_bert_suite.errors import ArtifactError
from keras_bert_suite.export.formats import SPECIFICATIONS, check_available
from keras_bert_suite.export.litert_file import read_length
from keras_bert_suite.export.process import run_worker
from keras_bert_suite.export.reference import check_examples, check_task, encode_examples, float32_task
from keras_bert_suite.export.report import Report

__all__ = ["REPORT_FILE", "compare", "verify_artifacts"]

REPORT_FILE = "report.json"


def verify_artifacts(directory, task, texts=None, pairs=None, labels=None, max_length=None, progress=True):
    """Run every artifact of a directory and compare its probabilities with Keras'.

    LiteRT files have a fixed length: they are compared with Keras at theirs.

    Args:
        directory: str or path, as `export_task` wrote it.
        task: the `TextClassifier` that it was exported from.
        texts: optional list of str. Defaults to built-in texts that are hard on
            tokenizers and runtimes.
        pairs: optional list of str, the second texts.
        labels: optional list of label names or indices; adds accuracy.
        max_length: optional int, in tokens. Defaults to what the export used.
        progress: bool. Whether to print a line per step on standard error.
    Returns:
        `Report`. A difference beyond tolerance is reported, not raised.
    Raises:
        ArtifactError: if there is no artifact, or the worker fails.
        ImportError: if a runtime is not installed.
    """
    directory = Path(directory)
    formats = [name for name, specification in SPECIFICATIONS.items() if (directory / specification.file).exists()]
    if not formats:
        places = ", ".join(specification.file for specification in SPECIFICATIONS.values())
        raise ArtifactError(f"{directory}: holds no artifact ({places}). Give the output directory of an export.")
    check_available(formats, runtimes_only=True)
    litert = [name for name in formats if name.startswith("litert")]
    lengths = {read_length(directory / SPECIFICATIONS[name].file) for name in litert}
    if len(lengths) > 1:
        raise ArtifactError(
            f"{directory}: the LiteRT files must have one length. Received: {sorted(lengths)}. Verify them apart."
        )
    max_length = max_length or _exported_length(directory) or task.max_length
    check_task(task)
    examples = check_examples(task, texts, pairs, labels)
    litert_length = max(lengths, default=None)
    with tempfile.TemporaryDirectory() as workspace, float32_task(task) as reference:
        return compare(reference, directory, formats, examples, max_length, litert_length, workspace, progress)


def compare(task, output, formats, examples, max_length, litert_length, workspace, progress, rebuild=None):
    """Compare artifacts with a float32 task in a worker, which writes them first where told to.

    Args:
        task: the float32 task.
        output: path of the directory of the artifacts.
        formats: sequence of str.
        examples: what `check_examples` returns.
        max_length, litert_length: int, in tokens; `litert_length` may be None.
        workspace: path of a directory for temporary files.
        progress: bool.
        rebuild: optional path where the task is saved, to be written from.
    Returns:
        `Report`.
    """
    import keras
    import numpy as np

    texts, pairs, targets = examples
    encoded = {"full": encode_examples(task, texts, pairs, max_length)}
    if litert_length is not None:
        encoded["litert"] = encode_examples(task, texts, pairs, litert_length)
    kind = type(task)
    job = {
        "task": rebuild and {"module": kind.__module__, "name": kind.__qualname__, "directory": str(rebuild)},
        "output": str(output),
        "formats": list(formats),
        "max_length": max_length,
        "litert_length": litert_length,
        "texts": texts,
        "pairs": pairs,
        "targets": targets,
    }
    arrays = {f"{length}/{name}": array for length, found in encoded.items() for name, array in found.items()}
    result = run_worker(job, arrays, workspace, progress)
    accuracy = None
    if targets is not None:
        accuracy = float((encoded["full"]["probabilities"].argmax(axis=-1) == np.array(targets)).mean())
    reference = {
        "backend": keras.backend.backend(),
        "texts": len(texts),
        "max_length": max_length,
        "litert_length": litert_length,
        "accuracy": accuracy,
    }
    return Report(result["rows"], reference, result["notes"])


def _exported_length(directory):
    """The length that the report of an export names, or `None`."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return int(json.loads((directory / REPORT_FILE).read_text(encoding="utf-8"))["reference"]["max_length"])
    return None

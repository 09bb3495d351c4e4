"""`export_task`: a trained task in, a directory of checked artifacts out, or nothing at all."""

import errno
import math
import shutil
import tempfile
from pathlib import Path

from keras_bert_suite.errors import ArtifactError, check_positive_int
from keras_bert_suite.export.formats import check_available, check_formats
from keras_bert_suite.export.reference import check_examples, check_task, float32_task
from keras_bert_suite.export.verify import REPORT_FILE, compare
from keras_bert_suite.files import replaced_directory

__all__ = ["export_task"]

#: LiteRT computes every row in full, so that its default length is a phone's, not the encoder's.
LITERT_LENGTH = 128
#: Bytes for what is not weights: vocabularies, graphs, the examples.
TABLES = 10 * 2**20


def export_task(
    task,
    directory,
    formats=("saved_model", "litert", "onnx"),
    *,
    max_length=None,
    litert_length=None,
    texts=None,
    pairs=None,
    labels=None,
    overwrite=False,
    progress=True,
):
    """Write artifacts of a trained task, run each in its own runtime, and compare it with Keras.

    Writes `saved_model/`, `litert/model.tflite`, `litert-int8/model.tflite` and
    `onnx/model.onnx`, as asked, with `report.json` and `report.txt`. They appear
    together, when every one is whole and within its tolerance.

    Args:
        task: `TextClassifier` with labels.
        directory: str or path. Must be absent or empty unless `overwrite`.
        formats: sequence of str out of `FORMATS`.
        max_length: optional int. Tokens at which texts are cut. Defaults to the task's.
        litert_length: optional int. The fixed length of the LiteRT files, in
            tokens. Defaults to `max_length`, at most 128.
        texts, pairs, labels: as in `verify_artifacts`.
        overwrite: bool. Whether a directory already there may be replaced.
        progress: bool. Whether to print a line per step on standard error.
    Returns:
        `Report`.
    Raises:
        ValueError: if a format or a length is impossible.
        ImportError: if something that a format needs is not installed.
        FileExistsError: if the directory holds anything and `overwrite` is false.
        OSError: if the directory cannot be written, or its disk is too small.
        ArtifactError: if a format cannot be written, or differs from Keras by
            more than its tolerance; nothing is left then.
    Example:
        classifier.export("out/export", formats=["saved_model", "litert", "onnx"])
    """
    directory = Path(directory)
    check_task(task)
    formats = check_formats(formats)
    check_available(formats)
    examples = check_examples(task, texts, pairs, labels)
    max_length = _checked_length(task, "max_length", max_length or task.max_length)
    litert_length = _checked_length(task, "litert_length", litert_length or min(max_length, LITERT_LENGTH))
    if not any(name.startswith("litert") for name in formats):
        litert_length = None
    with (
        replaced_directory(directory, overwrite) as written,
        # Beside the output, where there must be room for its weights anyway.
        tempfile.TemporaryDirectory(prefix=f".{directory.name}.", suffix=".partial", dir=directory.parent) as workspace,
    ):
        saved = Path(workspace) / "task"
        _check_space(task, directory, formats)
        task.save_pretrained(saved)
        with float32_task(task, saved) as reference:
            report = compare(
                reference, written, formats, examples, max_length, litert_length, workspace, progress, rebuild=saved
            )
        failed = [row for row in report.rows if not row["passed"]]
        if failed:
            raise ArtifactError(f"{'; '.join(map(_failure, failed))}. Nothing was written to {directory}.")
        (written / REPORT_FILE).write_text(report.to_json() + "\n", encoding="utf-8")
        (written / "report.txt").write_text(report.table() + "\n", encoding="utf-8")
    return report


def _checked_length(task, name, length):
    from keras_bert_suite.models import encoder_config

    check_positive_int("export", **{name: length})
    longest = encoder_config(task.encoder).max_length
    shortest = task.tokenizer.frame.size(True) + 1
    if not shortest <= length <= longest:
        raise ValueError(
            f"export: {name} must be from {shortest} to {longest}, the encoder's longest sequence. "
            f"Received: {name}={length}."
        )
    return length


def _check_space(task, directory, formats):
    """Raise `OSError` where the disk is plainly too small; some writers leave a damaged file without a word."""
    weights = 4 * sum(math.prod(weight.shape) for weight in task.model.weights)
    shares = {"litert-int8": 0.25}  # of the weights; the model is also saved once to be written from
    copies = 1 + sum(shares.get(name, 1) for name in formats)
    if any(name.startswith("litert") for name in formats):
        copies += 2  # TensorFlow's converter keeps temporary ones
    needed = copies * weights + TABLES
    free = shutil.disk_usage(directory.parent).free
    if free < needed:
        raise OSError(
            errno.ENOSPC,
            f"cannot write {directory}: about {needed / 1e6:.0f} MB are needed there, {free / 1e6:.0f} MB are free. "
            "Free space, or choose another output path",
        )


def _failure(row):
    if row.get("error"):
        return f"{row['format']}: cannot be run: {row['error']}"
    if row["max_difference"] is None:
        return f"{row['format']}: gives numbers that are not finite for {row['input']} input"
    return (
        f"{row['format']}: probabilities must be within {row['tolerance']:g} of Keras' on {row['input']} input. "
        f"Received: a difference of {row['max_difference']:.2g}"
    )

"""`export_task`: a trained task in, a directory of checked artifacts out, or nothing at all."""

import dataclasses
import math
import re
import tempfile
from pathlib import Path

from keras_bert_suite.errors import ArtifactError, check_positive_int
from keras_bert_suite.export.examples import encode_rows, given_rows, shortened
from keras_bert_suite.export.formats import SPECIFICATIONS, check_available, check_formats
from keras_bert_suite.export.process import run_worker
from keras_bert_suite.export.reference import float32_task
from keras_bert_suite.export.runtimes import find_artifact
from keras_bert_suite.export.served_model import build_served_model
from keras_bert_suite.export.verify import REPORT_FILE, compare
from keras_bert_suite.files import check_free, replaced_directory

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
    calibration=None,
    model_name="model",
    version=1,
    examples=None,
    labels=None,
    pairs=None,
    columns=None,
    overwrite=False,
    progress=True,
):
    """Write artifacts of a trained task, run each in its own runtime, and compare it with Keras.

    Each format has a folder of its name in the directory, with `report.json`,
    `report.txt` and `report.svg` beside them. All appear together, when every one is whole
    and within its tolerance.

    Args:
        task: a task of `keras_bert_suite.tasks` with a trained head.
        directory: str or path. Must be absent or empty unless `overwrite`.
        formats: sequence of str out of `FORMATS`.
        max_length: optional int. Tokens at which texts are cut, or parted.
            Defaults to the task's.
        litert_length: optional int, or sequence of int. The fixed lengths of the
            LiteRT files, in tokens; of several, each is a signature of its own.
            Defaults to `max_length`, at most 128.
        calibration: optional path of a file, or examples as `task.predict` takes
            them: typical texts, from which formats with whole-number activations
            learn their ranges. Defaults to `examples`.
        model_name: str. What TF Serving is to call the model.
        version: int, from 1. Which version of it a bundle for TF Serving holds.
        examples, labels, pairs, columns: what to compare on; `x`, `y`, `pairs`
            and `columns` of `verify_artifacts`.
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
    formats = check_formats(formats)
    check_available(formats)
    check_positive_int("export", version=version)
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", model_name):
        raise ValueError(
            "export: model_name must be letters, digits, '_', '-' and '.', as it is part of URLs. "
            f"Received: model_name={model_name!r}."
        )
    build_served_model(task)  # says what cannot be exported before any work is done
    max_length = task.max_length if max_length is None else max_length
    task_at = shortened(task, "max_length", max_length)
    lengths = _litert_lengths(task, formats, litert_length, max_length)
    given = (examples, labels, pairs, columns)
    arrays = {}
    if any(SPECIFICATIONS[name].calibrated for name in formats):
        typical = given_rows(task, examples if calibration is None else calibration, pairs, columns)
        arrays = {f"calibration/{name}": array for name, array in encode_rows(task_at, typical).items()}
    check_free(directory, overwrite, room=_room(task, formats))
    with (
        replaced_directory(directory, overwrite) as written,
        # Beside the output, where there must be room for its weights anyway.
        tempfile.TemporaryDirectory(prefix=f".{directory.name}.", suffix=".partial", dir=directory.parent) as workspace,
    ):
        saved = Path(workspace) / "task"
        task_at.save_pretrained(saved)
        kind = type(task)
        job = {
            "task": {"module": kind.__module__, "name": kind.__qualname__, "directory": str(saved)},
            "output": str(written),
            "formats": list(formats),
            "max_length": max_length,
            "litert_lengths": lengths,
            "model_name": model_name,
            "version": version,
        }
        notes = run_worker(job, arrays, workspace, progress)["notes"]
        paths = {name: find_artifact(written / SPECIFICATIONS[name].file) for name in formats}
        with float32_task(task_at, saved) as reference:
            report = compare(reference, paths, given, max_length, progress=progress)
        rows = [{**row, "file": SPECIFICATIONS[row["format"]].file} for row in report.rows]
        report = dataclasses.replace(report, rows=rows, notes=notes)
        failed = [row for row in report.rows if not row["passed"]]
        if failed:
            raise ArtifactError(f"{'; '.join(map(_failure, failed))}. Nothing was written to {directory}.")
        (written / REPORT_FILE).write_text(report.to_json() + "\n", encoding="utf-8")
        report.write_plot(written / "report.svg")
        (written / "report.txt").write_text(report.table() + "\n", encoding="utf-8")
    return report


def _litert_lengths(task, formats, litert_length, max_length):
    """Return the lengths of the LiteRT files, ascending."""
    if not any(name.startswith("litert") for name in formats):
        return []
    chosen = min(max_length, LITERT_LENGTH) if litert_length is None else litert_length
    lengths = sorted({chosen} if isinstance(chosen, int) else set(chosen))
    for length in lengths:
        shortened(task, "litert_length", length)
    return lengths


def _room(task, formats):
    """Return about how many bytes an export takes on the disk; some writers leave a damaged file without a word."""
    weights = 4 * sum(math.prod(weight.shape) for weight in task.model.weights)
    copies = 1 + sum(SPECIFICATIONS[name].size for name in formats)  # the model is also saved once to be written from
    if any(name.startswith("litert") for name in formats):
        copies += 2  # TensorFlow's converter keeps temporary ones
    return int(copies * weights) + TABLES


def _failure(row):
    if row.get("error"):
        return f"{row['format']}: cannot be run: {row['error']}"
    if row["max_difference"] is None:
        return f"{row['format']}: gives numbers that are not finite for {row['input']} input"
    return (
        f"{row['format']}: probabilities must be within {row['tolerance']:g} of Keras' on {row['input']} input. "
        f"Received: a difference of {row['max_difference']:.2g}"
    )

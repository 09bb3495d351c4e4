"""Comparing artifacts with the Keras model: each runs in a process of its own, Keras in this one."""

import contextlib
import json
import time
from pathlib import Path

from keras_bert_suite.errors import ArtifactError
from keras_bert_suite.export.artifact import artifact_task
from keras_bert_suite.export.description import FOLDER
from keras_bert_suite.export.examples import encode_rows, given_rows, shortened
from keras_bert_suite.export.formats import SPECIFICATIONS, check_available
from keras_bert_suite.export.measure import measure_ids, measure_text
from keras_bert_suite.export.process import Progress, explain
from keras_bert_suite.export.reference import ReferenceOutputs, float32_task, full_precision
from keras_bert_suite.export.report import Report
from keras_bert_suite.export.runner import ArtifactProcess
from keras_bert_suite.export.runtimes import find_artifacts, packed_files, size_of

__all__ = ["REPORT_FILE", "compare", "verify_artifacts"]

REPORT_FILE = "report.json"


def verify_artifacts(
    artifacts, task, x=None, y=None, *, pairs=None, columns=None, max_length=None, tolerance=None, progress=True
):
    """Run artifacts and compare their outputs with Keras'.

    LiteRT files have a fixed length: they are compared with Keras at theirs.

    Args:
        artifacts: str or path: a directory as `export_task` wrote it, or one artifact.
        task: the task that it was exported from.
        x: optional path of a file, or examples in any form that `task.predict`
            takes. Defaults to built-in ones that are hard on tokenizers and
            runtimes: long, empty, emoji, CJK.
        y: optional labels of examples that are no file. With them, or a
            labelled file, artifacts are also scored as `task.evaluate` does.
        pairs: optional list of str, the second texts.
        columns: optional dict for files, as in `data.read_examples`.
        max_length: optional int, in tokens. Defaults to what the export used.
        tolerance: optional float. The largest difference of probabilities, for
            every artifact. Defaults to 1e-4 for float32 ones, none for others.
        progress: bool. Whether to print a line per step on standard error.
    Returns:
        `Report`. A difference beyond tolerance is reported, not raised.
    Raises:
        ArtifactError: if there is no artifact.
        ImportError: if a runtime is not installed.
    """
    artifacts = Path(artifacts)
    paths = find_artifacts(artifacts)
    check_available(paths, runtimes_only=True)
    max_length = max_length or _exported_length(artifacts) or task.max_length
    with float32_task(task) as reference:
        return compare(reference, paths, (x, y, pairs, columns), max_length, tolerance, progress)


def compare(task, paths, examples, max_length, tolerance=None, progress=True):
    """Compare artifacts with a float32 task.

    Args:
        task: the float32 task.
        paths: dict from format to path.
        examples: `(x, y, pairs, columns)`, as in `verify_artifacts`.
        max_length: int, in tokens.
        tolerance: optional float, for every artifact.
        progress: bool.
    Returns:
        `Report`.
    """
    import keras

    x, y, pairs, columns = examples
    rows = given_rows(task, x, pairs, columns)
    if not rows:
        raise ValueError("verify: at least one example is needed. Received: none. Leave x out for the built-in ones.")
    keras_at = _Reference(task, rows)
    shown, found = Progress(progress), []
    scored = _scored(task, x, y, pairs, columns)
    with full_precision():
        scores = scored(shortened(task, "max_length", max_length))
    for name, path in paths.items():
        shown.show({"step": f"verifying {name}"})
        start = time.perf_counter()
        limit = tolerance if tolerance is not None else SPECIFICATIONS[name].tolerance
        row = {"format": name, "file": str(path), "size_mb": size_of(path) / 1e6, "tolerance": limit}
        try:
            _check_origin(task, path)
            with ArtifactProcess(path) as artifact:
                measured = _measure(keras_at, artifact, max_length, scored)
        except ArtifactError as error:  # an artifact that cannot run is a finding
            measured = [{"input": "ids", "error": explain(error)}]
        for one in measured:
            one["passed"] = "error" not in one and _within(one, limit)
        found += [{**row, **one} for one in measured]
        shown.show({"seconds": time.perf_counter() - start})
    reference = {
        "backend": keras.backend.backend(),
        "examples": len(rows),
        "max_length": max_length,
        "score_name": task.score_names[0] if scores else None,
        "score": scores and scores[task.score_names[0]],
        "scores": scores,
    }
    return Report(found, reference)


def _within(measured, limit):
    """Whether an artifact is as exact as it must be; answers to strings must then be the same ones, too."""
    if not measured["finite"] or (limit is not None and measured["max_difference"] > limit):
        return False
    return limit is None or measured["input"] == "ids" or measured["label_agreement"] in (None, 1.0)


def _check_origin(task, path):
    """Raise `ArtifactError` where an artifact says that it is for another task, or for other labels."""
    stored = packed_files(path).get(f"{FOLDER}/config.json")
    if stored is None:
        return
    try:
        values = json.loads(stored)
        found = values.get("keras_bert_suite", {}).get("task")
        names = {int(index): name for index, name in values.get("id2label", {}).items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path}: its config.json is damaged: {error}. Export it again.") from error
    if found not in (None, task.task):
        raise ArtifactError(f"{path}: it must come from a model for {task.task}. Received: an export for {found}.")
    labels = [names[index] for index in sorted(names)]
    own = getattr(task, "labels", None)
    if labels and own and labels != list(own):
        differing = next(
            (pair for pair in zip(labels, own, strict=False) if pair[0] != pair[1]), (len(labels), len(own))
        )
        raise ArtifactError(
            f"{path}: its labels must be those of the model. Received: {differing[0]!r} in the place of "
            f"{differing[1]!r}. Export the model again."
        )


class _Reference:
    """What Keras makes of the examples, at any length, computed once."""

    def __init__(self, task, rows):
        self.task, self.rows = task, rows
        self._found = {}

    def at(self, length):
        """Return `(task, arrays, outputs)` at a length."""
        if length not in self._found:
            task = shortened(self.task, "length", length)
            arrays = encode_rows(task, self.rows)
            self._found[length] = task, arrays, ReferenceOutputs(task, arrays)
        return self._found[length]


def _measure(keras_at, artifact, max_length, scored):
    """Return the rows of one artifact: for ids, and for strings where it takes them."""
    length = min(artifact.max_length or max_length, max_length)
    task, arrays, expected = keras_at.at(length)
    found = [measure_ids(task, artifact, arrays, expected)]
    scores = scored(artifact_task(task, artifact.run_ids))
    if scores:
        found[0].update(scores=scores, score=scores[task.score_names[0]])
    if artifact.takes_text:
        with full_precision():
            found.append(measure_text(task, artifact, keras_at.rows))
    opened = {"load_seconds": artifact.load_seconds, "peak_memory_mb": artifact.peak_memory() / 1e6, "length": length}
    return [{**one, **opened} for one in found]


def _scored(task, x, y, pairs, columns):
    """Return the function that scores a task on the examples; it returns `None` where these have no labels."""

    def none(task):
        return None

    if x is None or not hasattr(task, "evaluate") or not _labelled(task, x, y, pairs, columns):
        return none
    options = {"columns": columns} if isinstance(x, (str, Path)) else {"pairs": pairs}
    return lambda one: one.evaluate(x, y, **options)


def _labelled(task, x, y, pairs, columns):
    if y is not None:
        return True
    if not isinstance(x, (str, Path)):
        return False
    try:
        task._read(x, y, pairs, columns, require_label=True)
    except ValueError:
        return False
    return True


def _exported_length(directory):
    """The length that the report of an export names, or `None`."""
    for folder in (directory, *directory.parents[:2]):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return int(json.loads((folder / REPORT_FILE).read_text(encoding="utf-8"))["reference"]["max_length"])
    return None

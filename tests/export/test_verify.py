"""`verify_artifacts`: what it measures, and what it says of damaged artifacts."""

import copy
import json
import shutil

import numpy as np
import pytest

from keras_bert_suite.errors import ArtifactError
from keras_bert_suite.export import Report, verify_artifacts
from keras_bert_suite.export.examples import shortened
from keras_bert_suite.export.measure import _gaps, measure_ids
from keras_bert_suite.export.verify import _within
from tests.export.conftest import make_kind

pytestmark = pytest.mark.tensorflow


def test_own_texts_with_labels(task, exported, tmp_path, texts):
    directory = tmp_path / "artifacts"
    shutil.copytree(exported[0] / "onnx", directory / "onnx")
    shutil.copytree(exported[0] / "litert", directory / "litert")
    damaged = bytearray((directory / "onnx/model.onnx").read_bytes())
    (directory / "onnx/model.onnx").write_bytes(damaged[: len(damaged) // 2])
    answers = task.predict(texts)
    labels = [answers[0]["label"], answers[1]["label"], 0]
    report = verify_artifacts(directory, task, texts, labels, progress=False)
    litert, onnx = report.rows
    assert litert["passed"]
    assert litert["score"] == report.reference["score"] >= 2 / 3
    assert litert["scores"]["loss"] == pytest.approx(report.reference["scores"]["loss"], abs=1e-5)
    assert litert["latency_ms"] > 0
    assert litert["batch_latency_ms"] > litert["latency_ms"]
    assert litert["peak_memory_mb"] > 10
    assert not onnx["passed"]
    assert onnx["error"]
    assert not report.passed
    assert "FAIL" in report.table()
    report.write_plot(tmp_path / "plot.svg")
    drawn = (tmp_path / "plot.svg").read_text(encoding="utf-8")
    assert "accuracy" in drawn
    assert "litert, " in drawn


def test_a_tolerance_is_held_against_every_artifact(task, exported):
    report = verify_artifacts(exported[0] / "litert-int8", task, tolerance=1e-9, progress=False)
    assert not report.passed
    assert [row["format"] for row in report.rows] == ["litert-int8"]


def test_a_damaged_tflite_file_is_named(task, exported, tmp_path):
    (tmp_path / "litert").mkdir()
    (tmp_path / "litert/model.tflite").write_bytes(b"not a model at all")
    report = verify_artifacts(tmp_path, task, progress=False)
    assert not report.passed
    assert "model.tflite" in report.rows[0]["error"]


@pytest.mark.parametrize("name", ["onnx", "litert"])
def test_an_artifact_of_another_model_does_not_pass(task, exported, tmp_path, name):
    other = copy.copy(task)
    other.label_map = type(task.label_map)(list(reversed(task.labels)))
    report = verify_artifacts(exported[0] / name, other, progress=False)
    assert not report.passed
    assert "its labels must be those of the model" in report.rows[0]["error"]
    other = copy.copy(task)
    other.task = "relation-classification"
    report = verify_artifacts(exported[0] / name, other, progress=False)
    assert "an export for text-classification" in report.rows[0]["error"]


def test_a_reader_is_exported_with_the_windows_it_has():
    reader = make_kind("questions")
    reader.max_length, reader.stride = 32, 20
    assert shortened(reader, "max_length", 32).stride == 20
    assert shortened(reader, "max_length", 24).stride == 6


def test_a_directory_without_artifacts_is_refused(task, tmp_path):
    with pytest.raises(ArtifactError, match="holds no artifact"):
        verify_artifacts(tmp_path, task)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": []}, "At least one|at least one"),
        ({"x": ["a"], "y": ["nonsense"]}, "nonsense"),
        ({"x": ["a"], "y": [3]}, "3"),
        ({"x": ["a"], "y": [0, 1]}, "1 texts, 2 labels"),
    ],
)
def test_examples_that_do_not_fit_are_refused(task, exported, arguments, message):
    with pytest.raises(ValueError, match=message):
        verify_artifacts(exported[0], task, **arguments)


class Sums:
    """An artifact that adds up ids and lengths."""

    def __init__(self, factor=1.0):
        self.factor = factor

    def run_ids(self, arrays):
        columns = [arrays["token_ids"].sum(axis=1), arrays["padding_mask"].sum(axis=1)]
        return {"probabilities": (self.factor * np.stack(columns, axis=1)).astype("float32")}

    def time(self, kind, columns):
        return 0.001


def test_measure_keeps_the_order_and_finds_differences(task):
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 9, 21)
    mask = (np.arange(9) < lengths[:, None]).astype("int32")
    ids = rng.integers(0, 31, mask.shape).astype("int32") * mask
    arrays = {"token_ids": ids, "segment_ids": 0 * ids, "padding_mask": mask}
    values = Sums().run_ids(arrays)["probabilities"]
    values[4, 0] += 0.5
    expected = [(rows, {"probabilities": values[rows]}) for rows in np.array_split(rng.permutation(21), 4)]
    found = measure_ids(task, Sums(), arrays, expected)
    assert found["max_difference"] == 0.5
    assert found["mean_difference"] == pytest.approx(0.5 / 42)
    assert found["finite"]
    broken = measure_ids(task, Sums(np.nan), arrays, expected)
    assert not broken["finite"]
    assert broken["max_difference"] is None


def test_a_report_is_a_table_and_json():
    row = {"format": "onnx", "input": "ids", "size_mb": 1.23, "max_difference": 2e-7, "passed": True, "tolerance": 1e-4}
    report = Report([row], {"backend": "jax", "examples": 3, "score_name": "accuracy", "score": 0.5}, ["a note"])
    lines = report.table().splitlines()
    assert lines[0].split() == ["format", "input", "size", "MB", "max", "diff", "allowed", "result"]
    assert lines[2].split() == ["onnx", "ids", "1.2", "2.0e-07", "1e-04", "pass"]
    assert lines[-2:] == ["Compared with Keras on jax, 3 examples, accuracy 0.5000.", "Note: a note"]
    assert json.loads(report.to_json())["passed"] is True


def test_other_answers_to_strings_do_not_pass_whatever_their_scores():
    measured = {"finite": True, "max_difference": 0.0, "label_agreement": 0.9}
    assert _within({**measured, "input": "ids"}, 1e-4)
    assert not _within({**measured, "input": "text"}, 1e-4)
    assert _within({**measured, "input": "text"}, None)
    assert _gaps([0.5, 0.75], [0.5, 0.5]).tolist() == [0.0, 0.25]
    assert _gaps([0.5], [0.5, 0.25]).tolist() == [0.5, 0.5, 0.25]

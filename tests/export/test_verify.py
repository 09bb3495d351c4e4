"""`verify_artifacts`: what it measures, and what it says of damaged artifacts."""

import json
import shutil

import numpy as np
import pytest

from keras_bert_suite.errors import ArtifactError
from keras_bert_suite.export import Report, verify_artifacts
from keras_bert_suite.export.measure import measure

pytestmark = pytest.mark.tensorflow


def test_own_texts_with_labels(task, exported, tmp_path, texts):
    directory = tmp_path / "artifacts"
    shutil.copytree(exported[0] / "onnx", directory / "onnx")
    shutil.copytree(exported[0] / "litert", directory / "litert")
    damaged = bytearray((directory / "onnx/model.onnx").read_bytes())
    (directory / "onnx/model.onnx").write_bytes(damaged[: len(damaged) // 2])
    answers = task.predict(texts)
    report = verify_artifacts(
        directory, task, texts, labels=[answers[0]["label"], answers[1]["label"], 0], progress=False
    )
    litert, onnx = report.rows
    assert litert["passed"]
    assert litert["accuracy"] == report.reference["accuracy"] >= 2 / 3
    assert litert["latency_ms"] > 0
    assert not onnx["passed"]
    assert onnx["error"]
    assert not report.passed
    assert "FAIL" in report.table()


def test_a_damaged_tflite_file_is_named(task, exported, tmp_path):
    (tmp_path / "litert").mkdir()
    (tmp_path / "litert/model.tflite").write_bytes(b"not a model at all")
    with pytest.raises(ArtifactError, match=r"model\.tflite: not a whole"):
        verify_artifacts(tmp_path, task, progress=False)


def test_a_directory_without_artifacts_is_refused(task, tmp_path):
    with pytest.raises(ArtifactError, match="holds no artifact"):
        verify_artifacts(tmp_path, task)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"texts": []}, "must not be empty"),
        ({"texts": ["a"], "labels": ["nonsense"]}, "nonsense"),
        ({"texts": ["a"], "labels": [3]}, "3"),
        ({"texts": ["a"], "labels": [0, 1]}, "1 texts, 2 labels"),
        ({"labels": [0]}, "texts=None"),
    ],
)
def test_examples_that_do_not_fit_are_refused(task, exported, arguments, message):
    with pytest.raises(ValueError, match=message):
        verify_artifacts(exported[0], task, **arguments)


def test_measure_keeps_the_order_and_finds_differences():
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 9, 21)
    mask = (np.arange(9) < lengths[:, None]).astype("int32")
    ids = rng.integers(0, 31, mask.shape).astype("int32") * mask
    examples = {"token_ids": ids, "segment_ids": 0 * ids, "padding_mask": mask, "texts": None, "pairs": None}

    def answer(batch):
        total = batch["token_ids"].sum(axis=1)
        return np.stack([total, batch["padding_mask"].sum(axis=1)], axis=1).astype("float32")

    expected = answer(examples)
    expected[4, 0] += 0.5
    found = measure(answer, "ids", {**examples, "probabilities": expected, "targets": [0] * 21})
    assert found["max_difference"] == 0.5
    assert found["mean_difference"] == pytest.approx(0.5 / 42)
    assert found["finite"]
    broken = measure(
        lambda batch: answer(batch) * np.nan, "ids", {**examples, "probabilities": expected, "targets": None}
    )
    assert not broken["finite"]
    assert broken["max_difference"] is None


def test_a_report_is_a_table_and_json():
    row = {"format": "onnx", "input": "ids", "size_mb": 1.23, "max_difference": 2e-7, "passed": True, "tolerance": 1e-4}
    report = Report([row], {"backend": "jax", "texts": 3, "accuracy": 0.5}, ["a note"])
    lines = report.table().splitlines()
    assert lines[0].split() == ["format", "input", "size", "MB", "max", "diff", "allowed", "result"]
    assert lines[2].split() == ["onnx", "ids", "1.2", "2.0e-07", "1e-04", "pass"]
    assert lines[-2:] == ["Compared with Keras on jax, 3 texts, accuracy 50.00%.", "Note: a note"]
    assert json.loads(report.to_json())["passed"] is True

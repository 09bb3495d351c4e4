"""The same artifacts from each backend, equal to Keras there."""

import json

import keras
import pytest

from tests.export.conftest import WRITTEN

pytestmark = pytest.mark.per_backend


def test_every_format_is_written_and_equals_keras(exported):
    directory, report = exported
    assert report.passed
    assert report.reference["backend"] == keras.backend.backend()
    assert [(row["format"], row["input"]) for row in report.rows] == [
        ("saved_model", "ids"),
        ("saved_model", "text"),
        ("litert", "ids"),
        ("litert-int8", "ids"),
        ("onnx", "ids"),
    ]
    for row in report.rows:
        assert row["max_difference"] <= (1e-5 if row["format"] != "litert-int8" else 0.2)
    assert {path.name for path in directory.iterdir()} == {*WRITTEN, "report.json", "report.svg", "report.txt"}
    assert json.loads((directory / "report.json").read_text(encoding="utf-8")) == json.loads(report.to_json())
    assert sorted(path.name for path in directory.parent.iterdir()) == [directory.name]


@pytest.mark.slow
def test_a_mixed_precision_model_of_pairs(exported_pairs):
    _, report = exported_pairs
    assert report.passed
    assert max(row["max_difference"] for row in report.rows) <= 1e-5
    assert any("MediaPipe" in note for note in report.notes)

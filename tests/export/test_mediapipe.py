"""MediaPipe's TextClassifier opens the LiteRT file as it is and agrees with Keras."""

import json
import os
import subprocess

import numpy as np
import pytest

from tests.export.conftest import LABELS, LITERT_LENGTH

CLASSIFY = """
import json, sys
from mediapipe.tasks.python import BaseOptions, text
options = text.TextClassifierOptions(base_options=BaseOptions(model_asset_path=sys.argv[1]))
with text.TextClassifier.create_from_options(options) as classifier:
    for line in json.loads(sys.argv[2]):
        categories = classifier.classify(line).classifications[0].categories
        print("RESULT", json.dumps({category.category_name: category.score for category in categories}))
"""

ENGLISH = (
    "Where is my order?",
    "I want to CANCEL the parcel, please",
    "that's not good; not good at all!",
    "change my address to 12 b",
    "the order is late " * 30,
)


@pytest.mark.parametrize("name", ["litert", "litert-int8"])
def test_mediapipe_agrees(task, exported, name):
    python = os.environ.get("KBS_MEDIAPIPE_PYTHON")
    if not python:
        pytest.skip("KBS_MEDIAPIPE_PYTHON is not set; set it to the Python of an environment with mediapipe")
    from keras_bert_suite.export.reference import encode_examples

    path = exported[0] / name / "model.tflite"
    done = subprocess.run([python, "-c", CLASSIFY, str(path), json.dumps(ENGLISH)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line[7:]) for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    found = np.array([[answer[label] for label in LABELS] for answer in answers])
    expected = encode_examples(task, list(ENGLISH), None, LITERT_LENGTH)["probabilities"]
    if name == "litert":
        assert (found.argmax(axis=-1) == expected.argmax(axis=-1)).all()
    np.testing.assert_allclose(found, expected, atol=1e-3 if name == "litert" else 0.2)

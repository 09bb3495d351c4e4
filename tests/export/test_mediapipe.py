"""MediaPipe's TextClassifier and TextEmbedder open LiteRT files as they are and agree with Keras."""

import json
import os
import subprocess

import numpy as np
import pytest

from tests.export.conftest import LABELS, LITERT_LENGTH, make_kind

pytestmark = pytest.mark.tensorflow

CLASSIFY = """
import json, sys
from mediapipe.tasks.python import BaseOptions, text
options = text.TextClassifierOptions(base_options=BaseOptions(model_asset_path=sys.argv[1]))
with text.TextClassifier.create_from_options(options) as classifier:
    for line in json.loads(sys.argv[2]):
        categories = classifier.classify(line).classifications[0].categories
        print("RESULT", json.dumps({category.category_name: category.score for category in categories}))
"""

EMBED = """
import json, sys
from mediapipe.tasks.python import BaseOptions, text
options = text.TextEmbedderOptions(base_options=BaseOptions(model_asset_path=sys.argv[1]))
with text.TextEmbedder.create_from_options(options) as embedder:
    for line in json.loads(sys.argv[2]):
        print("RESULT", json.dumps([float(number) for number in embedder.embed(line).embeddings[0].embedding]))
"""

ENGLISH = (
    "Where is my order?",
    "I want to CANCEL the parcel, please",
    "that's not good; not good at all!",
    "change my address to 12 b",
    "the order is late " * 30,
)


def in_mediapipe(script, path):
    """What MediaPipe, which is best in an environment of its own, says of the texts."""
    python = os.environ.get("KBS_MEDIAPIPE_PYTHON")
    if not python:
        pytest.skip("KBS_MEDIAPIPE_PYTHON is not set; set it to the Python of an environment with mediapipe")
    done = subprocess.run([python, "-c", script, str(path), json.dumps(ENGLISH)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line[7:]) for line in done.stdout.splitlines() if line.startswith("RESULT ")]


def in_keras(task):
    from keras_bert_suite.export.reference import ReferenceOutputs

    found = ReferenceOutputs(task, task.tokenizer(list(ENGLISH), max_length=LITERT_LENGTH))
    rows, outputs = zip(*found, strict=True)
    (values,) = (np.concatenate(values) for values in zip(*(one.values() for one in outputs), strict=True))
    return values[np.argsort(np.concatenate(rows))]


@pytest.mark.parametrize("name", ["litert", "litert-int8"])
def test_classifier_agrees(task, exported, name):
    answers = in_mediapipe(CLASSIFY, exported[0] / name / "model.tflite")
    found = np.array([[answer[label] for label in LABELS] for answer in answers])
    expected = in_keras(task)
    if name == "litert":
        assert (found.argmax(axis=-1) == expected.argmax(axis=-1)).all()
    np.testing.assert_allclose(found, expected, atol=1e-3 if name == "litert" else 0.2)


@pytest.mark.skipif(not os.environ.get("KBS_MEDIAPIPE_PYTHON"), reason="KBS_MEDIAPIPE_PYTHON is not set")
def test_embedder_agrees(tmp_path):
    embedder = make_kind("embeddings")
    embedder.export(tmp_path / "out", formats=["litert"], litert_length=LITERT_LENGTH, progress=False)
    found = np.array(in_mediapipe(EMBED, tmp_path / "out/litert/model.tflite"))
    np.testing.assert_allclose(found, in_keras(embedder), atol=1e-5)

"""What the files hold, seen by the programs that open them: names, types, shapes, sizes, metadata."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from keras_bert_suite.export.litert_file import check_builtin
from keras_bert_suite.export.run_litert import read_lengths
from tests.export.conftest import LABELS, LITERT_LENGTH

pytestmark = pytest.mark.tensorflow

#: Opens a SavedModel as a server does: with the tokenizer's kernel linked, and neither Keras nor this package there.
PLAIN_TENSORFLOW = """
import json, sys
sys.modules.update({"keras": None, "tf_keras": None, "keras_bert_suite": None})
import importlib.util, pathlib
import tensorflow as tf
text = pathlib.Path(importlib.util.find_spec("tensorflow_text").submodule_search_locations[0])
tf.load_op_library(str(text / "python/ops/_fast_wordpiece_tokenizer.so"))
loaded = tf.saved_model.load(sys.argv[1])
columns = json.loads(sys.argv[2])
signature = loaded.signatures["serving_default"]
outputs = signature(**{name: tf.constant(column) for name, column in columns.items()})
def plain(x):
    return [plain(value) for value in x] if isinstance(x, list) else x.decode() if isinstance(x, bytes) else x
ids = loaded.signatures["ids"].structured_input_signature[1]
def refused(token_ids, segment_ids):
    try:
        loaded.signatures["ids"](token_ids=token_ids, segment_ids=segment_ids, padding_mask=tf.ones_like(token_ids))
    except tf.errors.InvalidArgumentError as error:
        return error.message
long, short = tf.zeros((1, 65), tf.int32), tf.zeros((2, 3), tf.int32)
refusals = [refused(long, long), refused(short, short[:1]), refused(short, short[:, :1]), refused(short - 5, short)]
print(json.dumps({
    "outputs": {name: plain(value.numpy().tolist()) for name, value in outputs.items()},
    "types": {name: value.dtype.name for name, value in outputs.items()},
    "ids": {name: [spec.dtype.name, spec.shape.as_list()] for name, spec in ids.items()},
    "refusals": refusals,
}))
"""


def run_plainly(directory, columns):
    done = subprocess.run(
        [sys.executable, "-c", PLAIN_TENSORFLOW, str(directory), json.dumps(columns)],
        capture_output=True,
        text=True,
        cwd=directory,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_saved_model_serves_strings_without_keras_or_this_package(task, exported, texts):
    found = run_plainly(exported[0] / "saved_model", {"text": texts})
    outputs = found["outputs"]
    expected = task.predict_probabilities(texts)
    np.testing.assert_allclose(outputs["probabilities"], expected, atol=1e-5)
    np.testing.assert_allclose(outputs["score"], expected.max(axis=-1), atol=1e-5)
    assert outputs["label"] == [LABELS[index] for index in expected.argmax(axis=-1)]
    assert outputs["labels"] == [LABELS] * len(texts)
    assert found["types"] == {"label": "string", "labels": "string", "score": "float32", "probabilities": "float32"}
    assert found["ids"] == {name: ["int32", [None, None]] for name in ("token_ids", "segment_ids", "padding_mask")}
    said = ("at most 64 tokens", "segment_ids must be like", "segment_ids must be like", "must not be below 0")
    assert all(message in refusal for message, refusal in zip(said, found["refusals"], strict=True))


def test_saved_model_of_pairs_takes_both_texts(pair_task, exported_pairs, texts):
    from keras_bert_suite.export.examples import shortened
    from keras_bert_suite.export.reference import float32_task

    seconds = ["late", "the address is not good " * 9, "thanks"]
    with float32_task(pair_task) as reference:
        expected = shortened(reference, "max_length", 32).predict_probabilities(texts, pairs=seconds)
    found = run_plainly(exported_pairs[0] / "saved_model", {"text": texts, "text_b": seconds})
    np.testing.assert_allclose(found["outputs"]["probabilities"], expected, atol=1e-5)


def test_saved_model_stores_each_variable_once(task, exported):
    weights = sum(4 * int(np.prod(weight.shape)) for weight in task.model.weights)
    stored = sum(path.stat().st_size for path in (exported[0] / "saved_model/variables").iterdir())
    assert stored <= 1.1 * weights + 10_000  # an index of names, which counts only beside so small a model


@pytest.mark.parametrize("name", ["litert", "litert-int8"])
def test_litert_runs_by_name_on_built_in_operations(task, exported, texts, name):
    from ai_edge_litert.interpreter import Interpreter

    path = exported[0] / name / "model.tflite"
    model = path.read_bytes()
    check_builtin(model)
    assert read_lengths(path) == [LITERT_LENGTH]
    interpreter = Interpreter(str(path))
    assert interpreter.get_signature_list() == {
        "serving_default": {"inputs": ["ids", "mask", "segment_ids"], "outputs": ["score"]}
    }
    for detail in interpreter.get_input_details():
        assert detail["dtype"] == np.int32
        assert detail["shape"].tolist() == [1, LITERT_LENGTH]
    (output,) = interpreter.get_output_details()
    assert output["dtype"] == np.float32
    assert output["shape"].tolist() == [1, len(LABELS)]
    ids = task.tokenizer(texts[:1], max_length=LITERT_LENGTH, padding="max_length")
    score = interpreter.get_signature_runner()(
        ids=ids["token_ids"], mask=ids["padding_mask"], segment_ids=ids["segment_ids"]
    )["score"]
    np.testing.assert_allclose(score, task.predict_probabilities(texts[:1]), atol=1e-5 if name == "litert" else 0.1)


#: What export does where tensorflow-text cannot be imported.
WITHOUT_TEXT = """
import pathlib, sys
sys.modules["tensorflow_text"] = None
import keras_bert_suite as kbs
from keras_bert_suite.export import run_saved_model, saved_model, served_model
task = kbs.TextClassifier.from_pretrained(sys.argv[1])
path = pathlib.Path(sys.argv[2])
print(saved_model.export_saved_model(task, served_model.build_served_model(task), path, 48))
print(run_saved_model.load_saved_model(path)[1])
"""


def test_a_saved_model_without_tensorflow_text_takes_ids(task, tmp_path):
    task.save_pretrained(tmp_path / "task")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TEXT, str(tmp_path / "task"), str(tmp_path / "saved")],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "KERAS_BACKEND": "tensorflow",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUDA_VISIBLE_DEVICES": "-1",
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
    )
    assert done.returncode == 0, done.stderr
    assert "takes ids only" in done.stdout
    assert "tensorflow_text" in done.stdout
    assert done.stdout.strip().endswith("None")

"""What the files hold, seen by the programs that open them: names, types, shapes, sizes, metadata."""

import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from keras_bert_suite.export.litert_file import check_builtin, input_order, read_length
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
try:
    long = tf.zeros((1, 65), tf.int32)
    loaded.signatures["ids"](token_ids=long, segment_ids=long, padding_mask=long)
    refusal = None
except tf.errors.InvalidArgumentError as error:
    refusal = error.message
print(json.dumps({
    "outputs": {name: plain(value.numpy().tolist()) for name, value in outputs.items()},
    "types": {name: value.dtype.name for name, value in outputs.items()},
    "ids": {name: [spec.dtype.name, spec.shape.as_list()] for name, spec in ids.items()},
    "refusal": refusal,
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
    assert "at most 64 tokens" in found["refusal"]


def test_saved_model_of_pairs_takes_both_texts(pair_task, exported_pairs, texts):
    from keras_bert_suite.export.reference import encode_examples, float32_task

    seconds = ["late", "the address is not good " * 9, "thanks"]
    with float32_task(pair_task) as reference:
        expected = encode_examples(reference, texts, seconds, 32)["probabilities"]
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
    assert read_length(path) == LITERT_LENGTH
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


def test_litert_metadata_reads_back(task, exported):
    from ai_edge_litert import schema_py_generated as schema

    path = exported[0] / "litert/model.tflite"
    with zipfile.ZipFile(path) as packed:
        assert packed.testzip() is None
        assert {info.compress_type for info in packed.infolist()} == {zipfile.ZIP_STORED}
        assert packed.read("vocab.txt").decode().splitlines() == task.tokenizer.vocabulary
        assert packed.read("labels.txt").decode().splitlines() == LABELS
    model = path.read_bytes()
    opened = schema.Model.GetRootAs(model, 0)
    entries = {opened.Metadata(index).Name(): opened.Metadata(index) for index in range(opened.MetadataLength())}
    assert {b"TFLITE_METADATA", b"min_runtime_version"} <= set(entries)
    metadata = opened.Buffers(entries[b"TFLITE_METADATA"].Buffer()).DataAsNumpy().tobytes()
    assert metadata[4:8] == b"M001"
    positions = [metadata.index(name.encode() + b"\0") for name in input_order(model)]
    assert len(set(positions)) == 3
    for text in (b"vocab.txt", b"labels.txt", b"score", b"1.2.0"):
        assert text in metadata


@pytest.mark.parametrize("size", [1, 17, 200_000])
def test_metadata_moves_weights_by_whole_lines_and_changes_none(exported, size):
    from ai_edge_litert import schema_py_generated as schema

    from keras_bert_suite.export.litert_metadata import add_metadata

    def buffers(model):
        start = np.frombuffer(model, np.uint8).ctypes.data
        opened = schema.Model.GetRootAs(model, 0)
        every = [opened.Buffers(index) for index in range(opened.BuffersLength())]
        found = [None if buffer.DataIsNone() else buffer.DataAsNumpy() for buffer in every]
        return [(0, b"") if data is None else (data.ctypes.data - start, data.tobytes()) for data in found]

    model = (exported[0] / "litert/model.tflite").read_bytes()
    before, after = buffers(model), buffers(add_metadata(model, b"\1" * size, {}))
    assert after[-1][1] == b"\1" * size
    assert [data for _, data in after[:-1]] == [data for _, data in before]
    assert {(new - old) % 16 for (new, _), (old, _) in zip(after, before, strict=False)} == {0}


def test_custom_operations_are_refused():
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    from keras_bert_suite.errors import ArtifactError

    code = schema.OperatorCodeT(customCode="FlexErf", builtinCode=schema.BuiltinOperator.CUSTOM)
    builder = flatbuffers.Builder()
    builder.Finish(schema.ModelT(operatorCodes=[code]).Pack(builder), file_identifier=b"TFL3")
    with pytest.raises(ArtifactError, match="FlexErf"):
        check_builtin(bytes(builder.Output()))


def test_onnx_has_names_open_dimensions_and_labels(task, exported, texts):
    import onnxruntime

    path = exported[0] / "onnx/model.onnx"
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert [(value.name, value.type, value.shape) for value in session.get_inputs()] == [
        (name, "tensor(int32)", ["batch", "length"]) for name in ("token_ids", "segment_ids", "padding_mask")
    ]
    assert [(value.name, value.type, value.shape) for value in session.get_outputs()] == [
        ("probabilities", "tensor(float)", ["batch", len(LABELS)])
    ]
    properties = session.get_modelmeta().custom_metadata_map
    assert json.loads(properties["labels"]) == LABELS
    assert properties["max_length"] == "48"
    for rows in (texts, texts[:1]):
        (found,) = session.run(None, task.tokenizer(rows))
        np.testing.assert_allclose(found, task.predict_probabilities(rows), atol=1e-5)
    assert json.loads((path.parent / "tokenizer.json").read_text(encoding="utf-8"))["model"]["type"] == "WordPiece"


#: What export does under two conditions that cannot be had otherwise: a model of gigabytes, and no tensorflow-text.
UNUSUAL = """
import pathlib, sys
sys.modules["tensorflow_text"] = None
import keras_bert_suite as kbs
from keras_bert_suite.export import onnx, saved_model
task = kbs.TextClassifier.from_pretrained(sys.argv[1])
onnx.LARGEST_FILE = 1000
path = pathlib.Path(sys.argv[2])
onnx.export_onnx(task, path / "model.onnx", 48)
onnx.load_onnx(path / "model.onnx")
print(saved_model.export_saved_model(task, path, 48), list(saved_model.load_saved_model(path)))
"""


def test_large_weights_beside_onnx_and_saved_model_without_tensorflow_text(task, tmp_path):
    task.save_pretrained(tmp_path / "task")
    done = subprocess.run(
        [sys.executable, "-c", UNUSUAL, str(tmp_path / "task"), str(tmp_path)],
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
    assert (tmp_path / "model.onnx.data").stat().st_size > 1000
    assert "takes ids only" in done.stdout
    assert "tensorflow_text" in done.stdout
    assert done.stdout.strip().endswith("['ids']")

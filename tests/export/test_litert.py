"""LiteRT files of every task, in every number of bits, run by LiteRT and compared with Keras."""

import functools
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from keras_bert_suite.errors import ArtifactError
from keras_bert_suite.export.litert_file import check_builtin, input_order
from keras_bert_suite.export.run_litert import load_litert, read_files, read_lengths
from tests.export.conftest import LABELS, make_kind

pytestmark = [pytest.mark.tensorflow, pytest.mark.per_backend]

LENGTH = 24
TEXTS = ["Where is my order?", "cancel the parcel, please; i want to change my address", "refund!"]
#: Kind of task -> the outputs of its file.
OUTPUTS = {
    "single label": ["score"],
    "several labels": ["score"],
    "regression": ["score"],
    "tags": ["probabilities"],
    "tags with a field": ["logits", "tags"],
    "questions": ["end_logits", "start_logits"],
    "choices": ["logits"],
    "embeddings": ["embedding"],
    "fill-mask": ["logits"],
}
#: The largest difference of a probability of the tiny classifier, whose weights are random.
ROUNDING = {None: 1e-5, "float16": 2e-3, "int8": 0.02, "full-int8": 0.05, "int4": 0.2}


@pytest.fixture(scope="module", autouse=True)
def worker():
    """The files are written where the export's worker process writes them: on TensorFlow."""
    import keras

    if keras.backend.backend() != "tensorflow":
        pytest.skip("the worker that writes LiteRT files runs TensorFlow")


@functools.lru_cache(maxsize=1)
def served_kind(kind):
    from keras_bert_suite.export.served_model import build_served_model

    task = make_kind(kind)
    return task, build_served_model(task)


def write(kind, path, lengths, **options):
    """Write a file of a kind of task; return its rows of ids and what Keras says of them."""
    from keras_bert_suite.export.litert import export_litert

    task, served = served_kind(kind)
    batch = task.tokenizer(TEXTS, max_length=LENGTH)
    if "word_mask" in served.inputs:
        batch["word_mask"] = batch["padding_mask"] * (np.arange(batch["token_ids"].shape[1]) % 3 > 0).astype("int32")
    notes = export_litert(task, served, path, lengths, calibration=batch, **options)
    given = {name: column[:, None] if kind == "choices" else column for name, column in batch.items()}
    return batch, served.model.predict_on_batch(given), notes


def open_model(path):
    from ai_edge_litert import schema_py_generated as schema

    return schema.Model.GetRootAs(path.read_bytes(), 0)


@pytest.mark.parametrize("kind", OUTPUTS)
def test_every_task_agrees_with_keras(kind, tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    path = tmp_path / "model.tflite"
    batch, expected, _ = write(kind, path, [LENGTH])
    check_builtin(path.read_bytes())
    inputs = ["ids", "mask", "segment_ids"] + ["word_mask"] * ("word_mask" in batch)
    signature = {"inputs": inputs, "outputs": OUTPUTS[kind]}
    assert Interpreter(str(path)).get_signature_list() == {"serving_default": signature}
    found = load_litert(path)(batch)
    assert found.keys() == expected.keys()
    real = batch["padding_mask"] > 0
    for name, values in expected.items():
        assert found[name].shape == values.shape
        rows = real if values.shape[:2] == real.shape else slice(None)
        np.testing.assert_allclose(found[name][rows], values[rows], atol=2e-5)
    # Whole numbers are rounded alike in each kind of file: that 8 bits run at all is what is seen here.
    write(kind, path, [LENGTH], quantization="full-int8")
    check_builtin(path.read_bytes())
    found = load_litert(path)(batch)
    assert {name: values.shape for name, values in found.items()} == {name: v.shape for name, v in expected.items()}
    assert all(np.isfinite(values).all() for values in found.values())


def test_lengths_share_weights_and_a_row_takes_the_smallest(tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    path = tmp_path / "model.tflite"
    batch, expected, _ = write("tags", path, [8, LENGTH])
    assert read_lengths(path) == [8, LENGTH]
    assert Interpreter(str(path)).get_signature_list().keys() == {"length_24", "length_8", "serving_default"}
    opened = open_model(path)
    assert opened.Subgraphs(0).Tensors(opened.Subgraphs(0).Inputs(0)).ShapeAsNumpy().tolist() == [1, LENGTH]
    table = 4 * served_kind("tags")[0].tokenizer.vocab_size * 12
    buffers = [opened.Buffers(index) for index in range(opened.BuffersLength())]
    assert [buffer.DataLength() for buffer in buffers].count(table) == 1
    real = batch["padding_mask"] > 0
    assert real.sum(axis=1).tolist() == [7, 14, 4]
    run = load_litert(path)
    np.testing.assert_allclose(run(batch)["probabilities"][real], expected["probabilities"][real], atol=1e-5)
    wide = {name: np.pad(column, ((0, 0), (0, 40))) for name, column in batch.items()}
    found = run(wide)["probabilities"]
    assert found.shape == (3, 54, 5)
    np.testing.assert_allclose(found[:, :14][real], expected["probabilities"][real], atol=1e-5)
    assert not found[:, LENGTH:].any()
    with pytest.raises(ValueError, match=r"at most 24 tokens. Received: 54"):
        run({name: np.ones_like(column) for name, column in wide.items()})


def test_packed_files_and_metadata_read_back(tmp_path):
    path = tmp_path / "model.tflite"
    given = {"tokenizer.json": b"{}" * 5000, "empty.txt": b""}
    _, _, notes = write("single label", path, [LENGTH], files=given)
    assert notes == []
    vocabulary = served_kind("single label")[0].tokenizer.vocabulary
    files = read_files(path)
    assert files.pop("vocab.txt").decode().splitlines() == vocabulary
    assert files.pop("labels.txt").decode().splitlines() == LABELS
    assert files == given
    with zipfile.ZipFile(path) as packed:  # MediaPipe reads no other
        assert {info.compress_type for info in packed.infolist()} == {zipfile.ZIP_STORED}
        assert sum(info.file_size for info in packed.infolist()) < 2000
    metadata = _metadata(open_model(path))
    assert metadata[4:8] == b"M001"
    positions = [metadata.index(name.encode() + b"\0") for name in input_order(path.read_bytes())]
    assert len(set(positions)) == 3
    for text in (b"TextClassifier", b"vocab.txt", b"labels.txt", b"score", b"1.2.0"):
        assert text in metadata


@pytest.mark.parametrize("quantization", ROUNDING)
def test_fewer_bits_round_but_keep_the_answers(quantization, tmp_path):
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_litert.schema_py_generated import TensorType

    path = tmp_path / "model.tflite"
    batch, expected, _ = write("single label", path, [8, LENGTH], quantization=quantization)
    check_builtin(path.read_bytes())
    found = load_litert(path)(batch)["probabilities"]
    np.testing.assert_allclose(found, expected["probabilities"], atol=ROUNDING[quantization])
    runner = Interpreter(str(path)).get_signature_runner("length_8")
    assert {detail["dtype"] for detail in runner.get_input_details().values()} == {np.int32}
    assert {detail["dtype"] for detail in runner.get_output_details().values()} == {np.float32}
    stored = _stored_types(open_model(path))
    whole = {None: TensorType.FLOAT32, "float16": TensorType.FLOAT16}.get(quantization, TensorType.INT8)
    assert stored["table"] == stored["attention"] == {whole}
    assert stored["feed_forward"] == {TensorType.INT4 if quantization == "int4" else whole}


def _stored_types(opened):
    """Types of the tensors that hold weights, by their shape."""
    vocabulary = served_kind("single label")[0].tokenizer.vocab_size
    shapes = {(vocabulary, 12): "table", (12, 12): "attention", (20, 12): "feed_forward", (12, 20): "feed_forward"}
    found = {name: set() for name in shapes.values()}
    for subgraph in map(opened.Subgraphs, range(opened.SubgraphsLength())):
        for tensor in map(subgraph.Tensors, range(subgraph.TensorsLength())):
            shape = tuple(tensor.Shape(place) for place in range(tensor.ShapeLength()))
            if shape in shapes and opened.Buffers(tensor.Buffer()).DataLength():
                found[shapes[shape]].add(tensor.Type())
    return found


def test_a_table_that_is_a_kernel_too_is_stored_once_with_a_scale_for_each_row(tmp_path):
    path = tmp_path / "model.tflite"
    batch, expected, _ = write("fill-mask", path, [8, LENGTH], quantization="int8")
    vocabulary, opened = served_kind("fill-mask")[0].tokenizer.vocab_size, open_model(path)
    tables = [
        tensor
        for subgraph in map(opened.Subgraphs, range(opened.SubgraphsLength()))
        for tensor in map(subgraph.Tensors, range(subgraph.TensorsLength()))
        if tensor.ShapeLength() == 2 and tensor.Shape(0) == vocabulary and opened.Buffers(tensor.Buffer()).DataLength()
    ]
    assert len({tensor.Buffer() for tensor in tables}) == 1
    assert {tensor.Quantization().ScaleLength() for tensor in tables} == {vocabulary}
    words = batch["padding_mask"] > 0
    found, expected = load_litert(path)(batch)["logits"][words], expected["logits"][words]
    np.testing.assert_allclose(found, expected, atol=0.1 * np.abs(expected).max())


def test_what_cannot_be_quantized_is_refused(tmp_path):
    from keras_bert_suite.export.litert import export_litert

    arguments = (*served_kind("single label"), tmp_path / "model.tflite", [LENGTH])
    with pytest.raises(ValueError, match="full-int8 needs calibration"):
        export_litert(*arguments, quantization="full-int8")
    with pytest.raises(ValueError, match="quantization must be one of None, 'float16'"):
        export_litert(*arguments, quantization="int2")
    assert not list(tmp_path.iterdir())


def _metadata(opened):
    entries = {opened.Metadata(index).Name(): opened.Metadata(index) for index in range(opened.MetadataLength())}
    assert b"min_runtime_version" in entries
    found = entries.get(b"TFLITE_METADATA")
    return found and opened.Buffers(found.Buffer()).DataAsNumpy().tobytes()


def test_mediapipe_is_told_nothing_of_a_file_that_it_would_refuse(tmp_path):
    path = tmp_path / "model.tflite"
    _, _, (note,) = write("single label", path, [8, LENGTH])
    assert "one length alone" in note
    assert _metadata(open_model(path)) is None
    assert read_files(path).keys() == {"vocab.txt", "labels.txt"}


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_file_cut_short_is_refused(share, tmp_path):
    path = tmp_path / "model.tflite"
    write("single label", path, [8, LENGTH])
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ArtifactError, match=r"model\.tflite: not a whole \.tflite file"):
        load_litert(path)


def test_custom_operations_are_refused():
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    code = schema.OperatorCodeT(customCode="FlexErf", builtinCode=schema.BuiltinOperator.CUSTOM)
    builder = flatbuffers.Builder()
    builder.Finish(schema.ModelT(operatorCodes=[code]).Pack(builder), file_identifier=b"TFL3")
    with pytest.raises(ArtifactError, match="FlexErf"):
        check_builtin(bytes(builder.Output()))


RUN_ALONE = """
import sys
sys.modules.update(dict.fromkeys(("tensorflow", "torch", "jax")))
import numpy as np
from keras_bert_suite.export.run_litert import load_litert
batch = dict(np.load(sys.argv[2]))
np.save(sys.argv[3], load_litert(sys.argv[1], num_threads=1)(batch)["probabilities"])
"""


def test_running_needs_no_backend(tmp_path):
    path = tmp_path / "model.tflite"
    batch, expected, _ = write("single label", path, [8, LENGTH])
    np.savez(tmp_path / "batch.npz", **batch)
    done = subprocess.run(
        [sys.executable, "-c", RUN_ALONE, str(path), str(tmp_path / "batch.npz"), str(tmp_path / "found.npy")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), expected["probabilities"], atol=1e-5)

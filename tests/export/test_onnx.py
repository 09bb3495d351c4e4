"""ONNX files as ONNX Runtime, OpenVINO and the ONNX checker see them, with Keras' numbers beside them."""

import collections
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_bert_suite.errors import ArtifactError
from tests.export.conftest import LABELS, make_kind, make_tokenizer

pytestmark = pytest.mark.tensorflow

KINDS = ("single label", "tags with a field", "choices", "embeddings", "fill-mask", "shared layers")
SHAPES = ((1, 1), (2, 7), (3, 16))
CHOICES = 3
#: By how much 8 bits may change an output of so small a model, whose weights are large.
ROUNDED = {"int8": 0.4, "static-int8": 2.0}
#: Kinds that are rounded as well, and how.
VARIANTS = [
    *((kind, quantization) for kind in ("single label", "fill-mask", "shared layers") for quantization in ROUNDED),
    ("tags with a field", "int8"),
]


def write(directory):
    """Write the files of every kind, and what Keras answers, as the worker does. Runs on TensorFlow."""
    from keras_bert_suite.export import onnx_file, onnx_quantization
    from keras_bert_suite.export.onnx import export_onnx
    from keras_bert_suite.export.served_model import build_served_model

    onnx_quantization.SMALLEST = 100
    for kind in KINDS:
        task = make_shared_layers() if kind == "shared layers" else make_kind(kind)
        served = build_served_model(task)
        arrays = {}
        for number, shape in enumerate(SHAPES):
            inputs = draw_inputs(served.inputs, shape, task.tokenizer.vocab_size, number)
            arrays.update({f"{number}/in/{name}": array for name, array in inputs.items()})
            arrays.update({f"{number}/out/{name}": np.asarray(out) for name, out in served.model(inputs).items()})
        np.savez(directory / f"{kind}.npz", **arrays)
        calibration = draw_inputs(served.inputs, (8, 12), task.tokenizer.vocab_size, 9)
        for quantization in (None, *(rounding for one, rounding in VARIANTS if one == kind)):
            path = directory / f"{kind} {quantization}.onnx"
            export_onnx(task, served, path, 48, quantization=quantization, calibration=calibration)
    refused = []
    for quantization in ("int4", "static-int8"):
        try:
            export_onnx(task, served, path, 48, quantization=quantization)
        except ValueError as error:
            refused.append(str(error))
    (directory / "refused.json").write_text(json.dumps(refused))
    onnx_file.LARGEST_FILE = 1000
    export_onnx(task, served, directory / "large.onnx", 48)


def make_shared_layers():
    """A classifier whose layers are one: each weight has several readers."""
    import keras_bert_suite as kbs

    tokenizer = make_tokenizer()
    config = kbs.EncoderConfig(
        vocabulary_size=tokenizer.vocab_size,
        num_layers=3,
        num_groups=1,
        hidden_dim=12,
        num_heads=3,
        intermediate_dim=20,
        max_length=64,
        embedding_dim=10,
        initializer_range=0.3,
    )
    return kbs.TextClassifier(kbs.models.build_encoder(config), tokenizer, labels=LABELS)


def draw_inputs(dims, shape, vocabulary_size, seed):
    """Random rows of every length; each has a token."""
    rng = np.random.default_rng(seed)
    shape = (shape[0], CHOICES, shape[1]) if "choices" in next(iter(dims.values())) else shape
    lengths = rng.integers(1, shape[-1] + 1, (*shape[:-1], 1))
    mask = (np.arange(shape[-1]) < lengths).astype("int32")
    inputs = {
        "token_ids": rng.integers(5, vocabulary_size, shape).astype("int32") * mask,
        "segment_ids": rng.integers(0, 2, shape).astype("int32") * mask,
        "padding_mask": mask,
        "word_mask": rng.integers(0, 2, shape).astype("int32") * mask,
    }
    return {name: inputs[name] for name in dims}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    pytest.importorskip("tf2onnx")
    directory = tmp_path_factory.mktemp("onnx")
    environment = {
        **os.environ,
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run([sys.executable, __file__, str(directory)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return directory


def cases(directory, kind):
    """Yield the inputs of each shape, and Keras' outputs."""
    with np.load(directory / f"{kind}.npz") as stored:
        for number in range(len(SHAPES)):
            yield tuple(
                {name.split("/")[2]: stored[name] for name in stored.files if name.startswith(f"{number}/{side}/")}
                for side in ("in", "out")
            )


def fused(path, tmp_path):
    """Open a file in ONNX Runtime and count the operations that it runs."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "fused.onnx")
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return collections.Counter(node.op_type for node in onnx.load(tmp_path / "fused.onnx").graph.node)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_numbers_of_keras_in_plain_onnx_runtime(files, kind):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(files / f"{kind} None.onnx"), providers=["CPUExecutionProvider"])
    rows = ["batch", "choices", "length"] if kind == "choices" else ["batch", "length"]
    assert all((value.type, value.shape) == ("tensor(int32)", rows) for value in session.get_inputs())
    for inputs, expected in cases(files, kind):
        names = [value.name for value in session.get_outputs()]
        assert set(names) == set(expected)
        for name, found in zip(names, session.run(names, inputs), strict=True):
            assert (found.dtype, found.shape) == (expected[name].dtype, expected[name].shape)
            np.testing.assert_allclose(found, expected[name], rtol=1e-5, atol=2e-5)


def test_names_of_dimensions_and_metadata(files):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(files / "tags with a field None.onnx"))
    assert [value.name for value in session.get_inputs()] == ["token_ids", "segment_ids", "padding_mask", "word_mask"]
    assert {value.name: value.shape for value in session.get_outputs()} == {
        "tags": ["batch", "length"],
        "logits": ["batch", "length", 5],
    }
    properties = onnxruntime.InferenceSession(str(files / "single label None.onnx")).get_modelmeta().custom_metadata_map
    assert json.loads(properties["labels"]) == LABELS
    assert (properties["task"], properties["max_length"]) == ("text-classification", "48")
    assert json.loads((files / "tokenizer.json").read_text(encoding="utf-8"))["model"]["type"] == "WordPiece"


def test_files_hold_standard_operations_of_one_opset(files):
    import onnx

    for kind, quantization in [*((kind, None) for kind in KINDS), *VARIANTS]:
        model = onnx.load(files / f"{kind} {quantization}.onnx")
        onnx.checker.check_model(model, full_check=True)
        assert {node.domain for node in model.graph.node} == {""}
        assert [opset.version for opset in model.opset_import if opset.domain == ""] == [17]


def test_onnx_runtime_fuses_what_keras_spreads_out(files, tmp_path):
    operations = fused(files / "single label None.onnx", tmp_path)
    assert operations["LayerNormalization"] + operations["SkipLayerNormalization"] == 5  # two layers of two, and one
    assert operations["Gelu"] + operations["BiasGelu"] == 2
    assert not {"Erf", "GlobalAveragePool", "Sqrt"} & set(operations)
    operations = fused(files / "single label int8.onnx", tmp_path)
    products = 13  # two layers of six, and the pooler
    assert operations["DynamicQuantizeMatMul"] + operations["MatMulIntegerToFloat"] == products
    assert not operations["MatMulInteger"]
    operations = fused(files / "single label static-int8.onnx", tmp_path)
    assert operations["QGemm"] == products


@pytest.mark.parametrize(("kind", "quantization"), VARIANTS)
def test_rounded_weights_change_answers_little(files, kind, quantization):
    from keras_bert_suite.export.run_onnx import load_onnx

    run = load_onnx(files / f"{kind} {quantization}.onnx", num_threads=1)
    for inputs, expected in cases(files, kind):
        found = run(inputs)
        assert found.keys() == expected.keys()
        for name in set(found) - {"tags"}:
            assert 0 < np.abs(found[name] - expected[name]).max() < ROUNDED[quantization]
        if "tags" in found:
            np.testing.assert_array_equal(found["tags"] == -1, inputs["word_mask"] == 0)


@pytest.mark.parametrize("quantization", ROUNDED)
def test_a_tied_table_is_stored_once_in_8_bits(files, quantization):
    import onnx

    stored = {
        kind: sum(
            np.prod(one.dims)
            for one in onnx.load(files / f"fill-mask {kind}.onnx").graph.initializer
            if one.data_type == kind_type and len(one.dims) == 2 and np.prod(one.dims) >= 100
        )
        for kind, kind_type in ((None, onnx.TensorProto.FLOAT), (quantization, onnx.TensorProto.INT8))
    }
    assert stored[None] == stored[quantization] > 0
    left = onnx.load(files / f"fill-mask {quantization}.onnx").graph.initializer
    assert not [one.name for one in left if one.data_type == onnx.TensorProto.FLOAT and np.prod(one.dims) > 200]


def test_ranges_do_not_see_padding(files):
    import onnx

    from keras_bert_suite.export.onnx_calibration import activation_ranges

    model = onnx.load(files / "embeddings None.onnx")
    (inputs, _), *_ = list(cases(files, "embeddings"))[1:]
    padded = {name: np.pad(array, ((0, 0), (0, 9))) for name, array in inputs.items()}
    ranges = activation_ranges(model, inputs)
    assert all(low <= 0 <= high for low, high in ranges.values())
    assert activation_ranges(model, padded) == ranges


def test_requests_that_cannot_be_met_are_refused(files):
    unknown, uncalibrated = json.loads((files / "refused.json").read_text())
    assert "quantization must be one of None, 'int8', 'static-int8'. Received: quantization='int4'" in unknown
    assert "static-int8 needs calibration" in uncalibrated


def test_large_weights_lie_beside_the_file(files, tmp_path):
    from keras_bert_suite.export.run_onnx import load_onnx

    assert (files / "large.onnx.data").stat().st_size > 1000
    (inputs, expected), *_ = cases(files, KINDS[-1])
    found = load_onnx(files / "large.onnx")(inputs)["probabilities"]
    np.testing.assert_allclose(found, expected["probabilities"], atol=1e-5)
    (tmp_path / "large.onnx").write_bytes((files / "large.onnx").read_bytes())
    with pytest.raises(ArtifactError, match=r"large\.onnx: ONNX Runtime cannot open it: .*Export it again"):
        load_onnx(tmp_path / "large.onnx")


def test_damaged_files_are_refused(files, tmp_path):
    from keras_bert_suite.export.run_onnx import load_onnx

    whole = (files / "single label None.onnx").read_bytes()
    path = tmp_path / "model.onnx"
    for content in (whole[: len(whole) // 2], b"", b"not a model"):
        path.write_bytes(content)
        with pytest.raises(ArtifactError, match=r"model\.onnx: ONNX Runtime cannot open it: .+ Export it again"):
            load_onnx(path)
    with pytest.raises(ArtifactError, match=r"absent\.onnx: there is no such file"):
        load_onnx(tmp_path / "absent.onnx")


@pytest.mark.parametrize("kind", KINDS)
def test_openvino_gives_the_numbers_of_keras(files, kind, tmp_path):
    pytest.importorskip("openvino")
    from keras_bert_suite.export.openvino import export_openvino
    from keras_bert_suite.export.run_openvino import load_openvino

    path = tmp_path / "model.xml"
    notes = export_openvino(files / f"{kind} None.onnx", path)
    run = load_openvino(path, num_threads=1)
    for inputs, expected in cases(files, kind):
        found = run(inputs)
        assert set(found) == set(expected) - {"tags"}
        for name, output in found.items():
            np.testing.assert_allclose(output, expected[name], rtol=1e-5, atol=2e-5)
    assert bool(notes) == ("tags" in expected)


def test_damaged_openvino_files_are_refused(files, tmp_path):
    pytest.importorskip("openvino")
    from keras_bert_suite.export.openvino import export_openvino
    from keras_bert_suite.export.run_openvino import load_openvino

    (tmp_path / "cut.onnx").write_bytes((files / "single label None.onnx").read_bytes()[:999])
    with pytest.raises(ArtifactError, match=r"cut\.onnx: "):
        export_openvino(tmp_path / "cut.onnx", tmp_path / "model.xml")
    export_openvino(files / "single label None.onnx", tmp_path / "model.xml")
    (tmp_path / "model.bin").write_bytes(b"")
    with pytest.raises(ArtifactError, match=r"model\.xml: OpenVINO cannot open it: .+ Export it again"):
        load_openvino(tmp_path / "model.xml")
    (tmp_path / "model.bin").unlink()
    with pytest.raises(ArtifactError, match=r"model\.bin: there is no such file"):
        load_openvino(tmp_path / "model.xml")


if __name__ == "__main__":
    write(Path(sys.argv[1]))

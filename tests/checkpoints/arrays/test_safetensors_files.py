"""What the safetensors package writes is read, what is written it reads, and every rule of the format holds."""

import ast
import json
import os
import sys
import tracemalloc
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import safetensors
import safetensors.numpy

import keras_bert_suite.checkpoints.arrays.safetensors_files as module
from keras_bert_suite.checkpoints.arrays.safetensors_files import (
    DTYPES,
    read_safetensors,
    read_safetensors_file,
    write_safetensors,
)
from keras_bert_suite.checkpoints.arrays.stored import StoredArray
from keras_bert_suite.errors import CheckpointError
from tests.support.shared import shared_path


def arrays():
    random = np.random.default_rng(0)
    values = {}
    for name, dtype in DTYPES.items():
        values[f"b.{name}"] = random.integers(0, 2, (3, 5)).astype(dtype)
        values[f"a.é {name}"] = np.array(1).astype(dtype)
        values[f"z.{name}"] = np.zeros((0, 3), dtype)
    values["wide"] = random.normal(size=(7, 9)).astype(ml_dtypes.bfloat16)
    return values


def assert_equal(stored, expected):
    assert sorted(stored) == sorted(expected)
    for name, want in expected.items():
        array = stored[name].read()
        assert stored[name].shape == array.shape == want.shape, name
        assert stored[name].dtype == array.dtype == want.dtype, name
        assert stored[name].nbytes == want.nbytes
        owner = array if array.base is None else array.base  # so that it is aligned, it may begin inside a buffer
        assert [array.flags.c_contiguous, array.flags.writeable, owner.flags.owndata] == [True] * 3, name
        assert not np.may_share_memory(array, stored[name].read()), name
        assert array.tobytes() == want.tobytes(), name


def refusal(path, *words, read=read_safetensors_file):
    with pytest.raises(CheckpointError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(str(path)), message
    assert "\n" not in message
    assert [word for word in words if word not in message] == [], message


def test_what_the_package_writes(tmp_path):
    safetensors.numpy.save_file(arrays(), tmp_path / "model.safetensors")
    assert_equal(read_safetensors(tmp_path), arrays())
    assert_equal(read_safetensors_file(tmp_path / "model.safetensors"), arrays())


def test_the_file_is_the_package_s_own_byte_for_byte(tmp_path):
    write_safetensors(tmp_path, arrays())
    safetensors.numpy.save_file(arrays(), tmp_path / "theirs", metadata={"format": "pt"})
    assert (tmp_path / "model.safetensors").read_bytes() == (tmp_path / "theirs").read_bytes()
    assert_equal(read_safetensors(tmp_path), arrays())


def test_arrays_in_other_layouts(tmp_path):
    base = np.arange(24, dtype="float32").reshape(4, 6)
    write_safetensors(tmp_path, {"t": base.T, "step": base[::2, ::3], "big": base.astype(">f4"), "none": base[:0].T})
    loaded = safetensors.numpy.load_file(tmp_path / "model.safetensors")
    assert np.array_equal(loaded["t"], base.T)
    assert np.array_equal(loaded["step"], base[::2, ::3])
    assert np.array_equal(loaded["big"], base)
    assert loaded["none"].shape == (6, 0)


def test_shards(tmp_path):
    hub = pytest.importorskip("huggingface_hub")
    torch = pytest.importorskip("torch")
    values = {f"w{index}": np.full((index, 10), index, "float32") for index in range(1, 6)}
    write_safetensors(tmp_path, values, max_shard_bytes=201)
    (tmp_path / "theirs").mkdir()
    tensors = {name: torch.from_numpy(array) for name, array in values.items()}
    hub.save_torch_state_dict(tensors, tmp_path / "theirs", max_shard_size=201)
    ours, theirs = (
        {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        for folder in (tmp_path, tmp_path / "theirs")
    )
    indices = [json.loads(files.pop("model.safetensors.index.json")) for files in (ours, theirs)]
    assert len(ours) == 4
    assert ours == theirs
    assert indices[0]["weight_map"] == indices[1]["weight_map"]
    assert indices[0]["metadata"]["total_size"] == indices[1]["metadata"]["total_size"]
    assert_equal(read_safetensors(tmp_path), values)
    assert_equal(read_safetensors(tmp_path / "theirs"), values)


@pytest.mark.parametrize("most", [10**9, 300])
def test_transformers_reads_it(most, tmp_path):
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    config = transformers.BertConfig(
        vocab_size=31, hidden_size=12, num_hidden_layers=1, num_attention_heads=3, intermediate_size=20
    )
    model = transformers.BertModel(config)
    model.save_pretrained(tmp_path / "theirs")
    write_safetensors(tmp_path, read_safetensors(tmp_path / "theirs"), max_shard_bytes=most)
    config.save_pretrained(tmp_path)
    loaded, report = transformers.BertModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_a_real_checkpoint_one_array_at_a_time(tmp_path):
    source = shared_path("weights/bert-tiny-mlm")
    stored = read_safetensors(source)
    largest = max(array.nbytes for array in stored.values())
    tracemalloc.start()
    write_safetensors(tmp_path, stored)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.1 * largest
    assert_equal(read_safetensors(tmp_path), safetensors.numpy.load_file(source / "model.safetensors"))


def test_a_full_disk(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    (tmp_path / "model.safetensors").symlink_to("/dev/full")
    for size in (2, 200_000):
        with pytest.raises(OSError, match="No space left"):
            write_safetensors(tmp_path, {"a": np.zeros(size)})


def test_arrays_that_cannot_be_written(tmp_path):
    with pytest.raises(TypeError, match=r"dtype must be one of .* x is complex64"):
        write_safetensors(tmp_path, {"x": np.zeros(2, "complex64")})
    with pytest.raises(ValueError, match="may be named __metadata__"):
        write_safetensors(tmp_path, {"__metadata__": np.zeros(2)})
    with pytest.raises(TypeError, match="read must return float32"):
        write_safetensors(tmp_path, {"x": StoredArray((2,), np.dtype("float32"), lambda: np.zeros(3, "float32"))})


def test_bools_are_true_or_false(tmp_path):
    safetensors.numpy.save_file({"a": np.array([True, False, True])}, tmp_path / "model.safetensors")
    content = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(content[:-3] + b"\xff\x00\x02")
    array = read_safetensors(tmp_path)["a"].read()
    assert array.tobytes() == b"\x01\x00\x01"


def write_raw(path, header, data=bytes(8)):
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(content).to_bytes(8, "little") + content + data)
    return path


def entry(**changes):
    return {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}}


LARGE = 2**62


@pytest.mark.parametrize(
    ("header", "word"),
    [
        (b"", "not valid JSON"),
        (b"\xff", "not valid JSON"),
        (b"[]", "not a JSON object"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"a":' * 100_000, "nested too deep"),
        (b'{"a":{"shape":[' + b"9" * 5000 + b"]}}", "not valid JSON"),
        (b'{"a":NaN}', "NaN is not JSON"),
        (b'{"a":{"dtype":"F32","dtype":"F16"}}', "occurs twice"),
        (json.dumps(entry()).encode()[:-1] + b"," + json.dumps(entry()).encode()[1:], "occurs twice"),
        (entry() | {"__metadata__": {"a": 1}}, "__metadata__ must map strings"),
        (entry() | {"__metadata__": []}, "__metadata__ must map strings"),
        ({"a": []}, "described by an object"),
        (entry(dtype=None), "no dtype"),
        (entry(dtype=["F32"]), "no dtype"),
        (entry(dtype="F8_E4M3"), "dtype must be one of BOOL, U8"),
        (entry(dtype="f32\n"), "'a' is 'f32\\n'"),
        (entry(shape=None), "a shape must be a list"),
        (entry(shape="2"), "a shape must be a list"),
        (entry(shape=[1] * 33), "at most 32"),
        (entry(shape=[2.0]), "whole numbers"),
        (entry(shape=[True, 2]), "whole numbers"),
        (entry(shape=[-2]), "whole numbers"),
        (entry(shape=[-1, -2]), "whole numbers"),
        (entry(shape=[LARGE, LARGE]), "no memory could hold"),
        (entry(shape=[0, LARGE, LARGE], data_offsets=[0, 0]), "no memory could hold"),
        (entry(shape=[3]), "needs 12 bytes"),
        (entry(data_offsets=[0]), "two data_offsets"),
        (entry(data_offsets=None), "two data_offsets"),
        (entry(data_offsets=[0.0, 8.0]), "two data_offsets"),
        (entry(data_offsets=[8, 0]), "needs 8 bytes"),
        (entry(data_offsets=[-8, 0]), "overlap or leave a gap"),
        (entry(data_offsets=[8, 16]), "overlap or leave a gap"),
        (entry(shape=[1], data_offsets=[0, 4]), "do not cover"),
        (entry(shape=[4], data_offsets=[0, 16]), "do not cover"),
        (entry() | {"b": entry()["a"]}, "overlap or leave a gap"),
        ({}, "do not cover"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_headers_that_cannot_be(header, word, tmp_path):
    path = tmp_path / "model.safetensors"
    refusal(write_raw(path, header), word)
    if "F8" not in str(header) and word != "occurs twice":  # which the package alone takes
        with pytest.raises(safetensors.SafetensorError):
            safetensors.safe_open(path, "numpy").__enter__()


@pytest.mark.parametrize("length", [9, 2**27, 2**63, 2**64 - 1])
def test_header_lengths_that_cannot_be(length, tmp_path):
    path = write_raw(tmp_path / "model.safetensors", entry())
    path.write_bytes(length.to_bytes(8, "little") + path.read_bytes()[8:][: 1 if length == 9 else None])
    refusal(path, "header of" if length > 9 else "header of 9 bytes")


def test_every_truncation(tmp_path):
    path = tmp_path / "model.safetensors"
    safetensors.numpy.save_file({"a": np.ones((2, 3))}, path)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        refusal(path, "damaged or truncated", "Download the checkpoint again")
    path.write_bytes(content + b"\0")
    refusal(path, "do not cover")


@pytest.fixture
def sharded(tmp_path):
    write_safetensors(tmp_path, {"a": np.ones(4), "b": np.zeros(4)}, max_shard_bytes=40)
    return tmp_path


def reindexed(directory, **weight_map):
    path = directory / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": weight_map}))
    return path


def test_a_weight_that_its_file_lacks(sharded):
    path = reindexed(sharded, a="model-00001-of-00002.safetensors", b="model-00001-of-00002.safetensors")
    with pytest.raises(CheckpointError) as caught:
        read_safetensors(sharded)
    assert str(caught.value).startswith(f"{path}: ")
    assert "Missing: 'b' of model-00001-of-00002.safetensors" in str(caught.value)


def test_a_file_that_is_missing(sharded):
    (sharded / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"'model-00002-of-00002\.safetensors', which holds 'b', is missing"):
        read_safetensors(sharded)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "..", ".", "", "a/b", "a\\b", "C:x", "a\0b", 3, None, ["x"]])
def test_files_outside_the_folder(name, sharded):
    reindexed(sharded, a=name)
    with pytest.raises(CheckpointError, match=r"index\.json: damaged .*'a' is said to be in .* no plain file name"):
        read_safetensors(sharded)


@pytest.mark.parametrize("name", ["x" * 300, "\ud800"])
def test_files_that_no_file_system_holds(name, sharded):
    reindexed(sharded, a=name)
    with pytest.raises(CheckpointError, match=r"index\.json: the file .* is missing"):
        read_safetensors(sharded)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"weight_map": []}', '{"weight_map": {}}', "{" * 9])
def test_an_index_that_is_none(content, sharded):
    (sharded / "model.safetensors.index.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"index\.json: damaged or truncated"):
        read_safetensors(sharded)


def test_links_into_a_cache(sharded, tmp_path_factory):
    blobs = tmp_path_factory.mktemp("blobs")
    for path in sharded.iterdir():
        os.replace(path, blobs / path.name)
        path.symlink_to(blobs / path.name)
    assert_equal(read_safetensors(sharded), {"a": np.ones(4), "b": np.zeros(4)})


def test_nothing_to_read(tmp_path):
    refusal(tmp_path / "model.safetensors", "not found")
    (tmp_path / "x").touch()
    with pytest.raises(CheckpointError, match=r"model\.safetensors: not found; the folder holds x"):
        read_safetensors(tmp_path)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: not found"):
        read_safetensors(tmp_path / "nowhere")


def test_the_readers_import_no_backend():
    folder = Path(module.__file__).parent
    readers = ["stored", "safetensors_files", "torch_file", "torch_zip", "pickle_reader"]
    for name in (*readers, "tensor_bundle", "leveldb_table", "crc32c"):
        tree = ast.parse((folder / f"{name}.py").read_text(encoding="utf-8"))
        found = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        found |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        tops = {part.split(".")[0] for part in found}
        assert tops - sys.stdlib_module_names <= {"numpy", "ml_dtypes", "keras_bert_suite"}, name
        assert "pickle" not in tops

"""What torch.save writes is read as PyTorch reads it, and a file that holds code is refused unexecuted."""

import collections
import io
import os
import pickle
import struct
import zipfile

import ml_dtypes
import numpy as np
import pytest

from keras_bert_suite.checkpoints.arrays.torch_file import read_torch
from keras_bert_suite.errors import CheckpointError

torch = pytest.importorskip("torch")

LAYOUTS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


def save(value, path, zipped=True, **options):
    torch.save(value, path, _use_new_zipfile_serialization=zipped, **options)
    return path


def numpy_of(tensor):
    tensor = tensor.detach()
    if tensor.dtype == torch.bfloat16:
        return tensor.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()


def assert_reads(path, expected):
    """Assert that every tensor of `expected` is read with its shape, dtype and bits, into a buffer of its own."""
    stored = read_torch(path)
    assert list(stored) == list(expected)
    for name, tensor in expected.items():
        want, array = numpy_of(tensor), stored[name].read()
        assert stored[name].shape == array.shape == want.shape, name
        assert stored[name].dtype == array.dtype == want.dtype, name
        owner = array if array.base is None else array.base  # so that it is aligned, it may begin inside a buffer
        assert [array.flags.c_contiguous, array.flags.writeable, owner.flags.owndata] == [True] * 3, name
        assert not np.may_share_memory(array, stored[name].read()), name
        assert array.tobytes() == want.tobytes(), name


def refusal(path, *words):
    with pytest.raises(CheckpointError) as caught:
        read_torch(path)
    message = str(caught.value)
    assert message.startswith(str(path)), message
    assert "\n" not in message
    assert [word for word in words if word not in message] == [], message
    return message


def tensors():
    base = torch.arange(60, dtype=torch.float32).reshape(5, 12)
    kinds = "float32 float64 float16 bfloat16 int64 int32 int16 int8 uint8 bool"
    values = {kind: (base[:2, :3] % 7).to(getattr(torch, kind)) for kind in kinds.split()}
    values["transposed"] = base.T
    values["column"] = base[:, 3]
    values["stepped"] = base[::2, 1::3]
    values["whole"] = base
    values["tied"] = base[1:3]
    values["permuted"] = torch.arange(24, dtype=torch.bfloat16).reshape(2, 3, 4).permute(2, 0, 1)
    values["scalar"] = torch.tensor(3.5)
    values["empty"] = torch.zeros((0, 3))
    values["parameter"] = torch.nn.Parameter(torch.ones(2, 2))
    values["one"] = torch.zeros(4, 1, 6).transpose(0, 1)
    return values


@LAYOUTS
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_every_kind_of_tensor(zipped, protocol, tmp_path):
    values = collections.OrderedDict(tensors())
    path = save(values, tmp_path / "pytorch_model.bin", zipped, pickle_protocol=protocol)
    if protocol == 2:
        loaded = torch.load(path, weights_only=True)
        assert all(torch.equal(loaded[name], values[name]) for name in values)
    assert_reads(path, values)
    assert_reads(tmp_path, values)


def test_unsigned_dtypes(tmp_path):
    values = {f"uint{bits}": torch.arange(5).to(getattr(torch, f"uint{bits}")) for bits in (16, 32, 64)}
    assert_reads(save(values, tmp_path / "m.bin"), values)


@LAYOUTS
def test_a_module(zipped, tmp_path):
    module = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.LayerNorm(5), torch.nn.BatchNorm1d(5))
    state = module.state_dict()  # with the versions of modules as attributes of the dict
    assert_reads(save(state, tmp_path / "m.bin", zipped), state)
    parameters = dict(module.named_parameters())
    assert_reads(save(parameters, tmp_path / "p.bin", zipped), parameters)


@LAYOUTS
@pytest.mark.parametrize("name", ["state_dict", "model", "model_state_dict", "weights"])
def test_one_level_below(name, zipped, tmp_path):
    state = {"a": torch.ones(3), "b": torch.zeros(2, 2)}
    extra = {"epoch": 3, "rate": 0.1, "note": "é", "done": None, "flags": [True, (1, 2), -70000, 2**40], "loss": 1.5}
    assert_reads(save({**extra, name: state}, tmp_path / "m.bin", zipped), state)


def test_a_training_checkpoint(tmp_path):
    module = torch.nn.Linear(2, 3)
    optimizer = torch.optim.Adam(module.parameters())
    module(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    value = {"state_dict": module.state_dict(), "optimizer": optimizer.state_dict(), "loss": torch.tensor(1.0)}
    assert_reads(save(value, tmp_path / "m.bin"), module.state_dict())


def test_several_dicts(tmp_path):
    state = {"a": torch.ones(3)}
    refusal(save({"ema": state, "teacher": dict(state)}, tmp_path / "m.bin"), "'ema'; 'teacher'", "state_dict alone")
    refusal(save({"model": state, "state_dict": dict(state)}, tmp_path / "m.bin"), "'state_dict'; 'model'")
    refusal(save({"a": 1}, tmp_path / "m.bin"), "Received: none")
    refusal(save([torch.ones(2)], tmp_path / "m.bin"), "Received: list")
    refusal(save(torch.ones(2), tmp_path / "m.bin"), "Received: tensor")


def test_shards(tmp_path):
    hub = pytest.importorskip("huggingface_hub")
    values = {name: tensor.contiguous().clone() for name, tensor in tensors().items()}
    hub.save_torch_state_dict(values, tmp_path, max_shard_size=100, safe_serialization=False)
    assert (tmp_path / "pytorch_model.bin.index.json").is_file()
    stored = read_torch(tmp_path)
    assert sorted(stored) == sorted(values)
    assert all(stored[name].read().tobytes() == numpy_of(values[name]).tobytes() for name in values)


def test_a_file_of_the_other_byte_order(tmp_path):
    path = save({"a": torch.arange(4, dtype=torch.float32)}, tmp_path / "m.bin")
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    entries["m/byteorder"] = b"big"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    want = torch.load(path, weights_only=True)["a"].numpy()
    assert read_torch(path)["a"].read().tobytes() == want.tobytes()


def test_python_2_pickles(tmp_path):
    """The layout of PyTorch 0.4 on Python 2, which had byte strings and gave an OrderedDict its pairs at once."""
    text = lambda value: b"U" + bytes([len(value)]) + value.encode()  # noqa: E731
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("77") + text("cpu") + b"K\x06NtQ"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x01(K\x02K\x02t(K\x02K\x01t\x89NtR"
    state = b"\x80\x02ccollections\nOrderedDict\n]]" + text("a") + b"a" + tensor + b"aa\x85R."
    content = b"".join(pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
    content += state + pickle.dumps(["77"], 2) + struct.pack("<q6f", 6, *range(6))
    path = tmp_path / "m.bin"
    path.write_bytes(content)
    assert_reads(path, {"a": torch.tensor([[1.0, 2.0], [3.0, 4.0]])})


class Hostile:
    """Writes a file when it is unpickled the ordinary way."""

    def __init__(self, path, call=os.system):
        self.arguments = (call, (f"touch {path}",))

    def __reduce__(self):
        return self.arguments


@LAYOUTS
@pytest.mark.parametrize("call", [os.system, eval, exec, pickle.loads, torch.load, getattr, open])
def test_code_is_named_and_not_run(call, zipped, tmp_path):
    trace = tmp_path / "trace"
    path = save({"a": torch.ones(2), "b": Hostile(trace, call)}, tmp_path / "m.bin", zipped)
    refusal(path, "holds code (", f".{call.__name__})", "nothing was executed", "safetensors")
    path.write_bytes(pickle.dumps(Hostile(trace, call)))
    refusal(path, "holds code (", f".{call.__name__})", "nothing was executed")
    assert not trace.exists()


@pytest.mark.parametrize(
    "value",
    [torch.nn.Linear(2, 2), np.float32(1), np.ones(2), torch.ones(2).to_sparse(), collections.Counter("aab"), {1, 2}],
    ids=lambda value: type(value).__name__,
)
def test_objects_are_refused(value, tmp_path):
    refusal(save({"a": torch.ones(2), "b": value}, tmp_path / "m.bin"), "m.bin: ")


def test_an_expanded_tensor(tmp_path):
    path = save({"a": torch.ones(1).expand(2**40)}, tmp_path / "m.bin")
    refusal(path, "'a', expanded from 1 to 1099511627776", "contiguous()")


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_torchscript_program(tmp_path):
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "m.bin"))
    refusal(tmp_path / "m.bin", "TorchScript", "state_dict")


def rebuilt(path, compression=zipfile.ZIP_STORED, **changes):
    """Write a saved file again with entries changed; `None` drops one."""
    with zipfile.ZipFile(path) as archive:
        entries = {name.removeprefix("m/"): archive.read(name) for name in archive.namelist()}
    entries.update(changes)
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries.items():
            if content is not None:
                archive.writestr(f"m/{name}", content)
    return path


def test_zips_that_are_not_as_they_should_be(tmp_path):
    def saved():
        return save({"a": torch.ones(64, 64)}, tmp_path / "m.bin")

    assert read_torch(rebuilt(saved()))["a"].read().sum() == 4096
    refusal(rebuilt(saved(), zipfile.ZIP_DEFLATED), "is compressed", "Download the checkpoint again")
    refusal(rebuilt(saved(), **{"data/0": None}), "storage '0' is missing")
    refusal(rebuilt(saved(), **{"data/0": bytes(100)}), "storage '0' has 100 bytes, too few")
    refusal(rebuilt(saved(), **{"data.pkl": None}), "without the one data.pkl")
    refusal(rebuilt(saved(), **{"byteorder": b"middle"}), "its byte order is 'middle'")
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(saved(), "a") as archive:
        archive.writestr("m/data/0", b"")
    refusal(tmp_path / "m.bin", "'m/data/0' occurs twice")


@LAYOUTS
def test_every_truncation(zipped, tmp_path):
    path = save({"a": torch.ones(2, 3)}, tmp_path / "m.bin", zipped)
    content = path.read_bytes()
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        refusal(path, "damaged or truncated", "Download the checkpoint again")


def test_other_files(tmp_path):
    path = tmp_path / "pytorch_model.bin"
    refusal(path, "not found")
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin: not found; the folder holds nothing"):
        read_torch(tmp_path)
    path.mkdir()
    with pytest.raises(CheckpointError, match="must be a file"):
        read_torch(tmp_path)
    path.rmdir()
    os.mkfifo(path)
    with pytest.raises(CheckpointError, match="must be a file"):
        read_torch(tmp_path)
    path.unlink()
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    refusal(path, "a Git LFS pointer")
    path.write_bytes(b"<html>" * 99)
    refusal(path, "neither a zip nor a pickle")
    path.write_bytes(pickle.dumps({"a": [1.0, 2.0]}, 2))
    refusal(path, "damaged")
    path.write_bytes(bytes(257) + b"ustar" + bytes(250))
    refusal(path, "a tar file")


def test_a_file_that_shrinks_after_it_was_opened(tmp_path):
    path = save({"a": torch.ones(2, 3)}, tmp_path / "m.bin")
    stored = read_torch(path)["a"]
    buffer = io.BytesIO(path.read_bytes())
    path.write_bytes(buffer.read(20))
    with pytest.raises(CheckpointError, match="become shorter"):
        stored.read()

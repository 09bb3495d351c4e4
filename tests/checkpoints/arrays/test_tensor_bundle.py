"""TensorFlow reads what is written here, bit for bit, and what it writes is read; damage is found by checksums."""

import os
import tracemalloc

import ml_dtypes
import numpy as np
import pytest

from keras_bert_suite.checkpoints.arrays import tensor_bundle
from keras_bert_suite.checkpoints.arrays.stored import StoredArray
from keras_bert_suite.checkpoints.arrays.tensor_bundle import find_prefix, read_bundle, write_bundle
from keras_bert_suite.errors import CheckpointError
from tests.support.shared import shared_path


def arrays():
    random = np.random.default_rng(0)
    values = {
        f"bert/encoder/layer_{layer}/{part}/{kind}": random.normal(size=shape).astype("float32")
        for layer in range(12)
        for part in ("attention/self/query", "attention/self/key", "output/dense")
        for kind, shape in (("kernel", (5, 3)), ("bias", (3,)), ("bias/adam_m", (3,)))
    }
    values["global_step"] = np.array(1234567890123)
    values["empty"] = np.zeros((0, 3), "float32")
    values["é"] = np.array([True, False])
    kinds = "float16 float64 int8 int16 int32 uint8 uint16 uint32 uint64 complex64 complex128"
    for dtype in kinds.split():
        values[f"kinds/{dtype}"] = random.integers(0, 9, (2, 3)).astype(dtype)
    values["kinds/bfloat16"] = random.normal(size=(2, 3)).astype(ml_dtypes.bfloat16)
    return values


def assert_reads(prefix, expected):
    stored = read_bundle(prefix)
    assert list(stored) == sorted(expected, key=lambda name: name.encode())
    for name, want in expected.items():
        array = stored[name].read()
        assert stored[name].shape == array.shape == want.shape, name
        assert stored[name].dtype == array.dtype == want.dtype, name
        owner = array if array.base is None else array.base  # so that it is aligned, it may begin inside a buffer
        assert [array.flags.c_contiguous, array.flags.writeable, owner.flags.owndata] == [True] * 3, name
        assert not np.may_share_memory(array, stored[name].read()), name
        assert array.tobytes() == want.tobytes(), name


def refusal(prefix, *words):
    with pytest.raises(CheckpointError) as caught:
        _ = [array.read() for array in read_bundle(prefix).values()]
    message = str(caught.value)
    assert message.startswith(str(prefix)), message
    assert "\n" not in message
    assert [word for word in words if word not in message] == [], message


@pytest.fixture
def prefix(tmp_path):
    write_bundle(tmp_path / "model.ckpt", arrays())
    return tmp_path / "model.ckpt"


def test_written_and_read(prefix):
    assert_reads(prefix, arrays())


def test_copied_from_a_checkpoint(prefix, tmp_path):
    write_bundle(tmp_path / "again", read_bundle(prefix))
    for suffix in (".index", ".data-00000-of-00001"):
        assert (tmp_path / f"again{suffix}").read_bytes() == (tmp_path / f"model.ckpt{suffix}").read_bytes()


def test_the_original_bert_checkpoint(tmp_path):
    folder = shared_path("weights/tf1-bert-toy")
    assert find_prefix(folder) == folder / "bert_model.ckpt"
    stored = read_bundle(find_prefix(folder))
    assert stored["bert/encoder/layer_0/attention/self/query/kernel"].shape == (4, 4)
    assert "cls/predictions/output_bias/adam_v" in stored
    assert stored["global_step"].read().dtype == "int64"
    write_bundle(tmp_path / "copy", stored)
    for suffix in (".index", ".data-00000-of-00001"):
        assert (tmp_path / f"copy{suffix}").read_bytes() == (folder / f"bert_model.ckpt{suffix}").read_bytes()


@pytest.mark.tensorflow
def test_tensorflow_reads_it(prefix):
    tf = pytest.importorskip("tensorflow")
    reader = tf.train.load_checkpoint(str(prefix))
    assert dict(tf.train.list_variables(str(prefix))) == {name: list(a.shape) for name, a in arrays().items()}
    for name, array in arrays().items():
        value = np.asarray(reader.get_tensor(name))
        assert value.dtype == array.dtype, name
        assert value.tobytes() == array.tobytes(), name


@pytest.mark.tensorflow
def test_a_saver_restores_and_writes_it(tmp_path):
    tf = pytest.importorskip("tensorflow")
    values = {f"v{index:03d}/kernel": np.random.normal(size=(3, index)).astype("float32") for index in range(300)}
    write_bundle(tmp_path / "ours", values)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        variables = {name: tf.compat.v1.get_variable(name, a.shape) for name, a in values.items()}
        saver = tf.compat.v1.train.Saver(variables)
        saver.restore(session, str(tmp_path / "ours"))
        restored = session.run(variables)
        saver.save(session, str(tmp_path / "theirs"), write_meta_graph=False)
    assert all(np.array_equal(restored[name], values[name]) for name in values)
    assert_reads(tmp_path / "theirs", values)
    assert (tmp_path / "ours.index").read_bytes() == (tmp_path / "theirs.index").read_bytes()
    assert find_prefix(tmp_path) == tmp_path / "theirs"  # of the two, the one in TensorFlow's own file


@pytest.mark.tensorflow
def test_what_tf_train_checkpoint_writes(tmp_path):
    tf = pytest.importorskip("tensorflow")
    objects = {"weight": tf.Variable(tf.reshape(tf.range(6.0), (2, 3))), "step": tf.Variable(7, dtype=tf.int64)}
    objects["half"] = tf.Variable(tf.constant([1.5, -2.0], tf.bfloat16))
    path = tf.train.Checkpoint(**objects).save(str(tmp_path / "ckpt"))
    assert find_prefix(tmp_path) == tmp_path / "ckpt-1"
    stored = read_bundle(path)
    assert stored["weight/.ATTRIBUTES/VARIABLE_VALUE"].read().tolist() == [[0, 1, 2], [3, 4, 5]]
    assert stored["half/.ATTRIBUTES/VARIABLE_VALUE"].read().dtype == ml_dtypes.bfloat16
    assert stored["step/.ATTRIBUTES/VARIABLE_VALUE"].read() == 7
    assert "_CHECKPOINTABLE_OBJECT_GRAPH" not in stored


@pytest.mark.tensorflow
def test_an_index_of_several_blocks(tmp_path):
    tf = pytest.importorskip("tensorflow")
    values = {f"{index:05d}/{'long' * 30}": np.array(index, "int32") for index in range(9000)}
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "x"),
        tensor_names=list(values),
        shape_and_slices=[""] * len(values),
        tensors=[tf.constant(array) for array in values.values()],
    )
    assert (tmp_path / "x.index").stat().st_size > 262_144  # where TensorFlow begins another block
    assert_reads(tmp_path / "x", values)


@pytest.mark.tensorflow
def test_variables_in_parts_and_several_data_files(tmp_path):
    tf = pytest.importorskip("tensorflow")
    for number, (name, slices) in enumerate([("whole", ""), ("parts", "4 3 0,2:-"), ("parts", "4 3 2,2:-")]):
        tf.raw_ops.SaveV2(
            prefix=str(tmp_path / f"temporary{number}"), tensor_names=[name], shape_and_slices=[slices],
            tensors=[tf.ones((2, 3)) * number],
        )  # fmt: skip
    tf.raw_ops.MergeV2Checkpoints(
        checkpoint_prefixes=[str(tmp_path / f"temporary{number}") for number in range(3)],
        destination_prefix=str(tmp_path / "model"),
    )
    stored = read_bundle(tmp_path / "model")
    assert stored["whole"].read().tolist() == [[0] * 3] * 2
    assert stored["parts"].shape == (4, 3)
    with pytest.raises(CheckpointError, match=r"'parts' in parts \(a partitioned variable\)\. Save"):
        stored["parts"].read()
    (tmp_path / "model.data-00000-of-00003").unlink()
    refusal(tmp_path / "model", ".data-00000-of-00003: not found")


@pytest.mark.tensorflow
def test_the_first_version(tmp_path):
    tf = pytest.importorskip("tensorflow")
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.get_variable("v", initializer=tf.ones(3))
        session.run(tf.compat.v1.global_variables_initializer())
        saver = tf.compat.v1.train.Saver(write_version=tf.compat.v1.train.SaverDef.V1)
        saver.save(session, str(tmp_path / "model.ckpt"), write_meta_graph=False)
    refusal(tmp_path / "model.ckpt", "version 2", "Received: one of version 1", "tf.compat.v1.train.Saver()")
    with pytest.raises(CheckpointError, match="one of version 1"):
        find_prefix(tmp_path)


def test_the_other_byte_order(prefix, monkeypatch):
    written = read_bundle(prefix)["kinds/float64"].read()
    monkeypatch.setattr(tensor_bundle, "_number", lambda fields, field: 1 if field == 2 else fields.get(field, 0))
    assert read_bundle(prefix)["kinds/float64"].read().byteswap().tolist() == written.tolist()


def test_one_array_at_a_time(tmp_path):
    def stored(number):
        return StoredArray((250_000,), np.dtype("float32"), lambda: np.full(250_000, number, "float32"))

    tracemalloc.start()
    write_bundle(tmp_path / "x", {f"a{number}": stored(number) for number in range(20)})
    _ = [array.read().sum() for array in read_bundle(tmp_path / "x").values()]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3_000_000


def test_arrays_that_cannot_be_written(tmp_path):
    with pytest.raises(TypeError, match="x is <U1"):
        write_bundle(tmp_path / "x", {"x": np.array(["a"])})
    with pytest.raises(ValueError, match="a name must have letters"):
        write_bundle(tmp_path / "x", {"": np.zeros(2)})


def test_a_full_disk(tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full here")
    for suffix in (".data-00000-of-00001", ".index"):
        (tmp_path / f"x{suffix}").symlink_to("/dev/full")
        with pytest.raises(OSError, match="No space left"):
            write_bundle(tmp_path / "x", {"a": np.zeros(3)})
        (tmp_path / f"x{suffix}").unlink()


def test_every_truncation_and_every_flip_of_the_index(tmp_path):
    prefix = tmp_path / "x"
    write_bundle(prefix, {"a/kernel": np.ones((2, 3), "float32"), "a/bias": np.ones(3, "float32")})
    index = tmp_path / "x.index"
    content = index.read_bytes()
    for length in range(len(content)):
        index.write_bytes(content[:length])
        refusal(index.with_suffix(""), "x.index: damaged or truncated", "Download the checkpoint again")
    tolerated = 0
    for position in range(len(content)):
        index.write_bytes(content[:position] + bytes([content[position] ^ 4]) + content[position + 1 :])
        try:
            read_bundle(prefix)
            tolerated += 1
        except CheckpointError as error:
            assert str(error).startswith(f"{index}: damaged")  # noqa: PT017
    assert tolerated < 60  # the block that TensorFlow leaves empty, and padding


def test_damaged_data(prefix):
    data = prefix.with_name("model.ckpt.data-00000-of-00001")
    content = bytearray(data.read_bytes())
    content[100] ^= 1
    data.write_bytes(content)
    refusal(prefix, "data-00000-of-00001: damaged (the checksum of 'bert/", "is wrong")
    data.write_bytes(content[:-1])
    refusal(prefix, "damaged or truncated", "ends at byte")
    data.unlink()
    refusal(prefix, "data-00000-of-00001: not found")
    (prefix.with_name("model.ckpt.index")).unlink()
    refusal(prefix, "model.ckpt.index: not found")


def test_several_checkpoints_in_a_folder(tmp_path):
    with pytest.raises(CheckpointError, match="no TensorFlow checkpoint, .* but nothing"):
        find_prefix(tmp_path)
    with pytest.raises(CheckpointError, match="no such directory"):
        find_prefix(tmp_path / "nowhere")
    for step in (10, 1000):
        write_bundle(tmp_path / f"model.ckpt-{step}", {"a": np.zeros(2)})
    several = r"must hold one checkpoint.*Received: model\.ckpt-10; model\.ckpt-1000\. Give one"
    with pytest.raises(CheckpointError, match=several):
        find_prefix(tmp_path)
    latest = tmp_path / "checkpoint"
    for named in ("model.ckpt-10", "/gone/model.ckpt-10", "gs://bucket/run/model.ckpt-10", "..\\\\..\\\\model.ckpt-10"):
        latest.write_text(f'model_checkpoint_path: "{named}"\nall_model_checkpoint_paths: "model.ckpt-1000"\n')
        assert find_prefix(tmp_path) == tmp_path / "model.ckpt-10"
    for content in ("", 'model_checkpoint_path: "../other"', 'model_checkpoint_path: "', "\xff\0", '"' * 1000):
        latest.write_bytes(content.encode("latin-1"))
        with pytest.raises(CheckpointError, match=several):
            find_prefix(tmp_path)

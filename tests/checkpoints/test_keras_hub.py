"""KerasHub presets of every family against KerasHub: its numbers here, and ours there."""

import contextlib
import dataclasses
import json
import shutil
import subprocess
import sys
import warnings

import h5py
import keras
import numpy as np
import pytest

from keras_bert_suite.checkpoints import from_model, load_weights
from keras_bert_suite.checkpoints.keras_hub import is_keras_hub, read_keras_hub, write_keras_hub
from keras_bert_suite.checkpoints.keras_hub_outputs import keras_hub_outputs
from keras_bert_suite.checkpoints.model import load_head
from keras_bert_suite.config import FAMILIES, EncoderConfig
from keras_bert_suite.errors import CheckpointError
from keras_bert_suite.models import (
    build_encoder,
    build_masked_lm,
    build_question_answering,
    build_text_classifier,
    build_token_classifier,
    encoder_config,
)
from tests.support.selection import slow_to_compile

keras_hub = pytest.importorskip("keras_hub")

TOLERANCE = 1e-5

#: Unequal sizes, which show swapped axes; values that differ from every default.
SIZES = {
    "vocabulary_size": 31,
    "num_layers": 3,
    "num_heads": 3,
    "hidden_dim": 12,
    "intermediate_dim": 20,
    "max_sequence_length": 19,
    "dropout": 0.2,
}
ELECTRA = {("vocab_size" if key == "vocabulary_size" else key): value for key, value in SIZES.items()}

#: A name for each variant -> (beginning of the classes' names, our family, values of the config).
VARIANTS = {
    "bert": ("Bert", "bert", {**SIZES, "num_segments": 4}),
    "roberta": ("Roberta", "roberta", SIZES),
    "xlm-roberta": ("XLMRoberta", "xlm-roberta", SIZES),
    "distilbert": ("DistilBert", "distilbert", SIZES),
    "albert": ("Albert", "albert", {**SIZES, "embedding_dim": 8, "num_segments": 2}),
    "albert-groups": ("Albert", "albert", {**SIZES, "embedding_dim": 12, "num_groups": 2, "num_layers": 4}),
    "electra": ("Electra", "electra", {**ELECTRA, "embedding_dim": 8, "num_segments": 3}),
    "electra-wide": ("Electra", "electra", {**ELECTRA, "embedding_dim": 12}),
}
CLASSIFIERS = ("bert", "roberta", "xlm-roberta", "distilbert", "albert")
#: Those whose masked language model has the same epsilon in its head as in its encoder, and the others.
SAME_EPSILON = ("roberta", "xlm-roberta")
OTHER_EPSILON = ("bert", "distilbert", "albert")


def randomize(model, seed=7):
    """Draw every weight, norms and biases too."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        if "float" in variable.dtype:
            value = keras.ops.convert_to_numpy(variable.value).astype("float32")
            one = 1.0 if variable.name == "gamma" else 0.0
            variable.assign(one + 0.25 * rng.standard_normal(value.shape).astype("float32"))
    return model


def backbone(variant, **changes):
    class_name, _, values = VARIANTS[variant]
    return randomize(getattr(keras_hub.models, f"{class_name}Backbone")(**{**values, **changes}))


def task(variant, end, **values):
    built = getattr(keras_hub.models, VARIANTS[variant][0] + end)(backbone=backbone(variant), **values)
    return randomize(built)


def make_inputs(config, seed=11):
    """Token arrays by our names: unequal lengths, and a hole in a mask."""
    rng = np.random.default_rng(seed)
    token_ids = rng.integers(6, 31, (4, 11)).astype("int32")
    mask = np.ones((4, 11), "int32")
    for row, length in enumerate((11, 8, 5, 1)):
        mask[row, length:] = 0
    token_ids[mask == 0] = config.pad_token_id
    mask[0, 4] = 0
    segment_ids = rng.integers(0, max(config.num_segments, 1), (4, 11)).astype("int32") * mask
    return {"token_ids": token_ids, "segment_ids": segment_ids, "padding_mask": mask}


def predict(model, inputs):
    outputs = keras.tree.map_structure(keras.ops.convert_to_numpy, model.predict_on_batch(inputs))
    return outputs if isinstance(outputs, dict) else {"logits": outputs}


def difference(ours, theirs, mask):
    """The largest difference of any output; of outputs for single tokens, at real tokens only."""
    assert ours.keys() == theirs.keys()
    largest = 0.0
    for name, output in ours.items():
        assert output.shape == theirs[name].shape
        gap = np.abs(output - theirs[name])
        largest = max(largest, float((gap[mask.astype(bool)] if gap.shape[:2] == mask.shape else gap).max()))
    return largest


def stored(path):
    """Every array of an HDF5 file by its name."""
    arrays = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: arrays.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return arrays


def load(directory):
    checkpoint = read_keras_hub(directory)
    return load_weights(checkpoint, lambda: build_encoder(checkpoint.config))[0]


def write(directory, model, **options):
    directory.mkdir()
    write_keras_hub(directory, from_model(model), **options)


def make_encoder(family, **changes):
    """A new encoder of ours that KerasHub can express but for `changes`."""
    sizes = {"vocabulary_size": 31, "hidden_dim": 12, "num_layers": 3, "num_heads": 3, "intermediate_dim": 20}
    known = {"activation": "gelu_tanh"} if family in ("bert", "electra") else {}
    known |= {"pooler": False} if "roberta" in family else {}
    return randomize(build_encoder(FAMILIES[family].replace(**sizes, max_length=19, **{**known, **changes})))


def nameless(values):
    """A serialized object without the names that Keras counts up in a process."""
    if not isinstance(values, dict):
        return values
    config = {key: nameless(value) for key, value in values.get("config", {}).items() if key != "name"}
    return {**values, "config": config}


def check_both_ways(tmp_path, model, head=None):
    """Both compute one thing, and what we write is what KerasHub wrote, bit for bit."""
    config = read_keras_hub(tmp_path / "theirs").config
    inputs = make_inputs(config)
    expected = keras_hub_outputs(tmp_path / "theirs", inputs, head)
    gap = difference(predict(model, inputs), expected, inputs["padding_mask"])
    assert gap <= TOLERANCE
    (tmp_path / "ours").mkdir()
    checkpoint = read_keras_hub(tmp_path / "theirs")
    pooler = {path: array for path, array in checkpoint.weights.items() if path.startswith("pooler/")}
    given = from_model(model, labels=checkpoint.labels)  # a head that has no use for the pooler has none
    write_keras_hub(tmp_path / "ours", dataclasses.replace(given, weights={**pooler, **given.weights}))
    assert is_keras_hub(tmp_path / "ours")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        again = keras_hub_outputs(tmp_path / "ours", inputs, head)
    for name, output in expected.items():
        np.testing.assert_array_equal(again[name], output)
    for name in ("model.weights.h5", "task.weights.h5") if head else ("model.weights.h5",):
        mine, other = stored(tmp_path / "ours" / name), stored(tmp_path / "theirs" / name)
        assert mine.keys() == other.keys()
        for key, array in other.items():
            if key == "optimizer/vars/0":
                continue  # steps, which TensorFlow counts in int64
            assert mine[key].dtype == array.dtype
            np.testing.assert_array_equal(mine[key], array, key)
    for name in ("config.json", "task.json") if head else ("config.json",):
        mine, other = (json.loads((tmp_path / side / name).read_text()) for side in ("ours", "theirs"))
        assert nameless(mine) == nameless(other)
    return gap


@slow_to_compile
@pytest.mark.parametrize("variant", VARIANTS)
def test_encoders(variant, tmp_path):
    backbone(variant).save_to_preset(tmp_path / "theirs")
    check_both_ways(tmp_path, load(tmp_path / "theirs"))


@slow_to_compile
@pytest.mark.parametrize("variant", CLASSIFIERS)
def test_text_classifiers(variant, tmp_path, caplog):
    task(variant, "TextClassifier", num_classes=5, dropout=0.35).save_to_preset(tmp_path / "theirs")
    checkpoint = read_keras_hub(tmp_path / "theirs")
    assert checkpoint.heads == ("text_classifier",)
    assert checkpoint.config.heads.dropout_rate == 0.35
    model, new_parts = load_head(checkpoint, "text_classifier")
    assert not new_parts
    check_both_ways(tmp_path, model, "text_classifier")
    assert not caplog.records  # nothing is new, nothing is left aside


@slow_to_compile
@pytest.mark.parametrize("variant", SAME_EPSILON + OTHER_EPSILON)
def test_masked_language_models(variant, tmp_path, caplog):
    task(variant, "MaskedLM").save_to_preset(tmp_path / "theirs")
    model, new_parts = load_head(read_keras_hub(tmp_path / "theirs"), "masked_lm")
    assert not new_parts
    check_both_ways(tmp_path, model, "masked_lm")
    assert not caplog.records


@pytest.mark.parametrize("variant", OTHER_EPSILON)
def test_a_masked_language_model_with_an_epsilon_of_its_own(variant, tmp_path):
    model = build_masked_lm(make_encoder(VARIANTS[variant][1]))
    with pytest.raises(CheckpointError, match="heads.masked_lm_epsilon=1e-12, where it has 1e-05"):
        write(tmp_path / "refused", model)
    write(tmp_path / "ours", model, allow_approximation=True)
    inputs = make_inputs(encoder_config(model))
    outputs = keras_hub_outputs(tmp_path / "ours", inputs, "masked_lm")
    assert 0 < difference(predict(model, inputs), outputs, inputs["padding_mask"]) < 0.1


def test_what_a_config_says(tmp_path):
    backbone("bert").save_to_preset(tmp_path)
    assert read_keras_hub(tmp_path).config == EncoderConfig(
        vocabulary_size=31,
        hidden_dim=12,
        num_layers=3,
        num_heads=3,
        intermediate_dim=20,
        max_length=19,
        num_segments=4,
        dropout_rate=0.2,
        attention_dropout_rate=0.2,
        activation="gelu_tanh",
        layer_norm_epsilon=1e-12,
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_types(dtype, tmp_path):
    backbone("electra", dtype=dtype).save_to_preset(tmp_path / "theirs")
    checkpoint = read_keras_hub(tmp_path / "theirs")
    assert checkpoint.dtype == dtype
    (tmp_path / "ours").mkdir()
    write_keras_hub(tmp_path / "ours", checkpoint)
    mine, other = (stored(tmp_path / side / "model.weights.h5") for side in ("ours", "theirs"))
    assert mine.keys() == other.keys()
    assert all(mine[key].tobytes() == array.tobytes() for key, array in other.items())
    if dtype == "bfloat16":  # in HDF5 it is opaque pairs of bytes, and a note that Keras reads
        again = keras_hub.models.Backbone.from_preset(str(tmp_path / "ours"), dtype=dtype)
        table = keras.ops.convert_to_numpy(keras.ops.cast(again.token_embedding.embeddings, "float32"))
        ours = checkpoint.weights["embeddings/token/embeddings"].read().astype("float32")
        np.testing.assert_array_equal(table, ours)


def test_shards(tmp_path):
    theirs = backbone("bert")
    theirs.save_to_preset(tmp_path / "whole")
    theirs.save_to_preset(tmp_path / "shards", max_shard_size=3e-6)
    assert len(list((tmp_path / "shards").glob("*.h5"))) > 2
    whole, shards = (read_keras_hub(tmp_path / name).weights for name in ("whole", "shards"))
    assert whole.keys() == shards.keys()
    for path, array in whole.items():
        np.testing.assert_array_equal(shards[path].read(), array.read())
    index = tmp_path / "shards" / "model.weights.json"
    for name in ("../whole/model.weights.h5", "/etc/passwd.h5", 3, ["model_00000.weights.h5", ".."]):
        index.write_text(json.dumps({"weight_map": {"/layers/dense/vars": name}}))
        refusal(tmp_path / "shards", "model.weights.json: damaged or truncated")
    index.write_text(json.dumps({"weight_map": {"/layers/dense/vars": "gone.weights.h5"}}))
    refusal(tmp_path / "shards", "gone.weights.h5: not found")


def test_the_folder_names_of_keras_2(tmp_path):
    backbone("distilbert").save_to_preset(tmp_path)
    before = read_keras_hub(tmp_path).weights
    with h5py.File(tmp_path / "model.weights.h5", "a") as file:
        file.move("layers", "_layer_checkpoint_dependencies")
    after = read_keras_hub(tmp_path).weights
    assert all(np.array_equal(after[path].read(), array.read()) for path, array in before.items())


def test_labels_come_back(tmp_path):
    model = build_text_classifier(make_encoder("distilbert"), num_labels=3)
    write_keras_hub(tmp_path, from_model(model, labels=["no", "yes", "both"]))
    assert read_keras_hub(tmp_path).labels == ["no", "yes", "both"]
    metadata = json.loads((tmp_path / "metadata.json").read_text())
    assert metadata["parameter_count"] == keras_hub.models.Backbone.from_preset(str(tmp_path)).count_params()
    (tmp_path / "metadata.json").write_text(json.dumps({"labels": ["no"]}))
    refusal(tmp_path, "metadata.json: labels must name the 3 classes")


def test_an_electra_gets_a_pooler(tmp_path, caplog):
    encoder = make_encoder("electra")
    write(tmp_path / "ours", encoder)
    assert "no pooler" in caplog.text
    inputs = make_inputs(FAMILIES["electra"])
    outputs = keras_hub_outputs(tmp_path / "ours", inputs)
    assert 0 < np.abs(outputs.pop("pooled_output")).max() < 1
    assert difference(predict(encoder, inputs), outputs, inputs["padding_mask"]) <= TOLERANCE


def test_the_segment_of_a_roberta_goes_with_its_positions(tmp_path):
    encoder = make_encoder("roberta")  # whose one segment is not zeros
    write(tmp_path / "ours", encoder)
    inputs = make_inputs(FAMILIES["roberta"])
    outputs = keras_hub_outputs(tmp_path / "ours", inputs)
    assert difference(predict(encoder, inputs), outputs, inputs["padding_mask"]) <= TOLERANCE


def test_the_padding_of_a_roberta_is_its_vocabulary_s(tmp_path):
    backbone("roberta").save_to_preset(tmp_path)
    (tmp_path / "assets" / "tokenizer").mkdir(parents=True)
    vocabulary = tmp_path / "assets" / "tokenizer" / "vocabulary.json"
    vocabulary.write_text(json.dumps({"<pad>": 31}))
    refusal(tmp_path, "vocabulary.json: <pad> must have an id below 31", "Received: 31")
    vocabulary.write_text(json.dumps({"<s>": 0, "<pad>": 4}))
    encoder = load(tmp_path)
    config = read_keras_hub(tmp_path).config
    assert config.pad_token_id == 4
    inputs = make_inputs(config)
    outputs = keras_hub_outputs(tmp_path, inputs)
    assert difference(predict(encoder, inputs), outputs, inputs["padding_mask"]) <= TOLERANCE


@pytest.mark.parametrize(
    ("family", "changes", "reason"),
    [
        ("bert", {"activation": "gelu"}, r"activation='gelu', where it has 'gelu_tanh'\. A tolerance above 1e-4"),
        ("bert", {"layer_norm_epsilon": 1e-3}, r"layer_norm_epsilon=0.001, where it has 1e-12\. A tolerance"),
        ("bert", {"activation": "relu"}, r"activation='relu', where it has 'gelu_tanh'\. Choose another format"),
        ("bert", {"embedding_dim": 8}, "embedding_dim=8, where it has None"),
        ("bert", {"pad_token_id": 3}, "pad_token_id=3, where it has 0"),
        ("bert", {"num_groups": 1}, "num_groups=1, where it has 3"),
        ("bert", {"attention_dropout_rate": 0.3}, "attention_dropout_rate=0.3, where it has 0.1"),
        ("bert", {"embedding_dropout_rate": 0.3}, "embedding_dropout_rate=0.3, where it has 0.1"),
        ("roberta", {"pooler": True}, "pooler/dense/kernel has no place there"),
        ("roberta", {"num_segments": 2}, "num_segments=2, where it has 1"),
        ("roberta", {"positions": "learned"}, "positions='learned', where it has 'after_padding'"),
        ("albert", {"num_groups": 2}, "num_groups=2, where it has only divisors of 3"),
        ("camembert", {}, "must be one of bert, roberta.* Received: camembert"),
        ("modernbert", {}, "must be one of bert, roberta.* Received: modernbert"),
    ],
)
def test_what_keras_hub_cannot_express(family, changes, reason, tmp_path):
    encoder = make_encoder(family, **changes)
    with pytest.raises(CheckpointError, match=reason):
        write(tmp_path / "refused", encoder)
    assert not list((tmp_path / "refused").iterdir())
    if "Allow" in reason:
        write(tmp_path / "ours", encoder, allow_approximation=True)
        inputs = make_inputs(FAMILIES["bert"])
        outputs = keras_hub_outputs(tmp_path / "ours", inputs)
        assert 0 < difference(predict(encoder, inputs), outputs, inputs["padding_mask"]) < 0.05


def test_heads_that_keras_hub_lacks(tmp_path):
    for head, reason in [
        (lambda encoder: build_token_classifier(encoder, 3), "has one head, text_classifier or masked_lm"),
        (build_question_answering, "Received: question_answering"),
        (lambda encoder: build_masked_lm(encoder, tied=False), "untied"),
    ]:
        with pytest.raises(CheckpointError, match=reason):
            write_keras_hub(tmp_path, from_model(head(make_encoder("roberta"))))
    with pytest.raises(CheckpointError, match=r"has one head, none\. Received: text_classifier"):
        write_keras_hub(tmp_path, from_model(build_text_classifier(make_encoder("electra"), 3)))
    wrong = {"heads": {**FAMILIES["distilbert"].to_dict()["heads"], "activation": "tanh"}}
    model = build_text_classifier(make_encoder("distilbert", **wrong), 3)
    with pytest.raises(CheckpointError, match=r"heads.activation='tanh', where it has 'relu'\. Choose"):
        write_keras_hub(tmp_path, from_model(model), allow_approximation=True)


def refusal(directory, *words):
    """Assert that loading is refused with a one-line message that has all of `words`."""
    with pytest.raises(CheckpointError) as caught:
        read_keras_hub(directory)
    message = str(caught.value)
    assert [word for word in (str(directory), *words) if word not in message] == [], message
    assert "\n" not in message


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    directory = tmp_path_factory.mktemp("preset")
    task("albert", "TextClassifier", num_classes=5).save_to_preset(directory)
    return directory


@pytest.fixture
def copy(preset, tmp_path):
    return shutil.copytree(preset, tmp_path / "copy")


def configure(path, *keys, value):
    """Set one entry of a JSON file."""
    values = json.loads(path.read_text())
    part = values
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = value
    path.write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("file", "key", "value", "words"),
    [
        ("config.json", "num_inner_repetitions", 2, ["num_inner_repetitions must be 1"]),
        ("config.json", "num_heads", 5, ["hidden_dim must be divisible by num_heads"]),
        ("config.json", "num_groups", 3, ["the config says 3 blocks, the weights have 1"]),
        ("config.json", "hidden_dim", "12", ["hidden_dim must be an int"]),
        ("config.json", "dropout", 2, ["dropout_rate must be in [0, 1)"]),
        ("config.json", "num_layers", None, ["num_layers must be an int"]),
        ("config.json", "num_layers", 10**9, ["the config describes an encoder of 1000000000 layers"]),
        ("config.json", "num_segments", 10**30, ["the config describes an encoder of 3 layers"]),
        ("task.json", "activation", "softmax", ["activation must be linear", "softmax"]),
        ("task.json", "hidden_dim", 7, ["hidden_dim must be that of the encoder, 12"]),
        ("task.json", "num_classes", 4, ["num_classes must be the size of the stored bias, (5,)"]),
        ("task.json", "dropout", "x", ["task.json"]),
        ("task.json", "backbone", {"config": {}}, ["its backbone must be that of config.json"]),
        ("task.json", "backbone", None, ["backbone must be an object"]),
    ],
)
def test_configs_that_are_refused(file, key, value, words, copy):
    configure(copy / file, "config", key, value=value)
    if file == "config.json":
        (copy / "task.json").unlink()
    with pytest.raises(CheckpointError) as caught:
        load_head(read_keras_hub(copy), "text_classifier", num_labels=5)
    assert [word for word in (str(copy), *words) if word not in str(caught.value)] == []


def test_classes_that_are_not_known(copy, caplog):
    configure(copy / "task.json", "registered_name", value="keras_hub>AlbertTokenSorter")
    checkpoint = read_keras_hub(copy)
    assert not checkpoint.heads
    assert checkpoint.left_aside == ("layers/dense/vars/0", "layers/dense/vars/1")
    assert "AlbertTokenSorter" in caplog.text
    configure(copy / "config.json", "registered_name", value="builtins>exec")
    refusal(copy, "config.json: registered_name must be one of BertBackbone", "'exec'")
    (copy / "config.json").unlink()
    assert is_keras_hub(copy)  # by its task, whose backbone is the same
    assert read_keras_hub(copy).config == checkpoint.config
    (copy / "task.json").write_text("{")
    assert not is_keras_hub(copy)


def test_a_task_without_weights_has_no_head(copy):
    (copy / "task.weights.h5").unlink()
    assert not read_keras_hub(copy).heads


def test_other_directories(tmp_path):
    assert not is_keras_hub(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    assert not is_keras_hub(tmp_path)


DENSE = "layers/dense/vars/0"


def _link_out(file):
    file["layers/dense/vars/2"] = h5py.ExternalLink("other.h5", "/layers")


def _link_soft(file):
    file["layers/other"] = h5py.SoftLink("/layers/dense")


def _virtual(file):
    layout = h5py.VirtualLayout(shape=(8, 12), dtype="float32")
    layout[:] = h5py.VirtualSource("other.h5", DENSE, shape=(8, 12))
    file.create_virtual_dataset(DENSE, layout)


#: What a hostile file has in the place of one weight, and a word of what is said of it.
HOSTILE = {
    "external link": (_link_out, "is a link to elsewhere"),
    "soft link": (_link_soft, "is a link to elsewhere"),
    "virtual": (_virtual, "in pieces or outside"),
    "external bytes": (
        lambda file: file.create_dataset(DENSE, (8, 12), "float32", external=[("/etc/passwd", 0, 384)]),
        "outside of the file",
    ),
    "bomb": (lambda file: file.create_dataset(DENSE, (10**6, 10**6), "float32", chunks=True), "in pieces"),
    "compressed": (lambda file: file.create_dataset(DENSE, data=np.zeros((8, 12)), compression="gzip"), "compressed"),
    "never written": (lambda file: file.create_dataset(DENSE, (10**5, 10**5), "float32"), "in pieces"),
    "objects": (lambda file: file.create_dataset(DENSE, data=["a"] * 3), "not made of floats"),
    "integers": (lambda file: file.create_dataset(DENSE, data=np.zeros((8, 12), "int8")), "not made of floats"),
    "records": (lambda file: file.create_dataset(DENSE, data=np.zeros(3, "f4,i4")), "not made of floats"),
    "references": (lambda file: file.create_dataset(DENSE, data=file.ref, dtype=h5py.ref_dtype), "not made of floats"),
    "opaque": (lambda file: file.create_dataset(DENSE, data=np.zeros((8, 12), "V2")), "not made of floats"),
    "empty": (lambda file: file.create_dataset(DENSE, data=h5py.Empty("float32")), "a shape must be"),
    "type": (lambda file: file.__setitem__(DENSE, np.dtype("float32")), "is no array"),
    "circle": (lambda file: file.__setitem__("layers/dense/vars/0", file["layers"]), "missing embeddings/projection"),
    "shape": (lambda file: file.create_dataset(DENSE, data=np.zeros((12, 8), "float32")), "has shape (12, 8)"),
    "more": (
        lambda file: file.create_dataset("layers/what/vars/0", data=np.zeros(3)),
        "no place in KerasHub's Albert of 3 layers",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files(kind, copy):
    change, word = HOSTILE[kind]
    with h5py.File(copy / "model.weights.h5", "a") as file:
        if kind not in ("external link", "soft link", "more"):
            del file[DENSE]
        change(file)
    with pytest.raises(CheckpointError) as caught:
        load(copy)
    assert str(copy) in str(caught.value)
    assert word in str(caught.value)


def test_damaged_files(copy):
    path = copy / "model.weights.h5"
    content = path.read_bytes()
    for kept in (0, 8, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:kept])
        refusal(copy, "model.weights.h5: damaged or truncated", "Download the checkpoint again")
    for other in (b"<html>" * 99, b"version https://git-lfs.github.com/spec/v1\n", b"\x89HDF\r\n\x1a\n" + bytes(500)):
        path.write_bytes(other)
        refusal(copy, "model.weights.h5: damaged or truncated", "Download the checkpoint again")
    rng = np.random.default_rng(3)
    for _ in range(40):  # any byte may be wrong: it is refused, or it is only a number
        damaged = np.frombuffer(content, "uint8").copy()
        damaged[rng.integers(0, len(content), 20)] = rng.integers(0, 256, 20)
        path.write_bytes(damaged.tobytes())
        with contextlib.suppress(CheckpointError):
            for array in read_keras_hub(copy).weights.values():
                array.read()
    path.unlink()
    refusal(copy, "model.weights.h5: not found")


def test_reading_imports_no_keras(copy):
    code = (
        "import sys; from keras_bert_suite.checkpoints.keras_hub import read_keras_hub; "
        f"read_keras_hub({str(copy)!r}); print('keras' in sys.modules or 'keras_hub' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

"""Checkpoints of google-research/bert: a real one, its training state left out, and the way back."""

import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest

from keras_bert_suite.checkpoints import from_model, load_encoder, load_head, load_weights, open_checkpoint
from keras_bert_suite.checkpoints.arrays.tensor_bundle import read_bundle, write_bundle
from keras_bert_suite.checkpoints.tf1 import write_tf1
from keras_bert_suite.config import FAMILIES, EncoderConfig
from keras_bert_suite.errors import CheckpointError
from keras_bert_suite.models import build_encoder, build_question_answering, build_text_classifier
from tests.support.shared import shared_path

CONFIG = EncoderConfig(
    vocabulary_size=31, hidden_dim=12, num_layers=3, num_heads=3, intermediate_dim=20, max_length=19, num_segments=3
)


def written(directory, model, **options):
    directory.mkdir()
    write_tf1(directory, from_model(model, **options))
    return directory


def inputs(config=CONFIG):
    rng = np.random.default_rng(3)
    mask = (np.arange(9) < np.array([9, 5, 1])[:, None]).astype("int32")
    return {
        "token_ids": rng.integers(0, config.vocabulary_size, mask.shape).astype("int32"),
        "segment_ids": rng.integers(0, config.num_segments, mask.shape).astype("int32"),
        "padding_mask": mask,
    }


def test_the_real_one_gives_its_reference():
    directory = shared_path("weights/tf1-bert-toy")
    with np.load(directory / "reference_mlm_nsp.npz") as reference:
        reference = dict(reference)
    checkpoint = open_checkpoint(directory)
    assert checkpoint.format == "tf1"
    assert checkpoint.heads == ("masked_lm", "next_sentence")
    assert not checkpoint.left_aside  # the slots of Adam are no weights
    given = {
        "token_ids": reference["input_ids"],
        "segment_ids": reference["token_type_ids"],
        "padding_mask": reference["attention_mask"],
    }
    for head, name in (("masked_lm", "mlm_logits"), ("next_sentence", "nsp_logits")):
        model, new_parts = load_head(checkpoint, head)
        assert not new_parts
        logits = keras.ops.convert_to_numpy(model.predict_on_batch(given))
        np.testing.assert_allclose(logits, reference[name], atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("head", "build"),
    [
        (None, lambda encoder: encoder),
        ("text_classifier", lambda encoder: build_text_classifier(encoder, 5)),
        ("question_answering", build_question_answering),
    ],
)
def test_there_and_back(head, build, tmp_path):
    model = build(build_encoder(CONFIG))
    labels = list("abcde") if head == "text_classifier" else None
    checkpoint = open_checkpoint(written(tmp_path / "tf1", model, labels=labels))
    assert checkpoint.config == CONFIG
    assert checkpoint.labels == labels
    assert checkpoint.heads == ((head,) if head else ())
    before = from_model(model)
    for path, array in checkpoint.weights.items():
        np.testing.assert_array_equal(array.read(), before.weights[path].read())
    assert set(checkpoint.weights) == set(before.weights)


@pytest.mark.tensorflow
def test_names_and_shapes_are_those_of_the_original(tmp_path):
    """The names that modeling.py and run_classifier.py of google-research/bert make."""
    tf = pytest.importorskip("tensorflow")
    directory = written(tmp_path / "tf1", build_text_classifier(build_encoder(CONFIG), 5))
    shapes = tf.train.load_checkpoint(str(directory / "bert_model.ckpt")).get_variable_to_shape_map()
    assert shapes["bert/embeddings/word_embeddings"] == [31, 12]
    assert shapes["bert/embeddings/LayerNorm/gamma"] == [12]
    assert shapes["bert/encoder/layer_2/attention/self/query/kernel"] == [12, 12]
    assert shapes["bert/encoder/layer_2/intermediate/dense/kernel"] == [12, 20]
    assert shapes["bert/encoder/layer_2/output/dense/kernel"] == [20, 12]
    assert shapes["bert/encoder/layer_0/output/LayerNorm/beta"] == [12]
    assert shapes["bert/pooler/dense/kernel"] == [12, 12]
    assert shapes["output_weights"] == [5, 12]
    assert len(shapes) == 5 + 3 * 16 + 2 + 2
    values = json.loads((directory / "bert_config.json").read_text())
    assert (values["hidden_act"], values["type_vocab_size"], values["num_hidden_layers"]) == ("gelu", 3, 3)


def test_training_state_is_left_out(tmp_path):
    directory = written(tmp_path / "tf1", build_encoder(CONFIG))
    arrays = {name: array.read() for name, array in read_bundle(directory / "bert_model.ckpt").items()}
    slots = {f"{name}/{slot}": array for name, array in arrays.items() for slot in ("adam_m", "adam_v")}
    write_bundle(directory / "bert_model.ckpt", {**arrays, **slots, "global_step": np.array(7, "int64")})
    checkpoint = open_checkpoint(directory)
    assert not checkpoint.left_aside
    assert len(checkpoint.weights) == len(arrays)
    load_weights(checkpoint, lambda: build_encoder(checkpoint.config))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"config": CONFIG.replace(activation="gelu_tanh")}, "activation=gelu_tanh"),
        ({"config": CONFIG.replace(layer_norm_epsilon=1e-5)}, "layer_norm_epsilon=1e-05"),
        ({"config": FAMILIES["roberta"]}, "family=roberta"),
        ({"heads": ("token_classifier",)}, "head token_classifier"),
        ({"tied": False}, "an untied masked language model"),
    ],
)
def test_what_it_cannot_express_is_named(changes, named, tmp_path):
    checkpoint = dataclasses.replace(from_model(build_encoder(CONFIG)), **changes)
    with pytest.raises(CheckpointError, match=f"cannot express.*{named}"):
        write_tf1(tmp_path, checkpoint)
    assert not list(tmp_path.iterdir())


def test_damage_is_named(tmp_path):
    directory = written(tmp_path / "tf1", build_encoder(CONFIG))
    values = json.loads((directory / "bert_config.json").read_text())

    (directory / "bert_config.json").write_text(json.dumps({**values, "num_hidden_layers": 2}))
    with pytest.raises(CheckpointError, match=r"no place in a BERT of 2 layers: bert/encoder/layer_2"):
        open_checkpoint(directory)
    (directory / "bert_config.json").write_text(json.dumps({**values, "num_hidden_layers": 4}))
    with pytest.raises(CheckpointError, match="missing block_3"):
        load_encoder(directory)
    (directory / "bert_config.json").write_text(json.dumps({**values, "hidden_size": 24}))
    with pytest.raises(CheckpointError, match="the config says"):
        load_encoder(directory)
    (directory / "bert_config.json").unlink()
    with pytest.raises(CheckpointError, match=r"config\.json: not found"):
        open_checkpoint(directory)
    shutil.rmtree(directory)

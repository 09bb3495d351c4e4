"""What we save, `transformers` opens whole; what it computes, we compute, on real checkpoints too."""

import numpy as np
import pytest

import keras_bert_suite as kbs
from keras_bert_suite.errors import CheckpointError
from keras_bert_suite.source import resolve_source
from tests.support.golden import GOLDEN_ACTIVATIONS, load_golden
from tests.support.shared import shared_path
from tests.support.tiny import tiny_classifier

transformers = pytest.importorskip("transformers")
torch = pytest.importorskip("torch")

TOLERANCE = 1e-5


def foreign_inputs(inputs):
    names = {"token_ids": "input_ids", "segment_ids": "token_type_ids", "padding_mask": "attention_mask"}
    return {theirs: torch.tensor(inputs[ours], dtype=torch.long) for ours, theirs in names.items()}


def opened_whole(kind, directory):
    """A model of `transformers`, after asserting that no weight was missing, unexpected or of another shape."""
    model, notes = kind.from_pretrained(directory, output_loading_info=True)
    assert {name: list(found) for name, found in notes.items() if found} == {}
    return model.eval()


def check_equal_encoders(encoder, reference, inputs, pooled=True):
    with torch.no_grad():
        expected = reference(**foreign_inputs(inputs))
    found = encoder.predict_on_batch(inputs)
    pairs = [("sequence_output", expected.last_hidden_state)]
    if pooled:
        pairs.append(("pooled_output", expected.pooler_output))
    for name, theirs in pairs:
        assert np.abs(np.asarray(found[name]) - theirs.numpy()).max() <= TOLERANCE, name


def random_inputs(vocabulary_size, shape, seed=0):
    """Random ids, segments and masks, with holes; the first token of each row is real."""
    rng = np.random.default_rng(seed)
    mask = rng.random(shape) < 0.7
    mask[:, 0] = True
    inputs = {"token_ids": rng.integers(0, vocabulary_size, shape), "segment_ids": rng.integers(0, 2, shape)}
    return {name: array.astype("int32") for name, array in {**inputs, "padding_mask": mask}.items()}


@pytest.mark.parametrize("activation", GOLDEN_ACTIVATIONS)
def test_a_saved_encoder(activation, tmp_path):
    encoder = kbs.load_encoder(load_golden(activation).write(tmp_path / "golden"))
    kbs.save_encoder(encoder, tmp_path / "model")
    reference = opened_whole(transformers.BertModel, tmp_path / "model")
    check_equal_encoders(encoder, reference, load_golden(activation).inputs)
    assert isinstance(transformers.AutoModel.from_pretrained(tmp_path / "model"), transformers.BertModel)


def test_a_saved_classifier(tmp_path):
    classifier = tiny_classifier(labels=["no", "größe", "yes"], num_layers=3, num_segments=3, activation="relu")
    classifier.save_pretrained(tmp_path / "model")
    reference = opened_whole(transformers.AutoModelForSequenceClassification, tmp_path / "model")
    assert type(reference) is transformers.BertForSequenceClassification
    assert reference.config.id2label == {0: "no", 1: "größe", 2: "yes"}
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    texts = ["good food, bad place", "fine", "not a good one at all"]
    arrays = tokenizer(texts, padding=True, return_tensors="pt")
    ours = classifier.tokenizer(texts)
    assert np.array_equal(arrays["input_ids"].numpy(), ours["token_ids"])
    with torch.no_grad():
        expected = reference(**arrays).logits.numpy()
    assert np.abs(classifier.model.predict(ours, verbose=0) - expected).max() <= TOLERANCE
    pipeline = transformers.pipeline("text-classification", model=reference, tokenizer=tokenizer)
    for theirs, mine in zip(pipeline(texts), classifier.predict(texts), strict=True):
        assert theirs["label"] == mine["label"]
        assert theirs["score"] == pytest.approx(mine["score"], abs=TOLERANCE)


@pytest.mark.parametrize("stored", [torch.float32, torch.float16, torch.bfloat16])
def test_what_transformers_saves(stored, tmp_path):
    config = transformers.BertConfig(
        vocab_size=31, hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=20,
        max_position_embeddings=17,
    )  # fmt: skip
    transformers.BertForPreTraining(config).to(stored).save_pretrained(tmp_path / "model")
    reference = transformers.BertModel.from_pretrained(tmp_path / "model", dtype=torch.float32).eval()
    check_equal_encoders(kbs.load_encoder(tmp_path / "model"), reference, random_inputs(31, (3, 13)))


def test_all_minilm():
    try:
        directory = resolve_source("all-MiniLM-L6-v2")
    except CheckpointError as error:
        pytest.skip(str(error))
    reference = transformers.BertModel.from_pretrained(directory).eval()
    check_equal_encoders(kbs.load_encoder("all-MiniLM-L6-v2"), reference, random_inputs(30522, (4, 48)))


def test_bert_tiny(caplog):
    directory = shared_path("weights/bert-tiny-mlm")
    reference = transformers.BertModel.from_pretrained(directory, add_pooling_layer=False).eval()
    encoder = kbs.load_encoder(directory)
    assert "has no pooler" in caplog.text
    check_equal_encoders(encoder, reference, random_inputs(30522, (6, 64)), pooled=False)


def test_bert_tiny_against_float64():
    directory = shared_path("weights/bert-tiny-mlm")
    with np.load(directory / "reference_mlm.npz") as reference:
        inputs = {
            "token_ids": reference["input_ids"].astype("int32"),
            "segment_ids": reference["token_type_ids"].astype("int32"),
            "padding_mask": reference["attention_mask"].astype("int32"),
        }
        expected = reference["last_hidden_state"]
    found = np.asarray(kbs.load_encoder(directory).predict_on_batch(inputs)["sequence_output"])
    real = inputs["padding_mask"].astype(bool)
    assert np.abs(found - expected)[real].max() <= TOLERANCE

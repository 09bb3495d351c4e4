"""Real checkpoints with heads, against the references that came with them."""

import lzma
import shutil

import keras
import numpy as np

from keras_bert_suite import load_tokenizer
from keras_bert_suite.checkpoints import load_model, open_checkpoint
from tests.support.shared import shared_path

OURS = {"input_ids": "token_ids", "token_type_ids": "segment_ids", "attention_mask": "padding_mask"}


def reference(path):
    """The arrays of a reference, those of the inputs by our names."""
    with np.load(path) as arrays:
        return {OURS.get(name, name): array for name, array in arrays.items()}


def logits_of(model, found):
    return keras.ops.convert_to_numpy(model.predict_on_batch({name: found[name] for name in OURS.values()}))


def test_a_masked_language_model():
    directory = shared_path("weights/bert-tiny-mlm")
    found = reference(directory / "reference_mlm.npz")
    logits = logits_of(load_model(directory, "masked_lm"), found)
    mask = found["padding_mask"].astype(bool)
    np.testing.assert_allclose(logits[mask], found["mlm_logits"][mask], atol=1e-4, rtol=0)  # logits of 15
    encoded = load_tokenizer(directory)(list(map(str, found["texts"])))
    np.testing.assert_array_equal(encoded["token_ids"], found["token_ids"])


def test_a_tagger(tmp_path):
    packed = shared_path("weights/minilm-pii-ner")
    for name in ("config.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(packed / name, tmp_path / name)
    with lzma.open(packed / "model.safetensors.xz") as file, open(tmp_path / "model.safetensors", "wb") as target:
        shutil.copyfileobj(file, target)
    found = reference(packed / "reference.npz")
    checkpoint = open_checkpoint(tmp_path)
    assert checkpoint.heads == ("token_classifier",)
    assert len(checkpoint.labels) == 35
    logits = logits_of(load_model(tmp_path, "token_classifier"), found)
    mask = found["padding_mask"].astype(bool)
    np.testing.assert_allclose(logits[mask], found["logits_ort"][mask], atol=1e-4, rtol=0)
    np.testing.assert_array_equal(logits[mask].argmax(-1), found["logits_ort"][mask].argmax(-1))
    encoded = load_tokenizer(tmp_path)(list(map(str, found["texts"])))
    np.testing.assert_array_equal(encoded["token_ids"], found["token_ids"])

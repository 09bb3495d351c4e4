"""The model of our own under saved_models/: small, whole, and of use."""

from pathlib import Path

import keras
import numpy as np
import pytest

import keras_bert_suite as kbs
from keras_bert_suite.tasks import MaskedLM

MODEL = Path(__file__).resolve().parents[2] / "saved_models" / "bert-mini-novels"
TEXTS = ["she looked at [MASK] with a smile .", "he took his hat and left the [MASK] ."]

pytestmark = pytest.mark.per_backend


def test_it_is_small():
    assert sum(path.stat().st_size for path in MODEL.rglob("*") if path.is_file()) < 15e6
    assert kbs.inspect_checkpoint(MODEL)["dtype"] == "float16"


def test_it_has_learnt_which_words_fit():
    answers = MaskedLM.from_pretrained(MODEL).fill(TEXTS, top_k=5)
    words = [{guess["token"] for guess in gaps[0]} for gaps in answers]
    assert "him" in words[0]
    assert words[1] & {"room", "house", "door"}


def test_transformers_gives_the_same():
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    theirs = transformers.BertForPreTraining.from_pretrained(MODEL, dtype=torch.float32).eval()
    pairs = ["then he went home .", "it was a fine morning ."]
    tokenizer = transformers.AutoTokenizer.from_pretrained(MODEL)
    with torch.inference_mode():
        expected = theirs(**tokenizer(TEXTS, pairs, return_tensors="pt", padding=True))
    inputs = kbs.load_tokenizer(MODEL)(TEXTS, pairs)
    for head, logits in (
        ("masked_lm", expected.prediction_logits),
        ("next_sentence", expected.seq_relationship_logits),
    ):
        ours = kbs.load_model(MODEL, head).predict_on_batch(inputs)
        given = inputs["padding_mask"] > 0 if head == "masked_lm" else slice(None)
        np.testing.assert_allclose(keras.ops.convert_to_numpy(ours)[given], logits.numpy()[given], rtol=0, atol=1e-3)


def test_a_classifier_begins_with_it():
    classifier = kbs.TextClassifier.from_pretrained(MODEL, labels=["a", "b"])
    assert np.isfinite(classifier.predict_logits(TEXTS)).all()

"""Every family and head against `transformers`: its numbers here, and ours there."""

import keras
import numpy as np
import pytest
import torch

from keras_bert_suite.checkpoints import load_encoder, load_model, open_checkpoint, save_encoder, save_model
from keras_bert_suite.models import encoder_config
from tests.support.families import (
    CASES,
    VARIANTS,
    class_ending,
    difference,
    make_inputs,
    make_model,
    outside,
    outside_both,
    predict,
)
from tests.support.selection import slow_to_compile

TOLERANCE = 1e-5


@pytest.mark.parametrize("variant", VARIANTS)
def test_encoders(variant, tmp_path):
    theirs = make_model(variant, "Model")
    theirs.save_pretrained(tmp_path / "theirs")
    encoder = load_encoder(tmp_path / "theirs")
    inputs = make_inputs(theirs)
    expected, outputs = outside(theirs, inputs), predict(encoder, inputs)
    gap = difference(outputs["sequence_output"], expected.last_hidden_state, inputs["padding_mask"])
    assert gap <= TOLERANCE
    if "pooled_output" in outputs:
        assert difference(outputs["pooled_output"], expected.pooler_output, inputs["padding_mask"]) <= TOLERANCE
    save_encoder(encoder, tmp_path / "ours")
    check_opens_there(theirs, tmp_path / "ours")


@slow_to_compile
@pytest.mark.parametrize(("variant", "head"), CASES)
def test_heads(variant, head, tmp_path, caplog):
    theirs = make_model(variant, class_ending(head))
    theirs.save_pretrained(tmp_path / "theirs")
    model = load_model(tmp_path / "theirs", head)
    assert not caplog.records  # nothing is new, nothing is left aside
    inputs = make_inputs(theirs, choices=3 if head == "multiple_choice" else None)
    assert difference(predict(model, inputs), outside(theirs, inputs), inputs["padding_mask"]) <= TOLERANCE
    save_model(model, tmp_path / "ours")
    check_opens_there(theirs, tmp_path / "ours")


def check_opens_there(theirs, directory):
    """`transformers` opens what we wrote, complete, and every weight is the same bit for bit."""
    again, report = type(theirs).from_pretrained(directory, output_loading_info=True, attn_implementation="eager")
    assert not any(report.values()), report
    state = again.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in theirs.state_dict().items())
    kept = {key: value for key, value in theirs.config.to_dict().items() if key not in UNSAID}
    assert kept == {key: again.config.to_dict().get(key) for key in kept}


#: Entries of config.json that a Keras model does not remember: where it was, what wrote it, ids of tokens.
UNSAID = {
    "_name_or_path", "architectures", "transformers_version", "id2label", "label2id", "problem_type", "dtype",
    "bos_token_id", "eos_token_id", "sep_token_id", "cls_token_id", "use_cache", "sinusoidal_pos_embds",
    "torch_dtype", "attn_implementation", "_attn_implementation_internal",
}  # fmt: skip


@pytest.mark.parametrize("variant", ["bert", "roberta", "distilbert", "albert", "electra", "modernbert"])
def test_untied_masked_lm(variant, tmp_path):
    theirs = make_model(variant, "ForMaskedLM", tie_word_embeddings=False)
    theirs.save_pretrained(tmp_path / "theirs")
    model = load_model(tmp_path / "theirs", "masked_lm")
    inputs = make_inputs(theirs)
    assert difference(predict(model, inputs), outside(theirs, inputs), inputs["padding_mask"]) <= TOLERANCE
    save_model(model, tmp_path / "ours")
    again = type(theirs).from_pretrained(tmp_path / "ours", attn_implementation="eager").eval()
    assert difference(outside(again, inputs), outside(theirs, inputs), inputs["padding_mask"]) <= TOLERANCE


@pytest.mark.parametrize("variant", ["bert", "albert"])
def test_both_heads_of_pretraining(variant, tmp_path):
    theirs = make_model(variant, "ForPreTraining")
    theirs.save_pretrained(tmp_path / "theirs")
    checkpoint = open_checkpoint(tmp_path / "theirs")
    second = {"bert": "next_sentence", "albert": "sentence_order"}[variant]
    assert checkpoint.heads == ("masked_lm", second)
    inputs = make_inputs(theirs)
    expected = outside_both(theirs, inputs)
    for head, logits in zip(("masked_lm", second), expected, strict=True):
        ours = predict(load_model(tmp_path / "theirs", head), inputs)
        assert difference(ours, logits, inputs["padding_mask"]) <= TOLERANCE


@slow_to_compile
@pytest.mark.parametrize("variant", VARIANTS)
def test_keras_files_and_parameters(variant, tmp_path):
    theirs = make_model(variant, "ForMaskedLM")
    theirs.save_pretrained(tmp_path / "theirs")
    model = load_model(tmp_path / "theirs", "masked_lm")
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    inputs = make_inputs(theirs)
    np.testing.assert_array_equal(predict(again, inputs), predict(model, inputs))
    assert encoder_config(again) == encoder_config(model)
    encoder = load_encoder(tmp_path / "theirs")
    assert encoder.count_params() == encoder_config(encoder).num_parameters

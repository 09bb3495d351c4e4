"""Gaps are filled, and texts scored, as `transformers` does it; what cannot be filled is refused."""

import json
import math

import keras
import numpy as np
import pytest

import keras_bert_suite as kbs
from keras_bert_suite.errors import CheckpointError
from keras_bert_suite.models import at_masked_positions, build_masked_lm, find_encoder
from keras_bert_suite.tasks import MaskedLM
from tests.support.shared import shared_path
from tests.support.tiny import SPECIALS, WORDS, tiny_classifier, tiny_encoder, tiny_tokenizer

TOLERANCE = 1e-5
TEXTS = ["the food was [MASK] .", "[MASK] place", "not [MASK] at all , it was [MASK]", "[MASK] [MASK]"]


def tiny_masked_lm(tied=True, **changes):
    keras.utils.set_random_seed(3)
    return MaskedLM(build_masked_lm(tiny_encoder(**changes), tied=tied), tiny_tokenizer())


@pytest.fixture(scope="module")
def masked_lm():
    return tiny_masked_lm()


def predict(model, inputs):
    return keras.ops.convert_to_numpy(model.predict_on_batch(inputs))


# Against transformers --------------------------------------------------------------------


def families_directory(variant, directory):
    """A random model of a family with a tiny vocabulary, and the pipeline over it."""
    transformers = pytest.importorskip("transformers")
    from tests.support.families import make_model

    model = make_model(variant, "ForMaskedLM", vocab_size=len(SPECIALS + WORDS), pad_token_id=0)
    model.save_pretrained(directory)
    tiny_tokenizer().save_pretrained(directory)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(directory / "tokenizer.json"),
        mask_token="[MASK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        unk_token="[UNK]",
        model_input_names=["input_ids", "attention_mask"],
    )
    return transformers.pipeline("fill-mask", model=model, tokenizer=tokenizer, device="cpu")


def check_equal(ours, theirs):
    """One text's answers are the pipeline's: order, ids, scores and texts."""
    theirs = theirs if isinstance(theirs[0], list) else [theirs]
    assert len(ours) == len(theirs)
    for found, expected in zip(ours, theirs, strict=True):
        assert [one["token_id"] for one in found] == [one["token"] for one in expected]
        assert [one["token"] for one in found] == [one["token_str"] for one in expected]
        np.testing.assert_allclose([one["score"] for one in found], [one["score"] for one in expected], atol=TOLERANCE)
        texts = [one["sequence"].removeprefix("[CLS]").removesuffix("[SEP]").strip() for one in expected]
        assert [one["text"] for one in found] == texts


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """A BERT's pipeline, and the same model here."""
    directory = tmp_path_factory.mktemp("bert") / "model"
    return families_directory("bert", directory), MaskedLM.from_pretrained(directory)


@pytest.mark.parametrize("variant", ["roberta", "distilbert", "albert", "electra", "modernbert"])
def test_gaps_as_the_pipeline_fills_them(variant, tmp_path):
    pipeline = families_directory(variant, tmp_path / "model")
    masked_lm = MaskedLM.from_pretrained(tmp_path / "model")
    for ours, text in zip(masked_lm.fill(TEXTS), TEXTS, strict=True):
        check_equal(ours, pipeline(text))


@pytest.mark.parametrize("targets", [None, "good", ["good", "awful", "good"], ["goodbye", "bad"]])
def test_targets_as_the_pipeline_takes_them(targets, bert):
    pipeline, masked_lm = bert
    for ours, text in zip(masked_lm.fill(TEXTS, targets=targets), TEXTS, strict=True):
        check_equal(ours, pipeline(text, targets=targets))


def test_a_real_model(tmp_path):
    transformers = pytest.importorskip("transformers")
    directory = shared_path("weights/bert-tiny-mlm")
    pipeline = transformers.pipeline("fill-mask", model=str(directory), device="cpu")
    masked_lm = MaskedLM.from_pretrained(directory)
    texts = ["The capital of France is [MASK].", "I [MASK] you [MASK] much, straße 中文!", "[MASK]"]
    expected = [pipeline(text, top_k=8) for text in texts]
    for ours, theirs in zip(masked_lm.fill(texts, top_k=8), expected, strict=True):
        check_equal(ours, theirs)
    masked_lm.save_pretrained(tmp_path / "saved")
    pipeline = transformers.pipeline("fill-mask", model=str(tmp_path / "saved"), device="cpu")
    check_equal(masked_lm.fill(texts[0])[0], pipeline(texts[0]))


def test_scores_are_those_of_masking_by_hand(bert):
    torch = pytest.importorskip("torch")
    pipeline, masked_lm = bert
    texts = ["the food was not bad", "it", "great , great place . it was all lovely", ""]
    expected = []
    for text in texts:
        ids = torch.tensor(pipeline.tokenizer(text)["input_ids"])
        total = 0.0
        for place in range(1, len(ids) - 1):
            masked = ids.clone()
            masked[place] = pipeline.tokenizer.mask_token_id
            with torch.no_grad():
                logits = pipeline.model(masked[None]).logits[0, place]
            total += float(torch.log_softmax(logits, dim=-1)[ids[place]])
        expected.append((total, len(ids) - 2))
    scores = masked_lm.score(texts)
    assert [one["num_tokens"] for one in scores] == [count for _, count in expected]
    np.testing.assert_allclose([one["log_likelihood"] for one in scores], [total for total, _ in expected], atol=1e-4)
    for one, (total, count) in zip(scores[:3], expected, strict=False):
        assert one["pseudo_perplexity"] == pytest.approx(math.exp(-total / count), rel=1e-4)
    assert math.isnan(scores[3]["pseudo_perplexity"])
    assert scores[3]["log_likelihood"] == 0.0
    together = math.exp(-sum(total for total, _ in expected) / sum(count for _, count in expected))
    assert masked_lm.pseudo_perplexity(texts) == pytest.approx(together, rel=1e-4)


# By itself -------------------------------------------------------------------------------


@pytest.mark.parametrize("tied", [True, False])
def test_logits_at_a_few_positions_are_those_of_all(tied):
    model = tiny_masked_lm(tied).model
    inputs = tiny_tokenizer()(["the food was [MASK] .", "bad [MASK]"])
    positions = np.array([[4, 0], [2, 2]], "int32")
    expected = np.take_along_axis(predict(model, inputs), positions[..., None], axis=1)
    few = at_masked_positions(model)
    np.testing.assert_allclose(predict(few, {**inputs, "masked_positions": positions}), expected, atol=1e-6)
    assert {id(weight) for weight in few.weights} == {id(weight) for weight in model.weights}
    built = build_masked_lm(find_encoder(model), tied=tied, masked_positions=True)
    built.set_weights(few.get_weights())
    np.testing.assert_allclose(predict(built, {**inputs, "masked_positions": positions}), expected, atol=1e-6)


def test_answers_keep_the_callers_order(masked_lm):
    texts = [" ".join(["the"] * (row * 7 % 11) + ["[MASK]"] * (1 + row % 3) + ["bad"]) for row in range(9)]
    together = masked_lm.fill(texts, top_k=2)
    for text, answers in zip(texts, together, strict=True):
        [alone] = masked_lm.fill(text, top_k=2)
        assert len(alone) == len(answers) == text.count("[MASK]")
        for one, other in zip(alone, answers, strict=True):
            assert [answer["token_id"] for answer in one] == [answer["token_id"] for answer in other]
            np.testing.assert_allclose([a["score"] for a in one], [b["score"] for b in other], atol=1e-6)


def test_batches_are_small_enough_for_their_logits(masked_lm, monkeypatch):
    from keras_bert_suite.tasks import masked_lm as module

    texts = ["the food was [MASK]", "[MASK] [MASK] bad", "good", "great food , great place"]
    filled, scores = masked_lm.fill(texts[:2]), masked_lm.score(texts)
    monkeypatch.setattr(module, "MOST_LOGITS", 60)
    monkeypatch.setattr(module, "MOST_COPIES", 9)
    for one, other in zip(masked_lm.fill(texts[:2]), filled, strict=True):
        assert [gap[0]["token_id"] for gap in one] == [gap[0]["token_id"] for gap in other]
    for one, other in zip(masked_lm.score(texts), scores, strict=True):
        assert one["log_likelihood"] == pytest.approx(other["log_likelihood"], abs=1e-4)


def test_all_tokens_are_a_distribution(masked_lm):
    [[answers]] = masked_lm.fill("the [MASK]", top_k=1000)
    assert len(answers) == len(SPECIALS + WORDS)
    assert sum(answer["score"] for answer in answers) == pytest.approx(1, abs=1e-5)
    assert [answer["score"] for answer in answers] == sorted((answer["score"] for answer in answers), reverse=True)


def test_no_texts_give_no_answers(masked_lm):
    assert masked_lm.fill([]) == []
    assert masked_lm.score([]) == []
    assert math.isnan(masked_lm.pseudo_perplexity([]))


def test_what_is_saved_comes_back(masked_lm, tmp_path):
    masked_lm.save_pretrained(tmp_path / "model")
    again = MaskedLM.from_pretrained(tmp_path / "model", max_length=20)
    assert again.max_length == 20
    assert MaskedLM.from_pretrained(tmp_path / "model").max_length == masked_lm.max_length == 32
    assert again.fill(TEXTS) == masked_lm.fill(TEXTS)
    values = json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))
    assert values["architectures"] == ["BertForMaskedLM"]
    assert values["keras_bert_suite"] == {"task": "fill-mask", "max_length": 32}
    with pytest.raises(FileExistsError, match="not empty"):
        masked_lm.save_pretrained(tmp_path / "model")


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [
        (["[MASK]", "no gap"], {}, r"must have a mask token, spelled \[MASK\].*'no gap' in row 1"),
        (["", "[MASK]"], {}, "in row 0"),
        (["bad " * 40 + "[MASK]"], {}, "within the first max_length tokens.*row 0 of 43 tokens.*1 cut off"),
        (["[MASK] bad", "[MASK] " * 40], {}, "row 1 of 42 tokens, max_length=32, 10 cut off"),
        (["[MASK] \ud800"], {}, r"lone surrogate U\+D800"),
        (["[MASK]"], {"top_k": 0}, "top_k must be above 0"),
        (["[MASK]"], {"targets": []}, "targets must have one word at least"),
        (["[MASK]"], {"targets": [" "]}, "targets must have one word at least"),
    ],
)
def test_what_cannot_be_filled(masked_lm, texts, options, message):
    with pytest.raises(ValueError, match=message):
        masked_lm.fill(texts, **options)


def test_items_must_be_str(masked_lm):
    with pytest.raises(TypeError, match="row 1"):
        masked_lm.fill(["[MASK]", None])
    with pytest.raises(ValueError, match="lone surrogate"):
        masked_lm.score(["good", "\udfff"])


def test_long_texts_are_cut_to_be_scored(masked_lm):
    [score] = masked_lm.score(["bad " * 500])
    assert score["num_tokens"] == 30
    assert np.isfinite(score["pseudo_perplexity"])


def test_a_vocabulary_without_a_mask_token():
    tokenizer = kbs.WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "good"])
    with pytest.raises(ValueError, match="must have a mask token"):
        MaskedLM(build_masked_lm(tiny_encoder(vocabulary_size=5)), tokenizer)


def test_a_checkpoint_without_the_head(tmp_path):
    kbs.save_encoder(tiny_encoder(), tmp_path / "encoder", tiny_tokenizer())
    with pytest.raises(CheckpointError, match="needs a trained head.*with no head"):
        MaskedLM.from_pretrained(tmp_path / "encoder")
    tiny_classifier(labels=["a", "b"]).save_pretrained(tmp_path / "classifier")
    with pytest.raises(CheckpointError, match="needs a trained head.*with text_classifier"):
        MaskedLM.from_pretrained(tmp_path / "classifier")

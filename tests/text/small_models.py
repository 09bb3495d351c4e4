"""Small byte-level BPE and SentencePiece models, trained here, laid out as the families' checkpoints are."""

import functools
import io
import json

import pytest

from keras_bert_suite.text.engines import PROBE
from tests.text.hard_text import random_texts

CORPUS = [
    "The quick brown fox jumps over the lazy dog. He can't; she'll, we've 1,000 or 9, of them (or 3.14)!",
    "Le cœur déçu mais l'âme plutôt naïve, Louÿs rêva de crapaüter en canoë. Straße, Übergröße, ÅNGSTRÖM.",
    "Съешь же ещё этих мягких французских булок, да выпей чаю. Ξεσκεπάζω την ψυχοφθόρα βδελυγμία.",
    "今天天气很好,我们去公园。私は学生です。한국어 문장입니다. हिन्दी में लिखा है। ภาษาไทย العربية עברית",
    'hello hello world, the them then there; e.g. a.b.c "quoted" - dash – long £5 €6 __init__ x=y+1',
] * 12

#: Texts on which tokenizers differ. Mask tokens are apart, because files disagree on the space before them.
TEXTS = [text for text in [*CORPUS[:5], *PROBE, *random_texts(400, seed=31)] if "MASK]" not in text]
MASKED = ["a <mask> b", "a<mask>b", " <mask>", "the  <mask>.", "a [MASK] b", "<s></s><pad><unk>", "x</s>y"]

FAMILIES = {
    "roberta": "RobertaTokenizer",
    "xlm-roberta": "XLMRobertaTokenizer",
    "camembert": "CamembertTokenizer",
    "albert": "AlbertTokenizer",
}


@functools.lru_cache
def byte_pair():
    """`(vocab, merges)` of a tiny RoBERTa."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [tuple(merge) for merge in model["merges"]]


@functools.lru_cache
def sentence_piece(family, **options):
    """bytes of a tiny unigram `.model` in the layout of a family."""
    spm = pytest.importorskip("sentencepiece")
    layout = {"unk_id": 0, "bos_id": 1, "eos_id": 2}
    if family == "albert":
        symbols = {"control_symbols": ["[CLS]", "[SEP]", "[MASK]"], "user_defined_symbols": ["(", ")", '"', "-", "."]}
        layout = {"pad_id": 0, "unk_id": 1, "bos_id": -1, "eos_id": -1, **symbols}
    model = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS),
        model_writer=model,
        **{"vocab_size": 300, "hard_vocab_limit": False, "minloglevel": 2, **layout, **options},
    )
    return model.getvalue()


def write_family(directory, family, **settings):
    """Write the vocabulary files, and config.json, of a tiny checkpoint; `settings` go to tokenizer_config.json."""
    if family == "roberta":
        vocab, merges = byte_pair()
        (directory / "vocab.json").write_text(json.dumps(vocab))
        lines = ["#version: 0.2", *(f"{first} {second}" for first, second in merges)]
        (directory / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    else:
        name = "spiece.model" if family == "albert" else "sentencepiece.bpe.model"
        (directory / name).write_bytes(sentence_piece(family))
    (directory / "config.json").write_text(json.dumps({"model_type": family}))
    if settings:
        (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    return directory


def assert_equal(ours, theirs, texts, pairs=True):
    """Ids, segments, offsets and special tokens of ours are those of a transformers tokenizer."""
    for text in texts:
        for pair in (None, "the b") if pairs else (None,):
            expected = theirs(text, pair, return_offsets_mapping=True, return_token_type_ids=True)
            seconds = None if pair is None else [pair]
            found = ours([text], seconds, return_offsets=True)
            assert found["token_ids"][0].tolist() == expected["input_ids"], ascii(text)
            assert ours([text], seconds)["token_ids"].tolist() == found["token_ids"].tolist()
            assert found["segment_ids"][0].tolist() == expected["token_type_ids"]
            assert found["offsets"][0].tolist() == [list(span) for span in expected["offset_mapping"]], ascii(text)
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token", "bos_token", "eos_token")
    for name in names:
        assert ours.special_tokens.get(name) == getattr(theirs, name), name
    for name in names[:5]:
        assert getattr(ours, f"{name}_id") == getattr(theirs, f"{name}_id"), name
    assert ours.vocab_size == len(theirs)

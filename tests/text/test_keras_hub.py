"""KerasHub's presets: what it saves opens here, what we write opens there, with the same ids."""

import json

import numpy as np
import pytest

from keras_bert_suite.errors import DataError
from keras_bert_suite.text import (
    BytePairTokenizer,
    UnigramTokenizer,
    WordPieceTokenizer,
    load_tokenizer,
    write_keras_hub_tokenizer,
)
from keras_bert_suite.text.definition import from_vocabulary
from tests.text.hard_text import INTERESTING, SPECIALS, small_vocabulary
from tests.text.small_models import CORPUS, byte_pair, sentence_piece, write_family

pytest.importorskip("tensorflow_text")
keras_hub = pytest.importorskip("keras_hub")

pytestmark = pytest.mark.tensorflow

CLASSES = {
    "bert": "BertTokenizer",
    "distilbert": "DistilBertTokenizer",
    "electra": "ElectraTokenizer",
    "roberta": "RobertaTokenizer",
    "xlm-roberta": "XLMRobertaTokenizer",
    "albert": "AlbertTokenizer",
}
WORD_PIECE = ["bert", "distilbert", "electra"]
#: KerasHub is another implementation, exact on ordinary writing; but its BERT lower-cases a sharp s to ss.
TEXTS = [
    *(line.replace("ß", "ss") for line in CORPUS[1:3]),
    "Hello, world! unaffable cafés ab",
    "今天 天気",
    "the lazy dog. He can't; we've (or 3.14)!",
]


def tokenizer_of(family, directory):
    if family in WORD_PIECE:
        return WordPieceTokenizer(small_vocabulary())
    return load_tokenizer(write_family(directory, family))


def opened(directory, family):
    """KerasHub's own reading of a preset, whose config.json names the backbone."""
    name = CLASSES[family].replace("Tokenizer", "Backbone")
    config = {"module": None, "class_name": name, "config": {}, "registered_name": f"keras_hub>{name}"}
    (directory / "config.json").write_text(json.dumps(config))
    return keras_hub.models.Tokenizer.from_preset(str(directory))


def ids(tokenizer, text):
    return tokenizer(text)["token_ids"][0].tolist()[1:-1]


@pytest.mark.parametrize("family", CLASSES)
def test_keras_hub_opens_what_we_write(family, tmp_path):
    (tmp_path / "source").mkdir()
    ours = tokenizer_of(family, tmp_path / "source")
    write_keras_hub_tokenizer(ours, tmp_path, family)
    theirs = opened(tmp_path, family)
    assert type(theirs).__name__ == CLASSES[family]
    assert theirs.vocabulary_size() == ours.vocab_size
    for text in TEXTS:
        assert np.asarray(theirs(text)).tolist() == ids(ours, text), text
    again = load_tokenizer(tmp_path)
    assert type(again) is type(ours)
    assert again.vocabulary == ours.vocabulary
    for text in TEXTS:
        assert ids(again, text) == ids(ours, text), text
    assert getattr(theirs, "mask_token_id", ours.mask_token_id) == again.mask_token_id == ours.mask_token_id


@pytest.mark.parametrize("family", CLASSES)
def test_what_keras_hub_saves_opens_here(family, tmp_path):
    if family in WORD_PIECE:
        theirs = getattr(keras_hub.models, CLASSES[family])(small_vocabulary(), lowercase=True, strip_accents=True)
    elif family == "roberta":
        vocab, merges = byte_pair()
        theirs = keras_hub.models.RobertaTokenizer(vocab, [" ".join(merge) for merge in merges])
    else:
        theirs = getattr(keras_hub.models, CLASSES[family])(sentence_piece(family))
    theirs.save_to_preset(str(tmp_path))
    for source in (tmp_path, tmp_path / "tokenizer.json"):
        ours = load_tokenizer(source)
        for text in TEXTS:
            assert ids(ours, text) == np.asarray(theirs(text)).tolist(), text
    ours.save_pretrained(tmp_path / "saved")
    assert load_tokenizer(tmp_path / "saved")(TEXTS)["token_ids"].tolist() == ours(TEXTS)["token_ids"].tolist()


def test_options_of_word_piece_survive(tmp_path):
    options = dict(lowercase=False, strip_accents=True, split_chinese=False)
    write_keras_hub_tokenizer(WordPieceTokenizer(small_vocabulary(), **options), tmp_path, "bert")
    normalizer = load_tokenizer(tmp_path).normalizer
    assert (normalizer["lowercase"], normalizer["strip_accents"]) == (False, True)
    assert not normalizer["handle_chinese_chars"]
    assert load_tokenizer(tmp_path, lowercase=True).lowercase
    tokens = WordPieceTokenizer.from_definition(from_vocabulary([*SPECIALS, "a", "[E1]"], extra_tokens=["[E1]"]))
    write_keras_hub_tokenizer(tokens, tmp_path, "electra")
    theirs = opened(tmp_path, "electra")
    assert np.asarray(theirs("a [E1] a [SEP]")).tolist() == ids(tokens, "a [E1] a [SEP]") == [5, 6, 5, 3]
    assert ids(load_tokenizer(tmp_path), "a[E1]a[SEP]") == [5, 6, 5, 3]


SMALL = [*SPECIALS, "a"]
FAIRSEQ = [(piece, 0.0) for piece in ("<s>", "<pad>", "</s>", "<unk>", "a", "<mask>")]


def changed(tokenizer, **sections):
    definition = tokenizer.definition
    content = {**definition.content, **sections}
    return type(tokenizer).from_definition(type(definition)(content, definition.special_tokens))


@pytest.mark.parametrize(
    ("make", "family", "message"),
    [
        (
            lambda: WordPieceTokenizer([*SPECIALS, "a"]),
            "roberta",
            "RobertaTokenizer cannot express a WordPiece",
        ),
        (lambda: WordPieceTokenizer([*SPECIALS[:4], "a"]), "bert", r"a vocabulary without \[MASK\]"),
        (lambda: WordPieceTokenizer([*SPECIALS, "a "]), "bert", "the token 'a ', which ends in white space"),
        (
            lambda: WordPieceTokenizer.from_definition(from_vocabulary([*SPECIALS, "a"], extra_tokens=["[E1]"])),
            "bert",
            r"the added token '\[E1\]'",
        ),
        (
            lambda: changed(WordPieceTokenizer([*SPECIALS, "a"]), normalizer={"type": "NFC"}),
            "bert",
            "the normalizer NFC",
        ),
        (
            lambda: changed(WordPieceTokenizer([*SPECIALS, "a"]), pre_tokenizer={"type": "Whitespace"}),
            "bert",
            "the pre-tokenizer Whitespace",
        ),
        (lambda: changed(BytePairTokenizer(*byte_pair()), normalizer={"type": "NFC"}), "roberta", "the normalizer NFC"),
        (
            lambda: changed(UnigramTokenizer(FAIRSEQ), normalizer={"type": "NFC"}),
            "xlm-roberta",
            "the normalizer NFC",
        ),
        (
            lambda: UnigramTokenizer([("<pad>", 0.0), ("<s>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("<mask>", 0.0)]),
            "xlm-roberta",
            "special tokens elsewhere",
        ),
    ],
)
def test_what_keras_hub_cannot_express_is_refused_by_name(make, family, message, tmp_path):
    with pytest.raises(DataError, match=message):
        write_keras_hub_tokenizer(make(), tmp_path, family)
    assert not list(tmp_path.iterdir())


def test_a_damaged_preset_says_where(tmp_path):
    write_keras_hub_tokenizer(WordPieceTokenizer([*SPECIALS, "a"]), tmp_path, "bert")
    (tmp_path / "assets" / "tokenizer" / "vocabulary.txt").unlink()
    with pytest.raises(DataError, match=r"vocabulary.txt: a KerasHub preset must have this file beside its tokenizer"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"registered_name": "keras_hub>GemmaTokenizer", "config": {}}')
    with pytest.raises(DataError, match="must be one of BertTokenizer, .* received 'GemmaTokenizer'"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"registered_name": "keras_hub>BertTokenizer", "config": 3}')
    with pytest.raises(DataError, match="must have a config that splits words"):
        load_tokenizer(tmp_path)
    with pytest.raises(ValueError, match="family must be one of"):
        write_keras_hub_tokenizer(WordPieceTokenizer([*SPECIALS, "a"]), tmp_path, "gpt2")


@pytest.mark.parametrize("spaces", [False, True])
def test_normalizers_become_sentencepiece_rules(spaces, tmp_path):
    """ALBERT lower-cases and strips accents before SentencePiece; KerasHub's has one SentencePiece model for it all."""
    tokenizer = load_tokenizer(write_family(tmp_path, "albert"))
    if spaces:
        strip = {"type": "Strip", "strip_left": False, "strip_right": True}
        repeated = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}
        parts = [*tokenizer.normalizer["normalizers"], strip, repeated]
        tokenizer = changed(tokenizer, normalizer={"type": "Sequence", "normalizers": parts})
    write_keras_hub_tokenizer(tokenizer, tmp_path / "preset", "albert")
    spm = pytest.importorskip("sentencepiece")
    theirs = spm.SentencePieceProcessor(str(tmp_path / "preset" / "assets" / "tokenizer" / "vocabulary.spm"))
    texts = [a + b for a in INTERESTING for b in INTERESTING] + TEXTS + ["  ``Ünïcödé''  İstanbul "]
    rows = tokenizer.encode(texts)
    for index, row in enumerate(theirs.encode(texts)):
        assert rows[index].tolist()[1:-1] == row, ascii(texts[index])

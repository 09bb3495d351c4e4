"""Every code point, alone and inside a word: nanotoken and the graph against Hugging Face `tokenizers`.

Byte-level BPE and unigram run in `tokenizers` themselves; there the truths are
the text that byte-level ids spell, transformers' classes, and SentencePiece.
"""

import numpy as np
import pytest

from keras_bert_suite.text import WordPieceTokenizer, load_tokenizer
from keras_bert_suite.text.engines import FastEngine, ReferenceEngine
from tests.text.hard_text import KINDS, every_character, vocabulary
from tests.text.small_models import sentence_piece, write_family

PACKED = 32  # characters a row: few rows are fast, and a wrong row still says where to look


@pytest.fixture(scope="module", params=["uncased", "cased", "no_chinese_split"])
def tokenizer(request):
    return WordPieceTokenizer(vocabulary(), **KINDS[request.param])


@pytest.fixture(scope="module")
def texts():
    """Rows of `c acb ` for each character c."""
    chars = every_character()
    return [
        "".join(f"{char} a{char}b " for char in chars[first : first + PACKED]) for first in range(0, len(chars), PACKED)
    ]


@pytest.fixture(scope="module")
def expected(tokenizer, texts):
    return ReferenceEngine(tokenizer._reference).encode(texts)


def assert_equal(found, expected, texts):
    token_ids, offsets = found
    wanted_ids, wanted_offsets = expected
    if np.array_equal(offsets, wanted_offsets) and np.array_equal(token_ids, wanted_ids):
        return
    for row, text in enumerate(texts):
        ours = token_ids[offsets[row] : offsets[row + 1]].tolist()
        theirs = wanted_ids[wanted_offsets[row] : wanted_offsets[row + 1]].tolist()
        assert ours == theirs, f"row {row} of code points from U+{ord(text[0]):04X}: {text!a}"


def test_the_fast_engine_equals_tokenizers(tokenizer, texts, expected):
    pytest.importorskip("nanotoken")
    assert_equal(FastEngine(tokenizer.to_json()).encode(texts), expected, texts)


@pytest.mark.tensorflow
def test_the_graph_equals_tokenizers(tokenizer, texts, expected):
    tf = pytest.importorskip("tensorflow")
    pytest.importorskip("tensorflow_text")
    from keras_bert_suite.text.in_graph import build_in_graph_tokenizer

    module = build_in_graph_tokenizer(tokenizer, max_length=10_000)
    ids = []
    for first in range(0, len(texts), 5000):
        batch = module.encode_texts(tf.constant(texts[first : first + 5000]))
        lengths = batch["padding_mask"].numpy().sum(axis=1)
        ids.extend(row[1 : length - 1] for row, length in zip(batch["token_ids"].numpy(), lengths, strict=True))
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in ids])])
    assert_equal((np.concatenate(ids), offsets), expected, texts)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["roberta", "xlm-roberta"])
def test_transformers_classes(family, texts, tmp_path):
    transformers = pytest.importorskip("transformers")
    ours = load_tokenizer(write_family(tmp_path, family))
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path).backend_tokenizer
    assert_equal(ours._engine.encode(texts), ReferenceEngine(theirs).encode(texts), texts)


def test_byte_level_ids_spell_every_text(texts, tmp_path):
    tokenizer = load_tokenizer(write_family(tmp_path, "roberta"))
    rows = tokenizer.encode(texts)
    assert tokenizer.batch_decode([rows[index] for index in range(len(rows))]) == texts


@pytest.mark.slow
def test_sentencepiece_itself(tmp_path):
    """One code point differs: U+0085 parts words in Hugging Face's form of the tokenizer, which is our reference."""
    spm = pytest.importorskip("sentencepiece")
    theirs = spm.SentencePieceProcessor(model_proto=sentence_piece("xlm-roberta"))
    ours = load_tokenizer(write_family(tmp_path, "xlm-roberta"))
    chars = every_character()
    words = [f"a{char}b" for char in chars]
    token_ids, offsets = ours._engine.encode(words)
    expected = [[index + 1 if index else 3 for index in row] for row in theirs.encode(words)]
    found = np.split(token_ids, offsets[1:-1])
    assert [f"U+{ord(c):04X}" for c, a, b in zip(chars, found, expected, strict=True) if a.tolist() != b] == ["U+0085"]

"""Every code point, alone and inside a word: nanotoken and the graph against Hugging Face `tokenizers`."""

import numpy as np
import pytest

from keras_bert_suite.text import WordPieceTokenizer
from keras_bert_suite.text.engines import FastEngine, ReferenceEngine
from tests.text.hard_text import KINDS, every_character, vocabulary

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

"""Overlapping rows of long texts, held against the Rust tokenizers' own overflow."""

import numpy as np
import pytest
import tokenizers

from keras_bert_suite.text import WordPieceTokenizer, encode_windows

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c", "##c", "who", "?", "."]
TEXTS = ["a b cc . " * 30, "", "b", "a cc " * 7, "a b c . a b c"]
QUESTIONS = ["who ?", "who a ?", "?", "", "who who b ?"]


def reference(tokenizer, max_length, stride, strategy):
    theirs = tokenizers.Tokenizer.from_str(tokenizer.to_json())
    theirs.enable_truncation(max_length, stride=stride, strategy=strategy)
    return theirs


def rows_of(encodings):
    return [[encoding, *encoding.overflowing] for encoding in encodings]


@pytest.mark.parametrize(("max_length", "stride"), [(16, 0), (16, 4), (24, 12), (512, 128)])
@pytest.mark.parametrize("paired", [False, True])
def test_as_the_rust_tokenizers_cut(max_length, stride, paired):
    tokenizer = WordPieceTokenizer(WORDS)
    windows = encode_windows(tokenizer, TEXTS, QUESTIONS if paired else None, max_length=max_length, stride=stride)
    theirs = reference(tokenizer, max_length, stride, "only_second" if paired else "longest_first")
    expected = rows_of(theirs.encode_batch(list(zip(QUESTIONS, TEXTS, strict=True)) if paired else TEXTS))
    flat = [encoding for encodings in expected for encoding in encodings]
    assert [windows.encoded[row].tolist() for row in range(len(windows.encoded))] == [one.ids for one in flat]
    assert windows.texts.tolist() == [text for text, encodings in enumerate(expected) for _ in encodings]
    ours = windows.tokens.reshape(-1)
    spans = [span for one in flat for span in one.offsets]
    sides = [side for one in flat for side in one.sequence_ids]
    for token, span, side in zip(ours, spans, sides, strict=True):
        assert (token >= 0) == (side == int(paired))
        if token >= 0:
            assert tuple(windows.spans[token].tolist()) == span


def test_each_token_where_it_has_most_context():
    tokenizer = WordPieceTokenizer(WORDS)
    windows = encode_windows(tokenizer, ["a b c a b c a b"], max_length=7, stride=2)  # 5 tokens a row, 3 further each
    places = windows.best_places()
    assert windows.tokens[places].tolist() == list(range(8))
    rows = np.repeat(np.arange(len(windows.encoded)), windows.encoded.lengths)[places]
    assert rows.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


def test_a_long_question_leaves_room():
    tokenizer = WordPieceTokenizer(WORDS)
    windows = encode_windows(tokenizer, ["a b c " * 10], ["who " * 100], max_length=23, stride=8)
    assert windows.encoded.lengths.max() == 23
    assert windows.tokens.max() == 29


def test_refused():
    tokenizer = WordPieceTokenizer(WORDS)
    with pytest.raises(ValueError, match="no room for text"):
        encode_windows(tokenizer, ["a"], max_length=3, stride=1)
    with pytest.raises(ValueError, match="stride must be 0 or above"):
        encode_windows(tokenizer, ["a"], max_length=8, stride=-1)
    with pytest.raises(ValueError, match="one question per text"):
        encode_windows(tokenizer, ["a"], ["b", "c"], max_length=8, stride=1)

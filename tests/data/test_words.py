"""Words are runs of letters and digits; all else stands alone, and marks belong to what they mark."""

import numpy as np
import pytest

from keras_bert_suite.data import find_words


def words(*texts):
    spans, offsets = find_words(list(texts))
    return [
        [text[start:end] for start, end in spans[offsets[row] : offsets[row + 1]]] for row, text in enumerate(texts)
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ada's café, 3rd", ["Ada", "'", "s", "café", ",", "3rd"]),
        ("U.S. x_y", ["U", ".", "S", ".", "x", "_", "y"]),
        ("cafe\u0301 e\u0301t", ["cafe\u0301", "e\u0301t"]),
        ("東京タワー!", [*"東京タワー", "!"]),
        ("วันดี", ["วั", "น", "ดี"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("한국어 만세", ["한국어", "만세"]),
        ("a\u200b \u200b b\u200b\u0301\u200e", ["a", "\u200b", "b\u200b\u0301"]),
        ("می\u200cخواهم \u00adco\u00adop\u00ad", ["می\u200cخواهم", "\u00ad", "co\u00adop"]),
        ("👩\u200d💻 \u2764\ufe0f", ["👩", "💻", "\u2764\ufe0f"]),
        ("🏴\U000e0067\U000e0062\U000e007f", ["🏴\U000e0067\U000e0062\U000e007f"]),
        (" \t\n", []),
        ("", []),
    ],
)
def test_words_of_a_text(text, expected):
    assert words(text) == [expected]


def test_texts_are_kept_apart():
    assert words("ab", "", "\u0301cd", "ef ") == [["ab"], [], ["\u0301", "cd"], ["ef"]]
    spans, offsets = find_words([])
    assert spans.shape == (0, 2)
    assert offsets.tolist() == [0]


def test_every_character_that_is_no_space_is_in_a_word():
    text = "".join(map(chr, [*range(0x21, 0xD800), *range(0x1F000, 0x1F700)]))
    spans, _ = find_words([text])
    inside = np.zeros(len(text), bool)
    for start, end in spans:
        assert not inside[start:end].any()
        inside[start:end] = True
    outside = {character for character, found in zip(text, inside, strict=True) if not found}
    assert not {character for character in outside if character.isprintable()}

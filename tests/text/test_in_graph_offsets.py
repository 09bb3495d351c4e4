"""Pieces and their places from the graph against those of `tokenizers`: no difference, on anything."""

import numpy as np
import pytest

from keras_bert_suite.text import WordPieceTokenizer
from tests.text.hard_text import KINDS, SPECIALS, every_character, random_texts, small_vocabulary

tf = pytest.importorskip("tensorflow")
pytest.importorskip("tensorflow_text")

from keras_bert_suite.text.definition import from_vocabulary  # noqa: E402
from keras_bert_suite.text.in_graph_offsets import build_in_graph_offsets  # noqa: E402

pytestmark = pytest.mark.tensorflow


def compiled(tokenizer):
    """A graph from strings to `Pieces`, as a SavedModel holds it."""
    return tf.function(build_in_graph_offsets(tokenizer), input_signature=[tf.TensorSpec((None,), tf.string)])


@pytest.fixture(scope="module", params=KINDS)
def both(request):
    tokenizer = WordPieceTokenizer(small_vocabulary(), **KINDS[request.param])
    return tokenizer, compiled(tokenizer)


@pytest.fixture(scope="module")
def simple():
    tokenizer = WordPieceTokenizer([*SPECIALS, "a", "b", "c", "##b"])
    return tokenizer, compiled(tokenizer)


def assert_equal(encode, tokenizer, texts, rows=None):
    pieces = encode(tf.constant(texts if rows is None else rows, tf.string))
    token_ids, offsets, spans = tokenizer.encode_with_offsets(texts)
    np.testing.assert_array_equal(pieces.token_ids.flat_values, token_ids)
    np.testing.assert_array_equal(pieces.token_ids.row_splits, offsets)
    found = np.stack([pieces.starts, pieces.ends], axis=1)
    wrong = np.flatnonzero((found != spans).any(axis=1))
    if len(wrong):
        text = texts[np.searchsorted(offsets, wrong[0], side="right") - 1]
        pytest.fail(f"{len(wrong)} differ; of {text!a}: {found[wrong[0]]} is not {spans[wrong[0]]}")
    assert ["".join(map(chr, row)) for row in pieces.code_points.to_list()] == texts


def test_pieces_of_random_unicode_stand_where_tokenizers_says(both):
    assert_equal(both[1], both[0], random_texts(1500, seed=21))


@pytest.mark.slow
def test_every_character_inside_words(both):
    characters = every_character()
    texts = ["".join(f"a{char}b c{char} " for char in characters[first::2000]) for first in range(2000)]
    assert_equal(both[1], both[0], texts)


def test_marks_are_counted_to_the_place_where_they_come_to_stand():
    letters = ["o", "\u1b44", "\u08d4", "\U0001d157", "\U0001d165", "\U0001d16d", "\u302e"]
    tokenizer = WordPieceTokenizer([*SPECIALS, *letters, *("##" + letter for letter in letters)])
    below, above, stripped = "\u1b44", "\u08d4", "\u0301"  # canonical orders 9, 230 and 230
    texts = [
        f"o{above}{below}",
        f"o{stripped}{below}",  # what is stripped takes part in the ordering
        f"o{stripped}{stripped}\u0344{above}{below}a",
        f"o\u0327{stripped}{below}\u0323{above}",
        f"o{above}\x00\u200d\x01{below}",  # cleaned away before the ordering
        f"o{above}\u093a{below}",  # parts the marks, and is stripped only afterwards
        f"o{above}\U000e0100{below}",  # the same above the plane of the others
        f"{below}{stripped}{below} {above}[SEP]{below}",
        "\U0001d15e\U0001d165\u0301\U0001d157\U0001d16d\u302e",
        f"\u00e9{below}\u1ec7{below}\u0f73{below}",
    ]
    assert_equal(compiled(tokenizer), tokenizer, texts)


def test_special_tokens_in_the_text():
    definition = from_vocabulary([*SPECIALS, "a", "e", "##1"], extra_tokens=["[E1]", "[E1]x", "<e>", "Ü€", "[1]"])
    tokenizer = WordPieceTokenizer.__new__(WordPieceTokenizer)
    tokenizer._set(definition)
    texts = ["[E1]a[E1]x", "a[E1][E1]x[1]", "<E> <e>", "ü€ Ü€a\u0301Ü€", "[E1", "[[E1]]é<e>", "[e1]", "[SEP][SEP] [1]"]
    assert_equal(compiled(tokenizer), tokenizer, texts)


def test_more_special_tokens_than_two_letters_can_name():
    definition = from_vocabulary([*SPECIALS, "a"], extra_tokens=[f"<{number:03}>" for number in range(200)])
    tokenizer = WordPieceTokenizer.__new__(WordPieceTokenizer)
    tokenizer._set(definition)
    assert_equal(compiled(tokenizer), tokenizer, ["<000><199> a<150>a", "<200>"])


def test_empty_and_long(simple):
    for texts in ([], [""], ["", " \n", "a"], ["\x00", "[SEP]"], ["ab" * 50, "é ab" + "ab" * 50, "x" * 1_000_000]):
        assert_equal(simple[1], simple[0], texts)


def test_control_characters(simple):
    letters = "".join(map(chr, range(0x20)))
    texts = [f"a{first}{second}b" for first in letters for second in letters] + ["[SE\x0eP]", "\x0e[SEP]\x0f"]
    assert_equal(simple[1], simple[0], texts)


def test_bytes_that_are_not_utf8_are_characters(simple):
    rng = np.random.default_rng(0)
    rows = [b"a\xffb", b"\xe4\xb8a", b"\xed\xa0\x80a", b"\xf5\x80", b"[SEP]\xc3[MASK]", b"\xc3(", b"\xf0\x9f\x98"]
    bytes_ = [0x61, 0x20, 0xC3, 0xA9, 0xE4, 0xB8, 0x80, 0xED, 0xA0, 0xF0, 0x9F, 0xFF]
    rows += [bytes(rng.choice(bytes_, 12).tolist()) for _ in range(500)]
    assert_equal(simple[1], simple[0], [row.decode("utf-8", errors="replace") for row in rows], rows)


def test_what_cannot_be_followed_is_refused_by_name():
    definition = from_vocabulary([*SPECIALS, "a"])
    definition.content["added_tokens"][-1]["lstrip"] = True
    tokenizer = WordPieceTokenizer.__new__(WordPieceTokenizer)
    tokenizer._set(definition)
    expected = r"must equal the host's.*the added token '\[MASK\]' with lstrip or rstrip, whose offsets hold spaces"
    with pytest.raises(ValueError, match=expected):
        build_in_graph_offsets(tokenizer)
    definition = from_vocabulary([*SPECIALS, "a"])
    definition.content["normalizer"] = {"type": "NFC"}
    tokenizer._set(definition)
    with pytest.raises(ValueError, match="must equal the host's.*the normalizer NFC"):
        build_in_graph_offsets(tokenizer)

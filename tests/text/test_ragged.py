"""Padding of encoded rows, and the frame of special tokens around them."""

import numpy as np
import pytest

from keras_bert_suite.text import WordPieceTokenizer
from keras_bert_suite.text.frame import Frame
from keras_bert_suite.text.ragged import row_positions
from tests.text.hard_text import SPECIALS


@pytest.fixture(scope="module")
def tokenizer():
    return WordPieceTokenizer([*SPECIALS, "a", "b", "c"])


@pytest.fixture(scope="module")
def rows(tokenizer):
    return tokenizer.encode(["a b c", "", "b", "c c"], ["a", "b b", "", "c"])


def test_pad_equals_the_call(tokenizer, rows):
    expected = tokenizer(["a b c", "", "b", "c c"], ["a", "b b", "", "c"])
    for name, array in rows.pad().items():
        np.testing.assert_array_equal(array, expected[name])
        assert array.dtype == np.int32


def test_any_rows_in_any_order(tokenizer, rows):
    expected = tokenizer(["c c", "a b c", "c c"], ["c", "a", "c"])
    for name, array in rows.pad([3, 0, 3]).items():
        np.testing.assert_array_equal(array, expected[name])
    for name, array in rows.take([3, 0, 3]).pad().items():
        np.testing.assert_array_equal(array, expected[name])
    np.testing.assert_array_equal(rows.pad(slice(1, 3))["token_ids"], rows.pad([1, 2])["token_ids"])
    np.testing.assert_array_equal(
        rows.pad(np.array([False, True, True, False]))["token_ids"], rows.pad([1, 2])["token_ids"]
    )


def test_lengths(rows):
    assert len(rows) == 4
    assert rows.lengths.tolist() == [7, 5, 4, 6]
    assert rows[-1].tolist() == [2, 7, 7, 3, 7, 3]
    assert rows.pad([2], length=6)["token_ids"].tolist() == [[2, 6, 3, 3, 0, 0]]
    assert rows.pad([2], pad_to_multiple_of=8)["token_ids"].shape == (1, 8)
    assert rows.pad([])["token_ids"].shape == (0, 0)
    with pytest.raises(IndexError):
        rows[4]


def test_a_length_that_cuts_is_refused(rows):
    with pytest.raises(ValueError, match="Received: length=6, longest row=7"):
        rows.pad(length=6)


def test_row_positions():
    assert row_positions(np.array([5, 0, 9]), np.array([2, 0, 3])).tolist() == [5, 6, 9, 10, 11]


def test_a_roberta_frame():
    frame = Frame.from_post_processor({"type": "RobertaProcessing", "cls": ["<s>", 0], "sep": ["</s>", 2]})
    sides = [(np.array([7, 8], np.int32), np.array([0, 2])), (np.array([9], np.int32), np.array([0, 1]))]
    rows = frame.build(sides, [np.array([2]), np.array([1])], pad_token_id=1)
    assert rows.pad(length=8)["token_ids"].tolist() == [[0, 7, 8, 2, 2, 9, 2, 1]]
    assert not rows.pad()["segment_ids"].any()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"type": "New"}, "'New' is not one of"),
        (
            {
                "type": "TemplateProcessing",
                "single": [{"Sequence": {"id": "B", "type_id": 0}}],
                "pair": [],
                "special_tokens": {},
            },
            "must hold the texts",
        ),
        (
            {
                "type": "TemplateProcessing",
                "single": [{"Sequence": {"id": "A", "type_id": 1}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 0}}],
                "special_tokens": {},
            },
            "number the segments 0, then 1",
        ),
    ],
)
def test_other_frames_are_refused(spec, message):
    with pytest.raises(ValueError, match=message):
        Frame.from_post_processor(spec)

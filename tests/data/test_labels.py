"""Labels have one order whatever the data's, and unknown ones are reported together with the likely fix."""

import numpy as np
import pytest

from keras_bert_suite.data import LabelMap
from keras_bert_suite.errors import DataError


def test_names_and_indices():
    labels = LabelMap(["neg", "pos"])
    assert (labels.names, len(labels), list(labels), "pos" in labels, "x" in labels) == (
        ("neg", "pos"), 2, ["neg", "pos"], True, False,
    )  # fmt: skip
    encoded = labels.encode(["pos", "neg", "pos"])
    assert encoded.dtype == np.int32
    assert encoded.tolist() == [1, 0, 1]
    assert labels.decode(encoded) == ["pos", "neg", "pos"]
    assert labels.encode([]).shape == (0,)
    assert labels == LabelMap(("neg", "pos")) != LabelMap(["pos", "neg"])
    assert repr(labels) == "LabelMap(['neg', 'pos'])"
    assert len({labels, LabelMap(["neg", "pos"])}) == 1


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (["pos", "neg", "pos"], ("neg", "pos")),
        (["10", "9", "-1", "0"], ("-1", "0", "9", "10")),
        (["1", "01", "2"], ("01", "1", "2")),
        (["10", "9", "a"], ("10", "9", "a")),
        (["b", "B", "é", "汉"], ("B", "b", "é", "汉")),
    ],
)
def test_order_does_not_depend_on_the_data(found, expected):
    assert LabelMap.from_examples(found).names == expected
    assert LabelMap.from_examples(reversed(found)).names == expected


def encoding_error(names, labels, **arguments):
    with pytest.raises(DataError) as caught:
        LabelMap(names).encode(labels, **arguments)
    return caught.value


def test_one_unknown_label():
    error = encoding_error(["negative", "positive"], ["negative", "postive"], path="dev.tsv", lines=[2, 7])
    assert str(error) == (
        "dev.tsv:7: labels must be among those seen in training: 'negative', 'positive'. "
        "Received: 'postive' (line 7; did you mean 'positive'?). "
        "Correct these rows, or train with examples of these labels."
    )
    assert error.line == 7


def test_case_is_suggested():
    assert "'POSITIVE' (row 1; did you mean 'Positive'?)" in str(encoding_error(["Positive", "x"], ["POSITIVE"]))


def test_many_unknown_labels_are_collected():
    unknown = [*"abcdefg", "b", "b"]
    error = encoding_error(["100", "200"], unknown, path="dev.tsv", lines=range(2, 11))
    assert str(error).startswith("dev.tsv:2: ")
    assert "Received: 'a' (line 2), 'b' (line 3 and 2 more), 'c' (line 4), 'd' (line 5), 'e' (line 6), and 2 more." in (
        str(error)
    )


def test_long_lists_and_names_are_shortened():
    error = encoding_error([f"intent {number}" for number in range(150)], ["z" * 10_000])
    assert "'intent 19' and 130 more. Received: '" + "z" * 57 + "...' (row 1)." in str(error)
    assert len(str(error)) < 600


def test_labels_that_are_not_one_string():
    assert "f:3: each row must have a label, and this one has none. Fill it in." in str(
        encoding_error(["a"], ["a", None], path="f", lines=[2, 3])
    )
    assert "one label a row is needed here, and this one is a list (row 1): ['a', 'b']. Keep one of them." in str(
        encoding_error(["a"], [["a", "b"]])
    )
    assert "a label must be a string. Received: 1 (row 1). Use '1'." in str(encoding_error(["a"], [1]))
    with pytest.raises(DataError, match=r"f: each row must have a label, and this one has none \(row 2\)"):
        LabelMap.from_examples(["a", None], path="f")
    with pytest.raises(DataError, match=r"f: labels are needed to learn from. Received: none."):
        LabelMap.from_examples([], path="f")


def test_training_needs_two_labels():
    LabelMap(["a", "b"]).check_trainable()
    with pytest.raises(
        DataError, match=r"^f: training needs at least two different labels. Received: only 'a'. Add rows"
    ):
        LabelMap.from_examples(["a", "a"]).check_trainable("f")


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        ("ab", TypeError, "LabelMap: names must be a list of strings. Received: 'ab'. Use \\['ab', ...\\]."),
        ([0, 1], TypeError, "LabelMap: each name must be a string. Received: 0. Use '0'."),
        ([], ValueError, "LabelMap: at least one name is needed. Received: none."),
        (["a", ""], ValueError, "LabelMap: a name must not be empty or have spaces around it, .* Received: ''."),
        (["a "], ValueError, "Received: 'a '. Rename or strip it."),
        (["a", "b", "a"], ValueError, "LabelMap: names must differ. Received: 'a' more than once. Remove one."),
    ],
)
def test_faulty_names(names, error, message):
    with pytest.raises(error, match=message):
        LabelMap(names)


@pytest.mark.parametrize("index", [-1, 2])
def test_decode_refuses_other_indices(index):
    with pytest.raises(ValueError, match=rf"LabelMap: an index must be in \[0, 2\). Received: {index}."):
        LabelMap(["a", "b"]).decode([0, index])

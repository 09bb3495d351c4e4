"""Headers as people have them are understood, and doubtful ones refused."""

import pytest

from keras_bert_suite.data.columns import LABEL_NAMES, PAIR_NAMES, TEXT_NAMES, check_columns, find_columns
from keras_bert_suite.errors import DataError


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("text label", (0, None, 1)),
        ("label id text_b text", (3, 2, 0)),
        ("Text LABEL", (0, None, 1)),
        ("text", (0, None, None)),
        ("label text_a", (1, None, 0)),
        ("text_a text_b label", (0, 1, 2)),
        ("index sentence1 sentence2 label", (1, 2, 3)),
        ("id qid1 qid2 question1 question2 is_duplicate", (3, 4, 5)),
        ("index question sentence label", (1, 2, 3)),
        ("premise hypothesis gold_label", (0, 1, 2)),
        ("text category", (0, None, 1)),
        ("review sentiment", (0, None, 1)),
        ("sentence label text_b", (0, 2, 1)),
        # Our own names win over whatever stands beside them.
        ("text label sentence category", (0, None, 1)),
        ("text text_b sentence1 sentence2 label", (0, 1, 4)),
    ],
)
def test_headers(header, expected):
    assert find_columns(header.split()) == expected


def test_mrpc_header_with_spaces():
    names = ["Quality", "#1 ID", "#2 ID", "#1 String", " #2 String "]
    assert find_columns(names) == (3, 4, 0)


def test_every_alias_alone_is_understood():
    for name in TEXT_NAMES:
        assert find_columns(["id", name]) == (1, None, None)
    for pair in PAIR_NAMES:
        assert find_columns([*pair, "id"]) == (0, 1, None)
    for name in LABEL_NAMES:
        assert find_columns(["text", name]) == (0, None, 1)


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"text": "body"}, (0, None, 4)),
        ({"text": "BODY", "text_b": "sentence2"}, (0, 2, 4)),
        ({"label": "topic"}, (1, 2, 3)),
        ({"label": None}, (1, 2, None)),
        ({"text_b": None}, (1, None, 4)),
        ({"text_b": "body"}, (1, 0, 4)),
    ],
)
def test_the_callers_choice(chosen, expected):
    names = ["body", "sentence1", "sentence2", "topic", "label"]
    assert find_columns(names, check_columns(chosen)) == expected


def error_of(names, **arguments):
    with pytest.raises(DataError) as caught:
        find_columns(names, path="f.tsv", line=1, **arguments)
    return str(caught.value)


def test_missing_text_lists_aliases_columns_and_both_remedies():
    message = error_of(["a fine film", "1", "x" * 90])
    assert message.startswith('f.tsv:1: a column called "text" is needed (also understood: sentence, utterance, ')
    assert "Columns found: 'a fine film', '1', '" + "x" * 37 + "...'." in message
    assert 'Put a header line such as "text<TAB>label" first' in message
    assert 'columns={"text": 0, "label": 1}' in message


def test_another_separator_is_recognized():
    message = error_of(["text;label"])
    assert "Columns found: 'text;label'. The line holds ';': name a file with tabs between columns .tsv" in message


def test_missing_label_only_where_needed():
    assert find_columns(["text", "topic"]) == (0, None, None)
    message = error_of(["text", "topic"], require_label=True)
    assert message.startswith('f.tsv:1: a column called "label" is needed (also understood: labels, category, ')
    assert (
        "Columns found: 'text', 'topic'. Rename the label column, or choose it: columns={\"label\": NAME}." in message
    )


def test_ambiguous_columns():
    message = error_of(["sentence", "review", "label"])
    assert "f.tsv:1: more than one column could hold the text: 'sentence', 'review'." in message
    message = error_of(["sentence1", "sentence2", "utterance"])
    assert "could hold the text: 'sentence1', 'sentence2', 'utterance'. Call the right one \"text\"" in message
    message = error_of(["text", "intent", "category"])
    assert "more than one column could hold the label: 'category', 'intent'. Call the right one \"label\"" in message
    message = error_of(["text", "Text", "label"])
    assert "column names must differ. Received 'text' twice among: 'text', 'Text', 'label'. Rename one." in message


def test_a_chosen_column_that_is_not_there():
    message = error_of(["a", "b"], chosen={"text": "c"})
    assert message == "f.tsv:1: no column called 'c', which was chosen for text. Columns found: 'a', 'b'."


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ({"texts": "a"}, ValueError, "columns: keys must be 'text', 'text_b' or 'label'. Received: 'texts'."),
        ({"text": None}, TypeError, "columns: text must be a column name, or a position from 0. Received: text=None."),
        ({"text": -1}, TypeError, "columns: text must be a column name, or a position from 0. Received: text=-1."),
        ({"text": True}, TypeError, "columns: text must be a column name, or a position from 0. Received: text=True."),
        ({"text": 0, "label": "b"}, ValueError, "columns: positions are for files without a header, so every column"),
        ({"label": 0}, ValueError, "columns: positions are for files without a header, so every column"),
    ],
)
def test_check_columns(columns, error, message):
    with pytest.raises(error) as caught:
        check_columns(columns)
    assert str(caught.value).startswith(message)

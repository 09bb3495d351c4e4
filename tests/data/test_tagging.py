"""CoNLL columns and JSON Lines are read as they are meant, and refused with file and line."""

import gzip
import json

import pytest

from keras_bert_suite.data import read_tagged
from keras_bert_suite.errors import DataError


def written(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def read(path, **options):
    return [(row.tokens, row.tags, row.line) for row in read_tagged(path, **options)]


def test_columns_by_spaces_and_by_tabs(tmp_path):
    expected = [(["Ada", "sings"], ["B-PER", "O"], 1), (["Paris"], ["B-LOC"], 4)]
    assert read(written(tmp_path / "a.conll", "Ada B-PER\nsings O\n\nParis  B-LOC")) == expected
    assert read(written(tmp_path / "b.train", "Ada\tB-PER\nsings\tO\n\t\nParis\tB-LOC\n\n\n")) == expected
    with gzip.open(tmp_path / "c.txt.gz", "wt") as file:
        file.write("Ada NNP B-PER\nsings VBZ O\n\nParis NNP B-LOC\n")
    assert read(tmp_path / "c.txt.gz") == expected


def test_a_tab_keeps_spaces_in_words(tmp_path):
    path = written(tmp_path / "a.conll", "New York\tB-LOC\n\u200b\tO\n\u3000\tO\n")
    assert read(path) == [(["New York", "\u200b", "\u3000"], ["B-LOC", "O", "O"], 1)]


def test_columns_by_position(tmp_path):
    path = written(tmp_path / "a.tsv", "#\thttp://x\t[2010]\n1\tAda\tB-PER\tO\n2\tsings\tO\tO\t\n")
    assert read(path, columns={"text": 1, "label": 2}) == [(["Ada", "sings"], ["B-PER", "O"], 2)]
    assert read(path, columns={"text": 1, "label": -1}) == [(["Ada", "sings"], ["O", "O"], 2)]


def test_comments_and_documents_are_passed_over_and_hashes_are_words(tmp_path):
    text = "-DOCSTART- -X- O\n\n# text = Ada\n# \nAda NNP B-PER\n\n# X O\n#tag NN B-TAG\n"
    assert read(written(tmp_path / "a.conll", text)) == [(["Ada"], ["B-PER"], 5), (["#", "#tag"], ["O", "B-TAG"], 7)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#berlin PROPN\nist AUX\n# SYM\n\n#1 NUM\n", [["#berlin", "ist", "#"], ["#1"]]),  # parts of speech
        ("# SYM\nist AUX\n", [["#", "ist"]]),
        ("in O\n#berlin LOC\n", [["in", "#berlin"]]),  # IO without prefixes
        ("#berlin LOC\n#rocks O\n", [["#berlin", "#rocks"]]),  # nothing but hashtags
        ("# sent_id = 1\nAda NNP X B-PER\n#tag NN X O\n# note\n#\n# X X O\n", [["Ada", "#tag", "#"]]),
        ("# two words\n# one\nAda O\n# note\n# O\n", [["Ada", "#"]]),
        ("# text = Ada sings a song\n1\tAda\tPROPN\n# x y\n2\t#\tSYM\n#\tsource\tdate\n", [["Ada", "#"]]),  # CoNLL-U
        ("#\tSYM\n# SYM\nAda\tPROPN\t\n", [["#", "Ada"]]),
        ("#\thttp://x\t[2010]\t\n1\tAda\tO\tO\n#\thttp://y\t[2011]\t\n", [["Ada"]]),  # GermEval
        ("#x\tO\t\nAda\tO\t\n#y\tO\t\n", [["#x", "Ada", "#y"]]),
    ],
)
def test_no_word_that_begins_with_a_hash_is_taken_for_a_comment(tmp_path, text, expected):
    columns = {"text": 1} if "1\tAda" in text else None
    path = written(tmp_path / "a.conll", text)
    assert [row.tokens for row in read_tagged(path, columns=columns)] == expected
    assert [row.tokens for row in read_tagged(path, columns=columns, labels=False)] == expected


def test_words_alone_may_begin_with_a_hash(tmp_path):
    path = written(tmp_path / "a.conll", "# text = berlin rocks\n#berlin\nrocks\n#\n\n#1\n")
    assert [row.tokens for row in read_tagged(path, labels=False)] == [["#berlin", "rocks", "#"], ["#1"]]
    path = written(tmp_path / "b.conll", "#berlin\n" * 3000)
    assert [len(row.tokens) for row in read_tagged(path, labels=False)] == [3000]
    with pytest.raises(DataError, match=r"c.conll: the file holds no texts"):
        read(written(tmp_path / "c.conll", "# a note\n\n# another one\n"))


def test_lines_of_words_are_known(tmp_path):
    path = written(tmp_path / "a.conll", "Ada O\n# note\nsings O\nin O\n\nParis O\n")
    first, second = read_tagged(path)
    assert list(first.token_lines) == [1, 3, 4]
    assert list(second.token_lines) == [6]


def test_a_line_that_names_the_columns_is_passed_over(tmp_path):
    path = tmp_path / "a.conll"
    for header in ("token tag", "Word POS", "form\tUPOS"):
        parting = "\t" if "\t" in header else " "
        path.write_text(f"{header}\nthe{parting}DET\ncat{parting}NOUN\n")
        assert [found.tokens for found in read_tagged(path)] == [["the", "cat"]]
    path.write_text("Token O\nring B-X\n")
    assert [found.tokens for found in read_tagged(path)] == [["Token", "ring"]]


def test_without_labels_a_column_of_words_is_enough(tmp_path):
    path = written(tmp_path / "a.conll", "Ada\nsings\n\nParis\n")
    assert read(path, labels=False) == [(["Ada", "sings"], None, 1), (["Paris"], None, 4)]
    with pytest.raises(DataError, match=r"a.conll:1: each word needs a tag in a column of its own"):
        read(path)


def test_json_lines(tmp_path):
    spans = [{"start": 7, "end": 12, "label": "LOC"}, {"start": 0, "end": 3, "label": "PER"}]
    rows = [
        {"text": "Ada in Paris", "spans": spans},
        {"tokens": ["Ada", "sings"], "tags": ["B-PER", "O"], "id": 3},
        {"text": "", "spans": []},
    ]
    path = written(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)) + "\n\n")
    first, second, third = read_tagged(path)
    assert (first.text, first.spans, first.line) == ("Ada in Paris", [(0, 3, "PER"), (7, 12, "LOC")], 1)
    assert (second.tokens, second.tags, second.line) == (["Ada", "sings"], ["B-PER", "O"], 2)
    assert (third.text, third.spans) == ("", [])
    renamed = written(tmp_path / "b.jsonl", json.dumps({"words": ["Ada"], "ner": ["O"]}))
    assert read(renamed, columns={"text": "words", "label": "ner"}) == [(["Ada"], ["O"], 1)]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.conll", "Ada O\nsings\n", r"a.conll:2: each line must have as many columns as the first"),
        ("a.conll", "Ada O\nsings V O\n", r"a.conll:2: .* Expected 2, received 3"),
        ("a.conll", "Ada\tO\n\tO\n", r"a.conll:2: each line must have a word"),
        ("a.conll", "Ada\tO\nsings\t\n", r"a.conll:2: each word must have a tag, such as O or B-PER"),
        ("a.conll", "Ada O\rsings O\r", r"a.conll:1: lines must end with line feeds"),
        ("a.tsv", "a film\tpos\nno good\tneg\nso so\tneg\n", r"a.tsv:1: .* Received: texts, such as 'so so'"),
        ("a.conll", "\n\n", r"a.conll: the file holds no texts"),
        ("a.csv", "text,label\n", r"a.csv: tagged texts are read from CoNLL columns and from .jsonl"),
        ("a.jsonl", "[1]\n", r"a.jsonl:1: each line must be one JSON object"),
        ("a.jsonl", '{"text": "Ada"}\n', r"a.jsonl:1: each text must have its spans"),
        ("a.jsonl", '{"tokens": ["Ada"], "tags": []}\n', r"a.jsonl:1: there must be one tag per word"),
        ("a.jsonl", '{"tokens": ["Ada"], "tags": [3]}\n', r"a.jsonl:1: each word must have a tag"),
        ("a.jsonl", '{"tokens": [""], "tags": ["O"]}\n', r'a.jsonl:1: each line must have "text"'),
        ("a.jsonl", '\n{"text": "\\ud800", "spans": []}\n', r"a.jsonl:2: .*ud800 is half of a surrogate pair"),
    ],
)  # fmt: skip
def test_what_breaks_a_rule_is_refused_with_file_and_line(tmp_path, name, text, message):
    with pytest.raises(DataError, match=message):
        read(written(tmp_path / name, text))


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([[0, 3, "PER"], [2, 6, "LOC"]], "spans must not overlap. Received: PER at 0 to 3 and LOC at 2 to 6"),
        ([[0, 3, "PER"], [0, 3, "LOC"]], "spans must not overlap"),
        ([[4, 13, "LOC"]], "within 0 to 12. Received: start=4, end=13"),
        ([[-1, 3, "LOC"]], "Received: start=-1, end=3"),
        ([[3, 3, "LOC"]], "Received: start=3, end=3"),
        ([["0", 3, "LOC"]], "Received: start='0', end=3"),
        ([[0, 3, ""]], "a span must have a label. Received: ''"),
        ([[0, 3, "O"]], "a span must have a label. Received: 'O'"),
        ([{"start": 0, "end": 3}], "a span must have start, end and label"),
        (3, "spans must be a list. Received: int"),
    ],
)
def test_spans_that_cannot_be_are_refused_with_file_and_line(tmp_path, spans, message):
    if isinstance(spans, list):
        spans = [
            dict(zip(("start", "end", "label"), one, strict=True)) if isinstance(one, list) else one for one in spans
        ]
    good = json.dumps({"text": "x", "spans": []})
    path = written(tmp_path / "a.jsonl", f"{good}\n" + json.dumps({"text": "Ada in Paris", "spans": spans}) + "\n")
    with pytest.raises(DataError, match=f"a.jsonl:2: .*{message}"):
        read(path)


def test_columns_must_be_there(tmp_path):
    path = written(tmp_path / "a.conll", "Ada O\n")
    with pytest.raises(DataError, match="a.conll:1: columns must be among the 2 that there are. Received: 3"):
        read(path, columns={"label": 3})
    with pytest.raises(TypeError, match="label must be a position"):
        read(path, columns={"label": "ner"})
    with pytest.raises(ValueError, match="key must be one of 'text', 'label'"):
        read(path, columns={"tags": 1})

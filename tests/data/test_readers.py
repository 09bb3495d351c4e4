"""The same examples from every format; one clear error with path and line for every way a file can be wrong."""

import gzip
import json
import sys
import tracemalloc
from itertools import islice

import numpy as np
import pytest

from keras_bert_suite.data import Example, read_examples, read_texts
from keras_bert_suite.errors import DataError
from tests.support.shared import shared_path

EXAMPLES = [
    Example("I loved it", "Did you?", "pos"),
    Example('say "hi", please', "", "neg"),
    Example("很好\u2028真的", "二", "pos"),
]


def write(folder, name, content):
    path = folder / name
    data = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def error_of(path, error=DataError, **arguments):
    with pytest.raises(error) as caught:
        list(read_examples(path, **arguments))
    return str(caught.value)


TSV = "id\ttext\ttext_b\tlabel\n" + "".join(f"7\t{one.text}\t{one.text_b}\t{one.label}\n" for one in EXAMPLES)
CSV = "label,text_b,text\n" + "".join(
    '{},{},"{}"\n'.format(one.label, one.text_b, one.text.replace('"', '""')) for one in EXAMPLES
)
JSONL = "".join(
    json.dumps({"text": one.text, "label": one.label, "id": 7, "text_b": one.text_b}, ensure_ascii=False) + "\n"
    for one in EXAMPLES
)


@pytest.mark.parametrize(
    ("name", "content", "first_line"),
    [
        ("a.tsv", TSV, 2),
        ("a.csv", CSV, 2),
        ("a.jsonl", JSONL, 1),
        ("a.ndjson", JSONL, 1),
        ("a.json", JSONL, 1),
        ("a.v2.TSV", TSV, 2),
        ("a.tsv.gz", TSV, 2),
        ("a.csv.gz", CSV, 2),
        ("a.jsonl.gz", JSONL, 1),
    ],
)
@pytest.mark.parametrize("dress", ["plain", "bom", "crlf", "no_end"])
def test_every_format_gives_the_same_examples(tmp_path, name, content, first_line, dress):
    data = content.encode()
    data = {"plain": data, "bom": b"\xef\xbb\xbf" + data, "crlf": data.replace(b"\n", b"\r\n"), "no_end": data[:-1]}[
        dress
    ]
    path = write(tmp_path, name, data)
    expected = [one._replace(line=line) for line, one in enumerate(EXAMPLES, first_line)]
    assert list(read_examples(path, require_label=True)) == expected
    assert list(read_examples(str(path))) == expected
    assert list(read_texts(path)) == [one._replace(label=None) for one in expected]


def test_plain_text_has_one_text_a_line(tmp_path):
    path = write(tmp_path, "a.txt", 'text\tlabel\n\nthird, "line"\n')
    assert list(read_examples(path)) == [
        Example("text\tlabel", line=1),
        Example("", line=2),
        Example('third, "line"', line=3),
    ]
    message = error_of(path, require_label=True)
    assert "a.txt: labels are needed, and a .txt file has none: each line is a text." in message
    assert "name it .tsv and start it with a header line" in message
    assert "a .txt file has none" in error_of(path, ValueError, columns={"text": "text"})


def test_blank_lines_are_skipped_unless_a_line_is_a_text(tmp_path):
    assert [one.line for one in read_examples(write(tmp_path, "a.tsv", "text\tlabel\na\tb\n\nc\td\n\n"))] == [2, 4]
    assert [one.line for one in read_examples(write(tmp_path, "a.csv", "text,label\n\na,b\n"))] == [3]
    assert [one.line for one in read_examples(write(tmp_path, "a.jsonl", '\n{"text": "a"}\n  \n'))] == [2]
    assert [one.text for one in read_examples(write(tmp_path, "b.tsv", "text\na\n\nb\n"))] == ["a", "", "b"]


def test_labels_are_stripped_and_texts_are_not(tmp_path):
    path = write(tmp_path, "a.tsv", "text\tlabel\n a \t pos \n")
    assert list(read_examples(path)) == [Example(" a ", None, "pos", 2)]


def test_an_empty_text_is_a_text(tmp_path):
    path = write(tmp_path, "a.tsv", "text\tlabel\n\tpos\n")
    assert list(read_examples(path, require_label=True)) == [Example("", None, "pos", 2)]


def test_positions_read_a_file_without_header(tmp_path):
    columns = {"text": 3, "label": 1}
    path = write(tmp_path, "a.tsv", "gj04\t1\t\tBill broke it.\ngj04\t0\t*\tBill it.\n")
    assert list(read_examples(path, require_label=True, columns=columns)) == [
        Example("Bill broke it.", None, "1", 1),
        Example("Bill it.", None, "0", 2),
    ]
    assert [one.label for one in read_texts(path, columns=columns)] == [None, None]
    message = error_of(path, columns={"text": 4})
    assert "a.tsv:1: columns {'text': 4} need more columns than the 4 found. Count from 0." in message
    path = write(tmp_path, "a.jsonl", "{}")
    assert "positions are for TSV and CSV" in error_of(path, ValueError, columns=columns)


def test_without_a_header_rows_of_tabs_need_the_chosen_columns_alone(tmp_path, caplog):
    columns = {"text": 2, "text_b": 3, "label": 1}
    rows = "x\t5.0\ta\tb\ty\n\nx\t3.8\tc\td\ty\textra\tcells\nx\t1\te\tf\n"
    path = write(tmp_path, "sts.tsv", rows)
    assert list(read_examples(path, require_label=True, columns=columns)) == [
        Example("a", "b", "5.0", 1),
        Example("c", "d", "3.8", 3),
        Example("e", "f", "1", 4),
    ]
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{path}:3: this row has 7 columns, the first one 5. Those chosen are read")
    path = write(tmp_path, "short.tsv", rows + "x\t1\tg\n")
    assert f"{path}:5: each row must have as many columns as the first line" in error_of(path, columns=columns)
    path = write(tmp_path, "unquoted.csv", "1,a\n0,b, c\n")
    assert f"{path}:2: each row must have as many columns" in error_of(path, columns={"text": 1, "label": 0})
    path = write(tmp_path, "headed.tsv", "label\ttext\n1\ta\tb\n")
    assert f"{path}:2: each row must have as many columns" in error_of(path, columns={"text": "text"})
    with pytest.raises(TypeError, match="text must be a column name, or a position from 0"):
        read_examples(path, columns={"text": -1})


def test_the_files_of_sts_b():
    columns = {"text": 5, "text_b": 6, "label": 4}
    for name, count in (("train", 5749), ("dev", 1500), ("test", 1379)):
        path = shared_path(f"data/stsb/sts-{name}.tsv")
        found = list(read_examples(path, require_label=True, columns=columns))
        assert len(found) == count
        assert all(one.text and one.text_b and 0 <= float(one.label) <= 5 for one in found)


def test_names_chosen_by_the_caller(tmp_path):
    path = write(tmp_path, "a.csv", "body,topic,label\na,x,1\n")
    columns = {"text": "body", "label": "topic"}
    assert list(read_examples(path, columns=columns)) == [Example("a", None, "x", 2)]
    path = write(tmp_path, "a.jsonl", '{"body": "a", "topic": "x"}')
    assert list(read_examples(path, columns=columns)) == [Example("a", None, "x", 1)]


def test_texts_are_read_although_labels_are_doubtful(tmp_path):
    path = write(tmp_path, "a.csv", "text,intent,category\na,x,y\n")
    assert "could hold the label" in error_of(path)
    assert list(read_texts(path)) == [Example("a", line=2)]
    path = write(tmp_path, "a.jsonl", '{"text": "a", "label": 0.5}')
    assert list(read_texts(path)) == [Example("a", line=1)]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ('"pos"', "pos"),
        ("3", "3"),
        ("-1", "-1"),
        ("2.0", "2"),
        ("true", "true"),
        ("false", "false"),
        ("null", None),
        ('" "', None),
        ('["b", 1, true]', ["b", "1", "true"]),
        ("[]", []),
    ],
)
def test_json_labels(tmp_path, written, expected):
    path = write(tmp_path, "a.jsonl", f'{{"text": "a", "label": {written}}}')
    assert [one.label for one in read_examples(path)] == [expected]


def test_json_rows_may_differ_in_keys(tmp_path):
    path = write(tmp_path, "a.jsonl", '{"text": "a"}\n{"label": "x", "text": "b"}\n{"text_b": "c", "text": "d"}\n')
    assert [one[:3] for one in read_examples(path)] == [("a", None, None), ("b", None, "x"), ("d", "c", None)]
    wide = "".join(f'{{"text": "a", "key{number}": 0}}\n' for number in range(2500))
    assert sum(1 for _ in read_examples(write(tmp_path, "b.jsonl", wide))) == 2500


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "a"', "each line must be one JSON object. Received: '{\"text\": \"a\"': Expecting ',' delimiter"),
        ('{"text": "a"}{', 'each line must be one JSON object. Received: \'{"text": "a"}{\': Extra data at column 14.'),
        ('["a"]', "each line must be one JSON object. Received: list ['a']. Write the objects of a list one a line"),
        ("[", 'Write the objects of a list one a line: "jq -c .[] OLD > NEW.jsonl".'),
        ('"a"', "each line must be one JSON object. Received: str 'a'. Correct the line."),
        ("[" * 100_000, "each line must be one JSON object. Received: '" + "[" * 37 + "...': "),
        ('{"label": "x"}', 'a column called "text" is needed'),
        ('{"text": 1}', "text must be a string. Received: int 1. Put it in quotes."),
        ('{"text": null}', "text must be a string. Received: null."),
        ('{"text": "a", "text_b": ["b"]}', "text_b must be a string or null. Received: list ['b']. Put it in quotes."),
        ('{"text": "a", "label": NaN}', "label must be a string, a number, true, false or a list of these. "),
        ('{"text": "a", "label": NaN}', "Received: float nan."),
        ('{"text": "a", "label": [["b"]]}', "a list of these. Received: list ['b']."),
        ('{"text": "a", "label": ["b", ""]}', "a list of labels must not hold an empty one. Remove it."),
        ('{"text": "a\\u0000b"}', "a text must not hold the character \\u0000. Remove it."),
        ('{"text": "a\\ud83d"}', "\\ud83d is half of a surrogate pair and no character. Write both halves."),
    ],
)
def test_json_faults(tmp_path, line, message):
    path = write(tmp_path, "a.jsonl", '{"text": "sound"}\n' + line + "\n")
    received = error_of(path)
    assert received.startswith(f"{path}:2: ")
    assert message in received


def test_escaped_characters_are_read(tmp_path):
    path = write(tmp_path, "a.jsonl", '{"text": "\\ud83d\\ude42 \\u00e9"}')
    assert [one.text for one in read_examples(path)] == ["🙂 é"]


@pytest.mark.parametrize(
    ("name", "content", "line", "message"),
    [
        (
            "a.tsv",
            "text\tlabel\na\tb\nshort\n",
            3,
            "each row must have as many columns as the first line. Expected 2, received 1. Add the missing tabs, "
            "or check for a line feed inside a text.",
        ),
        ("a.tsv", "text\tlabel\na\tb\tc\n", 2, "Expected 2, received 3. Take the extra tabs out of the text."),
        ("a.csv", 'text,label\n"a\nb",c\nd\n', 4, "Expected 2, received 1. Add the missing commas, or check"),
        ("a.csv", "text,label\na, b,c\n", 2, "received 3. Take the extra commas out of the text, or put the text in "),
        ("a.csv", 'text,label\n"a,b\nc,d\n', 2, "the quote opened on line 2 is never closed."),
        ("a.csv", 'text,label\na,b\n"c"d,e\n', 3, "a comma or the end of the line must follow a closing quote."),
        ("a.tsv", b"text\tlabel\ncaf\xe9\tb\n", 2, "invalid UTF-8: 0xE9 at byte 4 of the line."),
        ("a.csv", b"text,label\na\0,b\n", 2, "NUL byte at byte 2 of the line"),
        ("a.jsonl", b'{"text": "a\0"}\n', 1, "NUL byte at byte 12 of the line"),
        ("a.tsv", "title\tlabel\na\tb\n", 1, 'a column called "text" is needed'),
    ],
)
def test_faulty_rows(tmp_path, name, content, line, message):
    path = write(tmp_path, name, content)
    received = error_of(path)
    assert received.startswith(f"{path}:{line}: ")
    assert message in received


def test_rows_before_a_fault_are_given_first(tmp_path):
    examples = read_examples(write(tmp_path, "a.tsv", b"text\tlabel\na\tb\nc\nd\te\n\xff"))
    assert next(examples) == Example("a", None, "b", 2)
    with pytest.raises(DataError, match=r"a.tsv:3: each row"):
        next(examples)


@pytest.mark.parametrize("name", ["a.tsv", "a.csv"])
def test_empty_files(tmp_path, name):
    message = "the file is empty. Start it with a header line such as"
    assert f"{name}: {message}" in error_of(write(tmp_path, name, ""))
    separator = "," if name.endswith("csv") else "\t"
    message = error_of(write(tmp_path, name, f"text{separator}label\n"))
    assert f"{name}: the file holds no examples. Give it at least one row of data." in message


@pytest.mark.parametrize("name", ["a.jsonl", "a.txt", "a.txt.gz"])
def test_empty_files_without_headers(tmp_path, name):
    assert f"{name}: the file holds no examples." in error_of(write(tmp_path, name, ""))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", "text\tlabel\na\tx\nb\t \n"),
        ("a.csv", "text,label\na,x\nb,\n"),
        ("a.jsonl", '{"text": "a", "label": 1}\n{"text": "b", "label": null}\n'),
    ],
)
def test_a_row_without_label(tmp_path, name, content):
    path = write(tmp_path, name, content)
    assert [one.label for one in read_examples(path)][1] is None
    received = error_of(path, require_label=True)
    assert received.startswith(f"{path}:{2 if name == 'a.jsonl' else 3}: each row must have a label, and this one has")
    assert "Fill it in or remove the row." in received


def test_a_file_without_labels(tmp_path):
    for name, content in (("a.tsv", "text\ttopic\na\tx\n"), ("a.jsonl", '{"text": "a", "topic": "x"}')):
        path = write(tmp_path, name, content)
        received = error_of(path, require_label=True)
        assert f'{path}:1: a column called "label" is needed' in received
        assert "Columns found: 'text', 'topic'." in received
    path = write(tmp_path, "b.tsv", "a\tx\n")
    assert "each row must have a label" in error_of(path, require_label=True, columns={"text": 0})


def test_the_path_is_checked_at_once(tmp_path):
    with pytest.raises(DataError, match=r"no such file"):
        read_examples(tmp_path / "absent.tsv")
    with pytest.raises(DataError, match=r"this is a directory"):
        read_examples(tmp_path)
    with pytest.raises(DataError, match=r"the suffix must be one of \.tsv, \.csv, .* Received: \.docx\. Rename"):
        read_examples(write(tmp_path, "a.docx", ""))
    with pytest.raises(DataError, match=r"Received: none. Rename the file after its format."):
        read_examples(write(tmp_path, "a", ""))
    with pytest.raises(DataError, match=r"Received: \.parquet\.gz"):
        read_examples(write(tmp_path, "a.parquet.gz", ""))
    with pytest.raises(ValueError, match=r"columns: keys must be"):
        read_examples(write(tmp_path, "a.tsv", ""), columns={"words": "a"})


@pytest.mark.parametrize("name", ["a.tsv", "a.csv", "a.jsonl", "a.txt"])
def test_a_line_of_a_megabyte(tmp_path, name):
    text = "word " * 250_000
    content = {
        "a.tsv": f"text\tlabel\n{text}\tx\n",
        "a.csv": f'text,label\n"{text}",x\n',
        "a.jsonl": json.dumps({"text": text, "label": "x"}),
        "a.txt": text,
    }[name]
    assert [one.text for one in read_examples(write(tmp_path, name, content))] == [text]


@pytest.mark.parametrize("text", ["short text", "a longer text " * 200])
@pytest.mark.parametrize(
    ("name", "header", "row"),
    [
        ("a.tsv", "text\tlabel\n", "{}\tx\n"),
        ("a.csv", "text,label\n", '"{}\nb",x\n'),
        ("a.jsonl", "", '{{"text": "{}", "label": "x"}}\n'),
    ],
)
def test_memory_does_not_grow_with_the_file(tmp_path, name, header, row, text):
    row = row.format(text)
    part = row * (400_000 // len(row))
    parts = 5 if len(row) < 100 else 50  # 2 or 20 MB; tracing makes short rows slow
    with open(tmp_path / name, "w", encoding="utf-8", newline="") as file:
        file.write(header)
        for _ in range(parts):
            file.write(part)

    def peak_bytes(wanted):
        tracemalloc.start()
        rows = sum(1 for _ in islice(read_examples(tmp_path / name), wanted))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return rows, peak

    rows = parts * part.count(row)
    some, early = peak_bytes(2 * rows // 5)
    every, peak = peak_bytes(None)
    assert (some, every) == (2 * rows // 5, rows)
    assert peak < 1.2 * early + 100_000
    assert peak < 8_000_000


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("name", ["a.tsv", "a.csv", "a.jsonl", "a.txt", "a.tsv.gz"])
def test_damaged_bytes_give_examples_or_one_clear_error(tmp_path, seed, name):
    rng = np.random.default_rng(seed)
    data = bytearray(
        {"tsv": TSV, "csv": CSV, "sonl": JSONL, "txt": TSV}[name.removesuffix(".gz")[-4:].lstrip(".j")].encode()
    )
    for _ in range(rng.integers(1, 6)):
        at = int(rng.integers(len(data)))
        data[at : at + int(rng.integers(0, 3))] = rng.bytes(int(rng.integers(0, 3)))
    path = write(tmp_path, name, bytes(data))
    if name.endswith(".gz") and seed % 2:
        path.write_bytes(path.read_bytes()[: int(rng.integers(1, 60))])
    message = None
    try:
        examples = list(read_examples(path))
    except DataError as error:
        message = str(error)
    if message is None:
        assert all(isinstance(one.text, str) for one in examples)
    else:
        assert message.startswith(str(path))
        assert "\n" not in message


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    for module in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r'Reading Parquet files needs .*pip install "keras_bert_suite\[parquet\]"'):
        read_examples(write(tmp_path, "a.parquet", ""))


class TestParquet:
    @pytest.fixture
    def save(self, tmp_path):
        arrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")

        def save(**columns):
            parquet.write_table(arrow.table(columns), tmp_path / "a.parquet", row_group_size=1000)
            return tmp_path / "a.parquet"

        return save

    def test_rows(self, save):
        path = save(id=[1, 2], label=[0, 1], sentence1=["a", "b"], sentence2=["c", None])
        assert list(read_examples(path, require_label=True)) == [Example("a", "c", "0", 1), Example("b", None, "1", 2)]
        assert list(read_texts(path)) == [Example("a", "c", None, 1), Example("b", None, None, 2)]

    def test_label_types(self, save):
        assert [one.label for one in read_examples(save(text=["a"] * 2, label=[True, None]))] == ["true", None]
        assert [one.label for one in read_examples(save(text=["a"] * 2, label=[1.0, None]))] == ["1", None]
        assert [one.label for one in read_examples(save(text=["a"] * 2, label=[["x", "y"], []]))] == [["x", "y"], []]

    def test_many_rows_count_across_batches(self, save):
        path = save(text=[str(number) for number in range(10_000)])
        assert [one.line for one in read_examples(path)] == list(range(1, 10_001))

    def test_faults(self, save, tmp_path):
        assert ":2: text must be a string. Received: null." in error_of(save(text=["a", None]))
        assert ":2: each row must have a label" in error_of(
            save(text=["a", "b"], label=["x", None]), require_label=True
        )
        assert 'a column called "text" is needed' in error_of(save(title=["a"]))
        message = error_of(save(text=["a"], topic=["x"]), require_label=True)
        assert 'a.parquet: a column called "label" is needed' in message
        assert "the file holds no examples" in error_of(save(text=[]), columns={"text": "text"})
        path = write(tmp_path, "bad.parquet", b"PAR1 this is not Parquet")
        assert f"{path}: cannot be read as Parquet: " in error_of(path)

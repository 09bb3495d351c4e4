"""Files of a corpus: found in order, opened whatever compresses them, and cut into parts that lose nothing."""

import bz2
import gzip
import hashlib
import json
import lzma

import pytest

from keras_bert_suite.data.corpus.decoding import documents_of
from keras_bert_suite.data.corpus.inputs import find_inputs, open_input
from keras_bert_suite.data.corpus.parts import group_inputs, read_parts
from keras_bert_suite.errors import DataError

TEXT = "".join(f"Document {number} begins.\nIt ends – so.\n\n" for number in range(300))


def parts_of(paths, documents="block", part_bytes=1000, **options):
    groups = group_inputs(find_inputs(paths), part_bytes)
    return [
        part
        for number, group in enumerate(groups)
        for part in read_parts(group, number, documents, part_bytes=part_bytes, **options)
    ]


def documents_in(parts, **options):
    documents = [
        text for part in parts for piece in part.pieces for text in documents_of(piece, "text", **options)
    ]  # fmt: skip
    return [text for text in documents if text.strip()]


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def test_directories_and_patterns_are_sorted_and_no_file_comes_twice(tmp_path):
    for name in ("b/2.txt", "b/1.txt", "a.jsonl", ".hidden", "b/.git/x.txt"):
        write(tmp_path / name, "x")
    names = [path.path[len(str(tmp_path)) + 1 :] for path in find_inputs([tmp_path / "b", tmp_path])]
    assert names == ["b/1.txt", "b/2.txt", "a.jsonl"]
    assert [source.format for source in find_inputs(tmp_path)] == ["json", "text", "text"]
    assert len(find_inputs(str(tmp_path / "**" / "*.txt"))) == 2


def test_missing_files_are_named(tmp_path):
    with pytest.raises(DataError, match=r"nothing\.txt: no such file"):
        find_inputs([tmp_path / "nothing.txt"])
    with pytest.raises(DataError, match="no text files were found"):
        find_inputs([tmp_path])
    with pytest.raises(DataError, match="at least one file"):
        find_inputs([])


@pytest.mark.parametrize(
    ("suffix", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)]
)
def test_compressed_files_hold_what_plain_ones_do(tmp_path, suffix, compress):
    plain = write(tmp_path / "a.txt", TEXT)
    packed = write(tmp_path / f"b.txt{suffix}", compress(TEXT.encode()[:5000]) + compress(TEXT.encode()[5000:]))
    assert documents_in(parts_of(plain)) == documents_in(parts_of(packed))
    packed.write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(DataError, match=rf"b\.txt\{suffix}: cannot be read"):
        parts_of(packed)


def test_zstandard_is_read_through_pyarrow(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    path = tmp_path / "a.txt.zst"
    with arrow.CompressedOutputStream(str(path), "zstd") as file:
        file.write(TEXT.encode())
    assert documents_in(parts_of(path)) == documents_in(parts_of(write(tmp_path / "a.txt", TEXT)))


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\n \t"])
def test_parts_end_between_documents(tmp_path, line_end):
    path = write(tmp_path / "a.txt", TEXT.replace("\n\n", f"\n{line_end}\n"))
    parts = parts_of(path)
    assert len(parts) > 10
    assert max(piece.size for part in parts for piece in part.pieces) <= 1000
    assert b"".join(part.pieces[0].text for part in parts) == path.read_bytes()
    found = [document.strip().split("\n")[0] for document in documents_in(parts)]
    assert found == [f"Document {number} begins." for number in range(300)]
    assert sum(part.bytes_read for part in parts) == path.stat().st_size


def test_small_files_share_a_part_and_large_ones_have_their_own(tmp_path):
    for number in range(8):
        write(tmp_path / f"{number}.txt", "word " * (500 if number == 4 else 60))
    shared = [[piece.path[-5:] for piece in part.pieces] for part in parts_of(tmp_path, "file")]
    assert shared == [
        ["0.txt", "1.txt", "2.txt"], ["3.txt"], ["4.txt"], ["4.txt"], ["4.txt"], ["5.txt", "6.txt", "7.txt"]
    ]  # fmt: skip
    names = [part.name for part in parts_of(tmp_path, "file")]
    assert names == sorted(set(names))


@pytest.mark.parametrize("documents", ["block", "line", "file"])
@pytest.mark.parametrize("text", ["word " * 2000, "字" * 3000, "天气很好。" * 600, "a" * 9000, "line\n" * 2000])
def test_one_giant_document_is_cut_inside_no_character(tmp_path, documents, text):
    parts = parts_of(write(tmp_path / "a.txt", text), documents)
    assert max(piece.size for part in parts for piece in part.pieces) <= 1000
    pieces = [piece.text.decode() for part in parts for piece in part.pieces]
    assert "".join(pieces) == text
    if " " in text:
        assert all(piece.endswith("word ") for piece in pieces)
    if "。" in text:
        assert all(piece.endswith("。") for piece in pieces)


def test_json_lines_and_parquet_have_a_document_a_row(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    texts = [f"Row {number}.\nTwo – {'x' * (number % 7)}." for number in range(400)]
    lines = "".join(json.dumps({"id": 1, "text": text}, ensure_ascii=len(text) % 2 == 0) + "\n" for text in texts)
    write(tmp_path / "a.jsonl", lines + "\n")
    parquet.write_table(arrow.table({"text": [*texts, None]}), tmp_path / "b.parquet", row_group_size=150)
    for name in ("a.jsonl", "b.parquet"):
        parts = parts_of(tmp_path / name)
        assert len(parts) > 5
        assert documents_in(parts) == texts
    with pytest.raises(DataError, match="no column called 'body'"):
        parts_of(tmp_path / "b.parquet", column="body")


def test_rows_larger_than_a_part_are_cut(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    texts = ["small one", "word " * 1000, "last one"]
    write(tmp_path / "a.jsonl", "\n".join(json.dumps({"text": text}) for text in texts))
    parquet.write_table(arrow.table({"text": texts}), tmp_path / "b.parquet")
    for name in ("a.jsonl", "b.parquet"):
        parts = parts_of(tmp_path / name)
        assert max(piece.size for part in parts for piece in part.pieces) <= 1000
        assert "".join(documents_in(parts)) == "".join(texts)


@pytest.mark.parametrize("filler", ["", "word " * 1000], ids=["short", "long"])
def test_bytes_that_are_no_text_are_refused_or_replaced_in_rows_of_any_length(tmp_path, filler):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [b"fine", filler.encode() + b"\xff bad", filler.encode() + b"a\0b"]
    binary = arrow.array(rows, arrow.binary())
    texts = arrow.Array.from_buffers(arrow.string(), len(rows), binary.buffers())
    parquet.write_table(arrow.table({"text": texts}), tmp_path / "b.parquet")
    parquet.write_table(arrow.table({"text": texts.slice(2)}), tmp_path / "c.parquet")
    (tmp_path / "b.jsonl").write_bytes(b"\n".join(b'{"text": "%s"}' % row.replace(b"\0", b"\\u0000") for row in rows))
    (tmp_path / "c.jsonl").write_bytes(b'{"text": "%sa\\u0000b"}' % filler.encode())
    for kind in ("parquet", "jsonl"):
        with pytest.raises(DataError, match=rf"b\.{kind}:2: invalid UTF-8: 0xFF at byte"):
            documents_in(parts_of(tmp_path / f"b.{kind}"))
        with pytest.raises(DataError, match=rf"c\.{kind}:1: NUL character"):
            documents_in(parts_of(tmp_path / f"c.{kind}"))
        found = documents_in(parts_of(tmp_path / f"b.{kind}", errors="replace"), errors="replace")
        assert "".join(found) == f"fine{filler}\ufffd bad{filler}a\ufffdb"


def test_a_column_must_hold_text(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"text": [None, 3]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet:2: text must be a string. Received: int64"):
        parts_of(tmp_path / "a.parquet")
    column = arrow.array(["one", None, "two"]).dictionary_encode()
    parquet.write_table(arrow.table({"text": column}), tmp_path / "b.parquet")
    assert documents_in(parts_of(tmp_path / "b.parquet")) == ["one", "two"]


def test_a_json_object_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("keras_bert_suite.data.corpus.pieces.MAX_JSON_BYTES", 1 << 20)
    path = write(tmp_path / "a.jsonl", '{"text": "' + "x" * (4 << 20) + '"}')
    with pytest.raises(DataError, match=r"a\.jsonl: an object of JSON may have at most 1 MiB"):
        parts_of(path)


def test_faulty_lines_are_named(tmp_path):
    path = write(tmp_path / "a.txt", (TEXT + "fine\nnot \xff fine\n").encode("latin-1", "ignore"))
    line = TEXT.count("\n") + 2
    with pytest.raises(DataError, match=rf"a\.txt:{line}: invalid UTF-8: 0xFF at byte 5 of the line"):
        documents_in(parts_of(path))
    assert documents_in(parts_of(path), errors="replace")[-1] == "fine\nnot \ufffd fine\n"
    write(path, TEXT + "a\0b")
    with pytest.raises(DataError, match=rf":{line - 1}: NUL byte at byte 2"):
        documents_in(parts_of(path))
    write(path, "text".encode("utf-16"))
    with pytest.raises(DataError, match="UTF-16"):
        documents_in(parts_of(path))
    write(path, b"\xef\xbb\xbftext")
    assert documents_in(parts_of(path)) == ["text"]


@pytest.mark.parametrize("line", ['{"body": "x"}', "[1]", '{"text": 3}', "nonsense", '{"text": "\\ud800"}'])
def test_faulty_json_is_named(tmp_path, line):
    path = write(tmp_path / "a.jsonl", '{"text": "fine"}\n' * 100 + line)
    with pytest.raises(DataError, match=r"a\.jsonl:101: each line must be a JSON object"):
        documents_in(parts_of(path))


def test_checksums_are_of_whole_files(tmp_path):
    path = write(tmp_path / "a.txt.gz", gzip.compress(TEXT.encode()) + b"\0" * 100)
    sums = []
    parts_of(path, read=lambda source, sha256: sums.append(sha256))
    assert sums == [hashlib.sha256(path.read_bytes()).hexdigest()]
    with open_input(find_inputs(path)[0]) as (stream, _):
        assert stream.read(8) == b"Document"

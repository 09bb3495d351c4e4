"""Lines end at line feeds only, and every byte that is not text names its line."""

import gzip

import numpy as np
import pytest

from keras_bert_suite.data import lines
from keras_bert_suite.data.lines import check_file, read_lines
from keras_bert_suite.errors import DataError


def write(folder, content, name="file.txt"):
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a\nb\n", ["a", "b"]),
        (b"a\nb", ["a", "b"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"\xef\xbb\xbfa\n", ["a"]),
        (b"\n\na\n\n", ["", "", "a", ""]),
        (b"", []),
        (b"\n", [""]),
        (b"a\rb\n", ["a\rb"]),
        ("a\u2028b\u0085c\x0cd\x1ce\n".encode(), ["a\u2028b\u0085c\x0cd\x1ce"]),
        (b"a\n\xef\xbb\xbfb\n", ["a", "\ufeffb"]),
    ],
)
def test_lines(tmp_path, content, expected):
    assert list(read_lines(write(tmp_path, content))) == list(enumerate(expected, 1))


@pytest.mark.parametrize("seed", range(20))
def test_any_block_size_gives_the_same_lines(tmp_path, monkeypatch, seed):
    rng = np.random.default_rng(seed)
    text = "".join(rng.choice(["a", "é", "汉", "🙂", "\n", "\r\n", "\t", "\u2028"], size=300))
    path = write(tmp_path, text.encode())
    expected = [line.removesuffix("\r") for line in text.split("\n")]
    expected = expected[:-1] if text.endswith("\n") else expected
    monkeypatch.setattr(lines, "BLOCK_BYTES", int(rng.integers(1, 40)))
    assert list(read_lines(path)) == list(enumerate(expected, 1))


def test_gzip(tmp_path):
    path = write(tmp_path, gzip.compress("é\nb\n".encode()), "file.txt.gz")
    assert list(read_lines(path)) == [(1, "é"), (2, "b")]


def fault_of(path):
    """Return the lines before the fault, and the fault."""
    seen = []
    with pytest.raises(DataError) as caught:
        seen.extend(read_lines(path))
    return seen, caught.value


@pytest.mark.parametrize("block_bytes", [3, 1 << 20])
def test_invalid_utf8_names_line_and_byte_after_the_sound_lines(tmp_path, monkeypatch, block_bytes):
    monkeypatch.setattr(lines, "BLOCK_BYTES", block_bytes)
    path = write(tmp_path, b"ok\nfine\ncaf\xe9 noir\nmore\n")
    seen, error = fault_of(path)
    assert seen == [(1, "ok"), (2, "fine")]
    assert str(error).startswith(f"{path}:3: invalid UTF-8: 0xE9 at byte 4 of the line. Save the file as UTF-8")
    assert error.line == 3


def test_a_character_cut_off_by_the_end_of_the_file(tmp_path):
    seen, error = fault_of(write(tmp_path, "a\né".encode()[:-1]))
    assert seen == [(1, "a")]
    assert "file.txt:2: invalid UTF-8: 0xC3 at byte 1" in str(error)


def test_nul_byte_and_whichever_fault_comes_first(tmp_path):
    _, error = fault_of(write(tmp_path, b"a\nb\0c\n\xff\n"))
    assert "file.txt:2: NUL byte at byte 2 of the line; a text file has none." in str(error)
    _, error = fault_of(write(tmp_path, b"a\n\xff\nb\0c\n"))
    assert "file.txt:2: invalid UTF-8: 0xFF" in str(error)


def test_utf16_is_recognized(tmp_path):
    seen, error = fault_of(write(tmp_path, "text\nüber\n".encode("utf-16")))
    assert seen == []
    assert 'the file is UTF-16; UTF-8 is needed. Convert it: "iconv -f UTF-16 -t UTF-8".' in str(error)


def test_damaged_gzip(tmp_path):
    whole = gzip.compress(b"a line of text\n" * 10_000)
    for content in (whole[: len(whole) // 2], b"not gzip at all"):
        path = write(tmp_path, content, "file.txt.gz")
        _, error = fault_of(path)
        assert str(error).startswith(f"{path}: cannot be read: ")
        assert "Check the permissions and that the file is complete." in str(error)


def test_a_line_of_many_megabytes_is_read_and_an_endless_one_refused(tmp_path, monkeypatch):
    path = write(tmp_path, b"a\n" + b"x" * (5 << 20) + b"\nb\n")
    assert [len(line) for _, line in read_lines(path)] == [1, 5 << 20, 1]
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 2 << 20)
    seen, error = fault_of(path)
    assert seen == [(1, "a")]
    assert "file.txt:2: a line may hold at most 2 MiB, and this one is longer." in str(error)


def test_check_file(tmp_path):
    path = write(tmp_path, b"a\n")
    assert check_file(str(path)) == path
    with pytest.raises(DataError, match=r"a data file is needed, but this is a directory. Name one file in it."):
        check_file(tmp_path)
    with pytest.raises(DataError, match=r"absent\.tsv: no such file\. Check the path; relative ones start at "):
        check_file(tmp_path / "absent.tsv")

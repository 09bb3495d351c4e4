"""CSV cells equal those of the standard library wherever it accepts a file, and bad quotes name their line."""

import csv
import io

import numpy as np
import pytest

from keras_bert_suite.data import separated
from keras_bert_suite.data.separated import comma_rows, tab_rows
from keras_bert_suite.errors import DataError


def numbered(text):
    return enumerate(text.split("\n"), 1)


@pytest.mark.parametrize("seed", range(200))
def test_comma_rows_equal_the_csv_module(seed):
    rng = np.random.default_rng(seed)
    pieces = ["a", "b c", '"', ",", "\n", "'", "汉", " ", "\t", ""]
    records = [["".join(rng.choice(pieces, size=rng.integers(0, 8))) for _ in range(3)] for _ in range(20)]
    file = io.StringIO()
    quoting = (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)[seed % 2]
    csv.writer(file, lineterminator="\n", quoting=quoting).writerows(records)
    assert [cells for _, cells in comma_rows(numbered(file.getvalue()[:-1]))] == records


def test_a_quote_inside_an_unquoted_cell_is_text():
    assert list(comma_rows(numbered('5" pipe,it is 6",x\ny'))) == [(1, ['5" pipe', 'it is 6"', "x"]), (2, ["y"])]


def test_rows_begin_where_their_first_cell_does():
    text = 'a,b\n"two\nlines",c\n\nd,"three\n\nlines"\ne,f'
    assert list(comma_rows(numbered(text))) == [
        (1, ["a", "b"]),
        (2, ["two\nlines", "c"]),
        (4, [""]),
        (5, ["d", "three\n\nlines"]),
        (8, ["e", "f"]),
    ]


def test_unclosed_quote_names_the_line_on_which_it_opened():
    with pytest.raises(DataError, match=r"^f.csv:3: the quote opened on line 3 is never closed. Close it, or write"):
        list(comma_rows(numbered('a,b\n"c\nd","e\nf\ng'), "f.csv"))


def test_unclosed_quote_does_not_swallow_an_endless_file(monkeypatch):
    monkeypatch.setattr(separated, "MAX_CELL_CHARACTERS", 1000)
    endless = ((number, '"open' if number == 5 else "x" * 100) for number in iter(lambda: next(count), None))
    count = iter(range(1, 10**9))
    with pytest.raises(DataError, match=r"^f.csv:5: the quote opened on line 5 is never closed."):
        list(comma_rows(endless, "f.csv"))
    assert next(count) < 30


def test_text_after_a_closing_quote():
    with pytest.raises(DataError, match=r"^f.csv:2: a comma or the end of the line must follow a closing quote. "):
        list(comma_rows(numbered('a,b\n"He said "hi" to me",c'), "f.csv"))


def test_long_cells_take_linear_time():
    cell = ('line "" of text,\n' * 60_000) + '""' * 500_000
    ((line, cells),) = comma_rows(numbered(f'"{cell}",label'))
    assert (line, len(cells), cells[1]) == (1, 2, "label")
    assert cells[0] == cell.replace('""', '"')


def test_tabs_have_no_quoting():
    assert list(tab_rows(numbered('"a\tb"\tc\n'))) == [(1, ['"a', 'b"', "c"]), (2, [""])]

"""Rows of tab- and comma-separated lines, as lists of cells with the line on which each begins.

TSV has no quoting: a quote character is text, as in GLUE and most corpora. CSV
is quoted as RFC 4180 says, and as spreadsheets write it: a quote means
something only at the start of a cell. `csv` of the standard library is not
used: its limit on the size of a cell is one setting for the whole process, and
it cannot say where a quote was opened.
"""

import re

from keras_bert_suite.errors import DataError

__all__ = ["comma_rows", "tab_rows"]

#: The rest of a quoted cell up to its closing quote; a doubled quote is text.
_UP_TO_QUOTE = re.compile(r'([^"]*+(?:""[^"]*+)*+)"')
#: A quote open for longer was most likely never closed.
MAX_CELL_CHARACTERS = 64 << 20


def tab_rows(lines, path=None):
    """Yield `(line number, cells)` for each line; see `comma_rows` for the arguments."""
    for number, line in lines:
        yield number, line.split("\t")


def comma_rows(lines, path=None):
    r"""Yield `(line number, cells)` for each CSV record, which may span lines.

    Args:
        lines: iterator of `(int, str)`, as `read_lines` gives it.
        path: optional path, for errors.
    Raises:
        DataError: if a quote is not closed, or text follows a closing quote.
    Example:
    >>> list(comma_rows(iter([(1, 'a,"b ""c""'), (2, 'd"'), (3, "e,")])))
    [(1, ['a', 'b "c"\nd']), (3, ['e', ''])]
    """
    for number, line in lines:
        if '"' not in line:
            yield number, line.split(",")
            continue
        begins, cells, at = number, [], 0
        while True:
            if line.startswith('"', at):
                cell, number, line, at = _quoted_cell(lines, number, line, at, path)
            else:
                end = line.find(",", at)
                end = len(line) if end < 0 else end
                cell, at = line[at:end], end
            cells.append(cell)
            if at == len(line):
                break
            at += 1
        yield begins, cells


def _quoted_cell(lines, number, line, at, path):
    """Return the cell opened at `line[at]`, and the line and place just after its closing quote."""
    opened, parts, size, at = number, [], 0, at + 1
    while not (closed := _UP_TO_QUOTE.match(line, at)):
        parts.append(line[at:])
        size += len(parts[-1])
        number, line = next(lines, (None, None))
        if line is None or size > MAX_CELL_CHARACTERS:
            raise DataError(
                f"the quote opened on line {opened} is never closed. Close it, or write a quote that is "
                'text as "" inside a quoted cell.',
                path,
                opened,
            )
        at = 0
    parts.append(closed[1])
    at = closed.end()
    if at < len(line) and line[at] != ",":
        raise DataError(
            f"a comma or the end of the line must follow a closing quote. Received: {line[at : at + 20]!r} after it. "
            'Write a quote that is text as "" inside a quoted cell.',
            path,
            number,
        )
    return "\n".join(parts).replace('""', '"'), number, line, at

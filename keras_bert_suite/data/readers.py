"""Labelled texts from TSV, CSV, JSON Lines, Parquet and plain text files, streamed in constant memory.

Readers give strings as they stand in the file. What labels mean (one or many,
known or not) is decided above, in `labels.py` and the tasks.
"""

import functools
import json
import logging
import math
from typing import NamedTuple

from keras_bert_suite.data.columns import ColumnPlan, check_columns, find_columns, has_positions
from keras_bert_suite.data.lines import check_file, read_lines
from keras_bert_suite.data.separated import comma_rows, tab_rows
from keras_bert_suite.errors import DataError, require

__all__ = ["Example", "read_examples", "read_texts"]

logger = logging.getLogger(__name__)


class Example(NamedTuple):
    """One row of a data file.

    Args:
        text: str. May be empty.
        text_b: optional str. The second text of a pair.
        label: optional str, or list of str where the file gives a list.
        line: int. The line, from 1, on which the row begins (Parquet: the row).
    """

    text: str
    text_b: str | None = None
    label: str | list[str] | None = None
    line: int = 0


def read_examples(path, *, require_label=False, columns=None):
    r"""Return an iterator over the examples of a file, whatever its size.

    The suffix says the format: `.tsv` (no quoting), `.csv` (RFC 4180 quoting),
    `.jsonl`, `.ndjson` or `.json` (one object a line), `.parquet`, and `.txt`
    (one text a line: no header, no labels). All but Parquet may end in `.gz`.
    Columns are `text`, `text_b` for pairs and `label`, in any order, among any
    others; `columns.py` lists the other names that are understood. Labels lose
    surrounding spaces, numbers become decimal strings, and an empty label
    is `None`. Blank lines are skipped, except where a line is nothing but a
    text: there they are empty texts, so that answers stay in step with lines.

    Args:
        path: str or path.
        require_label: bool. Whether each row must have a label.
        columns: optional dict, e.g. `{"text": "body", "label": "topic"}`;
            positions such as `{"text": 0, "label": 1}` read a TSV or CSV
            without a header, and other columns of a TSV may then be more or
            fewer; `{"label": None}` leaves labels unread.
    Returns:
        Iterator of `Example`.
    Raises:
        DataError: at once if the file is missing or its suffix unknown, and
            while reading at the first row that breaks a rule, with its line.
        ImportError: if Parquet is asked for without pyarrow.
    Example:
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "train.tsv")
    ...     _ = path.write_text("text\tlabel\nI loved it\tpos\n", encoding="utf-8")
    ...     list(read_examples(path))
    [Example(text='I loved it', text_b=None, label='pos', line=2)]
    """
    path = check_file(path)
    chosen = check_columns(columns)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compressed = suffixes[-1:] == [".gz"]
    suffix = "".join(suffixes[-2:-1] if compressed else suffixes[-1:])
    reader = _READERS.get(suffix)
    if reader is None or (compressed and suffix == ".parquet"):
        raise DataError(
            f"the suffix must be one of {', '.join(_READERS)}, or a text format with .gz. "
            f"Received: {''.join(path.suffixes) or 'none'}. Rename the file after its format.",
            path,
        )
    if has_positions(chosen) and suffix not in (".tsv", ".csv"):
        raise ValueError(f"columns: positions are for TSV and CSV. Received: {columns} for {path}. Use names.")
    if suffix == ".txt" and any(value is not None for value in chosen.values()):
        raise ValueError(f"columns: a .txt file has none, each line is a text. Received: {columns} for {path}.")
    if suffix == ".parquet":
        require("pyarrow.parquet", "Reading Parquet files")
    return _at_least_one(reader(path, chosen, require_label), path)


def read_texts(path, *, columns=None):
    """Return an iterator over the texts and pairs of a file, for prediction.

    Like `read_examples`, but labels are not looked at: their column may be
    missing, ambiguous or wrong. Each `label` is `None`.

    Args:
        path: str or path.
        columns: optional dict, as in `read_examples`.
    Returns:
        Iterator of `Example`.
    """
    return read_examples(path, columns={**(columns or {}), "label": None})


def _at_least_one(examples, path):
    empty = True
    for example in examples:
        empty = False
        yield example
    if empty:
        raise DataError("the file holds no examples. Give it at least one row of data.", path)


def _plain_examples(path, chosen, require_label):
    if require_label:
        raise DataError(
            "labels are needed, and a .txt file has none: each line is a text. "
            'If its columns are separated by tabs, name it .tsv and start it with a header line "text<TAB>label".',
            path,
        )
    for line, text in read_lines(path):
        yield Example(text, None, None, line)


def _separated_examples(path, chosen, require_label, rows_of):
    rows = rows_of(read_lines(path), path)
    first = next(rows, None)
    if first is None:
        raise DataError('the file is empty. Start it with a header line such as "text<TAB>label".', path)
    width = least = most = len(first[1])
    if has_positions(chosen):
        plan = ColumnPlan(**chosen)
        needed = 1 + max(position for position in plan if position is not None)
        if needed > width:
            raise DataError(f"columns {chosen} need more columns than the {width} found. Count from 0.", path, first[0])
        if rows_of is tab_rows:  # in corpora such as STS-B some rows go on; in CSV a text has lost its quotes
            least, most = needed, math.inf
        rows = _with_first(first, rows)
    else:
        plan = find_columns(first[1], chosen, require_label, path, first[0])
    text, text_b, label = plan
    if require_label and label is None:
        raise _unlabelled(path, first[0])
    even = True
    for line, cells in rows:
        if len(cells) != width:
            if cells == [""]:
                continue
            if not least <= len(cells) <= most:
                raise DataError(_wrong_width(len(cells), width, rows_of is tab_rows), path, line)
            if even:
                logger.warning(
                    "%s:%d: this row has %d columns, the first one %d. Those chosen are read, here and below.",
                    path,
                    line,
                    len(cells),
                    width,
                )
            even = False
        name = None if label is None else cells[label].strip() or None
        if name is None and require_label:
            raise _unlabelled(path, line)
        yield Example(cells[text], None if text_b is None else cells[text_b], name, line)


def _with_first(first, rows):
    yield first
    yield from rows


def _wrong_width(received, width, tabs):
    separator = "tab" if tabs else "comma"
    remedy = (
        f"Add the missing {separator}s, or check for a line feed inside a text"
        if received < width
        else f"Take the extra {separator}s out of the text" + ("" if tabs else ", or put the text in quotes")
    )
    return f"each row must have as many columns as the first line. Expected {width}, received {received}. {remedy}."


def _unlabelled(path, line):
    return DataError("each row must have a label, and this one has none. Fill it in or remove the row.", path, line)


def _json_examples(path, chosen, require_label):
    plans = {}  # rows of one file may have different keys, but there are few kinds
    for line, row_text in read_lines(path):
        if not row_text.strip():
            continue
        row = _json_object(row_text, path, line)
        names = tuple(row)
        if names not in plans:
            if len(plans) == 1000:
                plans.clear()
            plans[names] = find_columns(names, chosen, require_label, path, line)
        values = (None if position is None else row[names[position]] for position in plans[names])
        example = _checked_example(*values, line, path, require_label)
        if "\\u" in row_text:
            _check_characters(example, path)
        yield example


def _json_object(row_text, path, line):
    remedy = "Correct the line."
    if row_text.lstrip().startswith("["):
        remedy = 'Write the objects of a list one a line: "jq -c .[] OLD > NEW.jsonl".'
    try:
        row = json.loads(row_text)
    except (ValueError, RecursionError) as error:
        reason = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else error
        raise DataError(
            f"each line must be one JSON object. Received: {_shortened(row_text)!r}: {reason}. {remedy}", path, line
        ) from error
    if not isinstance(row, dict):
        raise DataError(f"each line must be one JSON object. Received: {_kind(row)}. {remedy}", path, line)
    return row


def _parquet_examples(path, chosen, require_label):
    parquet = require("pyarrow.parquet", "Reading Parquet files")
    arrow = require("pyarrow", "Reading Parquet files")
    try:
        with parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            plan = find_columns(names, chosen, require_label, path)
            read = {key: names[position] for key, position in plan._asdict().items() if position is not None}
            line = 0
            for batch in file.iter_batches(batch_size=4096, columns=list(dict.fromkeys(read.values()))):
                cells = {key: batch.column(name).to_pylist() for key, name in read.items()}
                absent = [None] * batch.num_rows
                for row in zip(*(cells.get(key, absent) for key in ColumnPlan._fields), strict=True):
                    line += 1
                    yield _checked_example(*row, line, path, require_label)
    except (arrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot be read as Parquet: {error}. Write the file again.", path) from error


def _checked_example(text, text_b, label, line, path, require_label):
    """Return the example of typed values, which JSON and Parquet have."""
    if not isinstance(text, str):
        raise DataError(f"text must be a string. Received: {_kind(text)}. Put it in quotes.", path, line)
    if text_b is not None and not isinstance(text_b, str):
        raise DataError(f"text_b must be a string or null. Received: {_kind(text_b)}. Put it in quotes.", path, line)
    if isinstance(label, list):
        label = [_label_name(one, path, line) for one in label]
        if None in label:
            raise DataError("a list of labels must not hold an empty one. Remove it.", path, line)
    else:
        label = _label_name(label, path, line)
    if label is None and require_label:
        raise _unlabelled(path, line)
    return Example(text, text_b, label, line)


def _label_name(value, path, line):
    if value is None:
        return None
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return str(int(value)) if value.is_integer() else repr(value)  # pandas writes 1 as 1.0 beside missing ones
    raise DataError(
        f"label must be a string, a number, true, false or a list of these. Received: {_kind(value)}.", path, line
    )


def _check_characters(example, path):
    """Refuse what an escape such as \\u0000 can bring in although the file itself is sound."""
    for text in (example.text, example.text_b or ""):
        if "\0" in text:
            raise DataError("a text must not hold the character \\u0000. Remove it.", path, example.line)
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise DataError(
                f"\\u{ord(text[error.start]):04x} is half of a surrogate pair and no character. Write both halves.",
                path,
                example.line,
            ) from error


def _kind(value):
    if value is None:
        return "null"
    return f"{type(value).__name__} {_shortened(repr(value))}"


def _shortened(text):
    return text if len(text) <= 40 else text[:37] + "..."


_READERS = {
    ".tsv": functools.partial(_separated_examples, rows_of=tab_rows),
    ".csv": functools.partial(_separated_examples, rows_of=comma_rows),
    ".jsonl": _json_examples,
    ".ndjson": _json_examples,
    ".json": _json_examples,
    ".parquet": _parquet_examples,
    ".txt": _plain_examples,
}

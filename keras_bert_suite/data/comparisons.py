"""Pairs and triplets of texts from data files: what models of sentence embeddings learn from.

A row has a text and one that goes with it, and perhaps a text that does not, or
a score of how alike the two are. Cells are read by `readers.py`.
"""

import itertools
import json
import math
from pathlib import Path
from typing import NamedTuple

from keras_bert_suite.data.columns import PAIR_NAMES
from keras_bert_suite.data.lines import check_file, read_lines
from keras_bert_suite.data.readers import read_examples
from keras_bert_suite.data.separated import comma_rows, tab_rows
from keras_bert_suite.errors import DataError, require

__all__ = ["Comparison", "read_comparisons"]

#: Names of three columns that are read as `text`, `text_b` and `text_c`, the last being unlike the first.
TRIPLET_NAMES = (
    ("text", "text_b", "text_c"),
    ("anchor", "positive", "negative"),
    ("query", "positive", "negative"),
    ("question", "positive", "negative"),
    ("sentence1", "sentence2", "sentence3"),
)
#: Names of two.
TWO_NAMES = (
    *dict.fromkeys(names[:2] for names in TRIPLET_NAMES),
    *PAIR_NAMES,
    ("query", "answer"),
    ("question", "answer"),
    ("query", "document"),
    ("query", "passage"),
)
#: Names of the score. Other labels say what a text is about, not how alike two are.
SCORE_NAMES = ("label", "score", "similarity", "similarity_score", "is_duplicate", "quality")

KEYS = ("text", "text_b", "text_c", "label")


class Comparison(NamedTuple):
    """One row of a data file.

    Args:
        text: str. The anchor: a question, say.
        text_b: str. A text that goes with it, unless a low score says otherwise.
        text_c: optional str. A text that does not.
        score: optional float. How alike the first two are.
        line: int. The line, from 1, on which the row begins (Parquet: the row).
    """

    text: str
    text_b: str
    text_c: str | None = None
    score: float | None = None
    line: int = 0


def read_comparisons(path, *, columns=None):
    r"""Return an iterator over the pairs or triplets of a file, whatever its size.

    The suffix says the format, as in `read_examples`. Columns are `text` and
    `text_b`; for triplets `text_c`; for scored pairs `label`, a number. Also
    understood are `anchor`, `positive` and `negative`, `query` and `answer`,
    `sentence1`, `sentence2` and `score`, and others that this file lists. A
    triplet has no score, and neither has a pair whose `columns` name none.

    Args:
        path: str or path of a TSV, CSV, JSON Lines or Parquet file.
        columns: optional dict from `text`, `text_b`, `text_c` and `label` to the
            name of a column, to its position from 0 in a file without a header,
            or to `None` to leave it unread.
    Returns:
        Iterator of `Comparison`.
    Raises:
        DataError: if the file is missing, its columns are not found, or a row
            breaks a rule.
    Example:
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "train.tsv")
    ...     _ = path.write_text("sentence1\tsentence2\tscore\nIt rains.\tRain falls.\t4.5\n", encoding="utf-8")
    ...     list(read_comparisons(path))
    [Comparison(text='It rains.', text_b='Rain falls.', text_c=None, score=4.5, line=2)]
    """
    path = check_file(path)
    chosen = dict(columns or {})
    if unknown := [key for key in chosen if key not in KEYS]:
        raise ValueError(f"columns: keys must be among {', '.join(KEYS)}. Received: {unknown[0]!r}.")
    if not any(isinstance(value, int) for value in chosen.values()):
        chosen = _found_columns(path, chosen)
    third = chosen.pop("text_c", None)
    if third is not None and chosen.get("label") is not None:
        raise ValueError(f"columns: a triplet has no score. Received: text_c={third!r}, label={chosen['label']!r}.")
    rows = read_examples(path, columns={"label": None, **chosen}, require_label=chosen.get("label") is not None)
    # A second pass over the file brings the third text: what reads cells knows of two.
    others = itertools.repeat(None) if third is None else read_examples(path, columns={"text": third, "label": None})
    return _comparisons(rows, others, path)


def _comparisons(rows, others, path):
    for row, other in zip(rows, others, strict=False):
        if row.text_b is None:
            raise DataError("each row must have two texts, and this one has one. Fill text_b in.", path, row.line)
        score = None if row.label is None else _score(row.label, path, row.line)
        yield Comparison(row.text, row.text_b, None if other is None else other.text, score, row.line)


def _score(label, path, line):
    try:
        score = float(label)
    except (TypeError, ValueError):
        score = math.nan
    if not math.isfinite(score):
        raise DataError(
            f"a score must be a finite number. Received: {label!r}. Correct it, or read the texts alone: "
            'columns={"text": NAME, "text_b": NAME}.',
            path,
            line,
        )
    return score


def _found_columns(path, chosen):
    """Return the columns to read by our names, those that the caller did not choose found by theirs."""
    names = _column_names(path)
    folded = {name.strip().lower(): name for name in names}
    found = dict(chosen)
    if "text" not in found:
        free = set(folded) - {str(value).strip().lower() for value in chosen.values()}
        candidates = TRIPLET_NAMES if "text_c" not in found and "label" not in found else ()
        match = next((three for three in (*candidates, *TWO_NAMES) if set(three) <= free), None)
        if match is None:
            raise DataError(
                'columns called "text" and "text_b" are needed, or "anchor" and "positive". Columns found: '
                f"{', '.join(map(repr, names[:12])) or 'none'}. Rename them, or choose: "
                'columns={"text": NAME, "text_b": NAME}.',
                path,
            )
        found = {**dict(zip(KEYS, map(folded.get, match), strict=False)), **found}
    if not chosen and found.get("text_c") is None:
        found["label"] = next((folded[name] for name in SCORE_NAMES if name in folded), None)
    return found


def _column_names(path):
    """Return the names of a file's columns; of JSON Lines, those of its first row."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes if suffix.lower() != ".gz"]
    suffix = suffixes[-1] if suffixes else ""
    if suffix == ".parquet":
        return require("pyarrow.parquet", "Reading Parquet files").read_schema(path).names
    lines = ((number, line) for number, line in read_lines(path) if line.strip())
    if suffix in (".tsv", ".csv"):
        _, cells = next((tab_rows if suffix == ".tsv" else comma_rows)(lines, path), (0, []))
        return cells
    try:
        row = json.loads(next(lines, (0, "{}"))[1]) if suffix in (".jsonl", ".ndjson", ".json") else {}
    except (ValueError, RecursionError):
        row = {}
    return list(row) if isinstance(row, dict) else []

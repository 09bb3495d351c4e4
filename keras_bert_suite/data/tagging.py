"""Texts with tagged words or spans, from CoNLL columns and JSON Lines, streamed."""

import re
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import NamedTuple

from keras_bert_suite.data.lines import check_file, read_lines
from keras_bert_suite.data.readers import Example, _check_characters, _json_object
from keras_bert_suite.data.tag_schemes import has_prefix
from keras_bert_suite.errors import DataError, check_choice

__all__ = ["TaggedText", "check_spans", "read_tagged"]

JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
#: Suffixes of formats that hold neither columns of words nor spans.
REFUSED_SUFFIXES = (".csv", ".parquet")
#: What the first line of a file may call its columns.
HEADER_WORDS = ("token", "tokens", "word", "words", "form")
HEADER_TAGS = ("tag", "tags", "label", "labels", "ner", "ner_tag", "ner_tags", "pos", "upos", "chunk")
#: What stands between documents in the files of CoNLL 2003.
DOCUMENT_START = "-DOCSTART-"
#: Words of a sentence of which most have spaces are texts, each with its label.
FEWEST_TEXTS = 3
COLUMNS = re.compile("[ \t]+")
#: Lines that are read ahead to see how the columns are, where all begin with `#`.
READ_AHEAD = 1000


class TaggedText(NamedTuple):
    """One text and what is tagged in it, in one of two forms.

    Args:
        text: optional str. A text as it was written.
        spans: optional list of `(start, end, label)`: first and last-plus-one
            character in `text`. In the order of the text; none overlap.
        tokens: optional list of str: the words of a text that comes in words.
        tags: optional list of str, one a word.
        line: int. The line, from 1, on which it begins.
        token_lines: optional sequence of int: the line of each word.
    """

    text: str | None = None
    spans: list | None = None
    tokens: list | None = None
    tags: list | None = None
    line: int = 0
    token_lines: list | range | None = None


def read_tagged(path, *, labels=True, columns=None):
    r"""Return an iterator over the tagged texts of a file, whatever its size.

    `.jsonl`, `.ndjson` and `.json` hold one object a line: `{"text", "spans":
    [{"start", "end", "label"}]}`, in characters, or `{"tokens", "tags"}`. All
    other files are read as CoNLL columns: a word a line, blank lines between
    sentences. Columns are parted by tabs where a line has one, else by spaces.
    A first line that names its columns (`token`, `tag`, ...) is passed over.
    Lines of `-DOCSTART-` are passed over, and comments: lines that begin with
    `#` and have another number of columns than the others, or whose first
    column is `#` alone and is no word with a tag. Either kind may end in `.gz`.

    Args:
        path: str or path.
        labels: bool. Whether to read spans and tags, which every text must have
            then; else they are passed over.
        columns: optional dict from `"text"` and `"label"` to what to read: the
            position of a CoNLL column, from 0 or, from the last one, -1; or the
            key of the objects. Defaults to the first column and the last.
    Returns:
        Iterator of `TaggedText`.
    Raises:
        DataError: at once if there is no such file, and while reading at the
            first line that breaks a rule.
    Example:
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "train.conll")
    ...     _ = path.write_text("Ada B-PER\nsings O\n\nParis B-LOC\n", encoding="utf-8")
    ...     [(found.tokens, found.tags, found.line) for found in read_tagged(path)]
    [(['Ada', 'sings'], ['B-PER', 'O'], 1), (['Paris'], ['B-LOC'], 4)]
    """
    path = check_file(path)
    suffixes = [suffix.lower() for suffix in Path(path).suffixes if suffix.lower() != ".gz"]
    suffix = suffixes[-1] if suffixes else ""
    if suffix in REFUSED_SUFFIXES:
        raise DataError(
            f"tagged texts are read from CoNLL columns and from {', '.join(JSON_SUFFIXES)}. Received: {suffix}. "
            'Write each text as {"text", "spans": [{"start", "end", "label"}]}, one a line.',
            path,
        )
    chosen = dict(columns or {})
    kind, name = (str, "a key") if suffix in JSON_SUFFIXES else (int, "a position")
    for key, value in chosen.items():
        check_choice("columns", "key", key, ("text", "label"))
        if not isinstance(value, kind) or isinstance(value, bool):
            raise TypeError(f"columns: {key} must be {name} in {path}. Received: {key}={value!r}.")
    reader = _json_texts if suffix in JSON_SUFFIXES else _conll_texts
    return _at_least_one(reader(path, chosen, labels), path)


def _at_least_one(texts, path):
    empty = True
    for text in texts:
        empty = False
        yield text
    if empty:
        raise DataError("the file holds no texts. Give it at least one.", path)


def _conll_texts(path, chosen, labels):
    words, tags, lines = [], [], []
    word_at, tag_at = chosen.get("text", 0), chosen.get("label", -1)
    first, numbered = _first_row(read_lines(path))
    cells = _cells(first.rstrip("\t"))
    width = len(cells)
    plain = _doubt(first) < 2 and _is_plain(_cell(cells, tag_at))  # whether tags have no prefix
    for line, row in _end_marked(numbered):
        if not row.strip(" \t"):
            if words:
                if labels:
                    _check_words(words, path, lines[0])
                yield TaggedText(tokens=words, tags=tags or None, line=lines[0], token_lines=_as_range(lines))
            words, tags, lines = [], [], []
            continue
        cells = _cells(row)
        while len(cells) > width and not cells[-1]:
            cells.pop()  # a tab at the end of a line
        if cells[0].startswith(DOCUMENT_START):
            continue
        if "\r" in row:
            raise DataError(
                "lines must end with line feeds. Received: carriage returns alone, as of old Macs. Save the file "
                "with Unix line ends.",
                path,
                line,
            )
        tag = _cell(cells, tag_at)
        if line == 1 and _cell(cells, word_at).lower() in HEADER_WORDS and tag.lower() in HEADER_TAGS:
            continue
        if row.startswith("#"):
            is_word = (
                _cell(cells, word_at) == "#" and ("\t" in row) == ("\t" in first) and tag and (plain or has_prefix(tag))
            )
            if len(cells) != width or (cells[0] == "#" and width > 1 and not is_word):
                continue
        plain = plain or _is_plain(tag)
        _check_cells(cells, width, word_at, tag_at, labels, path, line)
        word = cells[word_at]
        if not word.strip(" "):
            raise DataError("each line must have a word, and this one has none. Fill it in, or remove it.", path, line)
        if labels:
            tags.append(_checked_tag(cells[tag_at].strip(), path, line))
        words.append(word)
        lines.append(line)


def _check_words(words, path, line):
    """Raise `DataError` where the words of a sentence are texts."""
    if len(words) >= FEWEST_TEXTS and 2 * sum(" " in word.strip() for word in words) > len(words):
        raise DataError(
            f"each line must be a word and its tag. Received: texts, such as {words[-1]!r:.60}. Part them into words, "
            "or choose text-classification.",
            path,
            line,
        )


def _end_marked(lines):
    """Yield the lines, and one blank line after them."""
    yield from lines
    yield 0, ""


def _as_range(lines):
    return range(lines[0], lines[-1] + 1) if lines[-1] - lines[0] == len(lines) - 1 else lines


def _first_row(lines):
    """Return the first line that is most surely a word with its tag, and all of the lines."""
    seen = []
    for numbered in islice(lines, READ_AHEAD):
        seen.append(numbered)
        if _doubt(numbered[1]) == 0:
            break
    return min((row for _, row in seen), key=_doubt, default=""), chain(seen, lines)


def _doubt(row):
    """How far a line is from a word with its tag, from 0: it may be a hashtag, a comment, or nothing."""
    if not row.strip(" \t") or row.startswith(DOCUMENT_START):
        return 3
    return row.startswith("#") + (_cells(row)[0] == "#")


def _cells(row):
    return row.split("\t") if "\t" in row else COLUMNS.split(row.strip(" "))


def _cell(cells, position):
    return cells[position].strip() if -len(cells) <= position < len(cells) else ""


def _is_plain(tag):
    return tag != "" and not has_prefix(tag)


def _check_cells(cells, width, word_at, tag_at, labels, path, line):
    if len(cells) != width:
        raise DataError(
            f"each line must have as many columns as the first. Expected {width}, received {len(cells)}. "
            "Part them by tabs, or by spaces, and part sentences by blank lines.",
            path,
            line,
        )
    if labels and width < 2:
        raise DataError("each word needs a tag in a column of its own. Received: one column. Add the tags.", path, line)
    for position in (word_at, tag_at) if labels else (word_at,):
        if not -width <= position < width:
            raise DataError(
                f"columns must be among the {width} that there are. Received: {position}. Count from 0.", path, line
            )


def _checked_tag(tag, path, line):
    if not isinstance(tag, str) or not tag:
        raise DataError(
            f"each word must have a tag, such as O or B-PER. Received: {tag!r}. Write O where there is none.",
            path,
            line,
        )
    return tag


def _json_texts(path, chosen, labels):
    for line, row_text in read_lines(path):
        if not row_text.strip():
            continue
        row = _json_object(row_text, path, line)
        found = json_text(row, chosen, labels, path, line)
        if "\\u" in row_text:
            for text in found.tokens if found.text is None else [found.text]:
                _check_characters(Example(text, line=line), path)
        yield found


def json_text(row, chosen, labels, path=None, line=0):
    """Return the `TaggedText` of one object, as `read_tagged` describes them."""
    body = row.get(chosen["text"]) if "text" in chosen else row.get("tokens", row.get("text"))
    if isinstance(body, str):
        spans = row.get(chosen.get("label", "spans")) if labels else None
        if spans is None and labels:
            raise DataError(
                'each text must have its spans: "spans": [{"start": 0, "end": 3, "label": "PER"}]. Received: keys '
                f"{sorted(row)}. Write an empty list where there are none.",
                path,
                line,
            )
        return TaggedText(body, None if spans is None else check_spans(spans, body, path, line), line=line)
    if not isinstance(body, list) or not all(isinstance(word, str) and word.strip(" ") for word in body):
        raise DataError(
            f'each line must have "text", a string, or "tokens", a list of words. Received: keys {sorted(row)}. '
            "Correct the line.",
            path,
            line,
        )
    if not labels:
        return TaggedText(tokens=body, line=line)
    tags = row.get(chosen.get("label", "tags"))
    if not isinstance(tags, list) or len(tags) != len(body):
        count = f"{len(tags)} tags" if isinstance(tags, list) else f"{type(tags).__name__} as tags"
        raise DataError(
            f"there must be one tag per word. Received: {len(body)} words, {count}. Correct the line.", path, line
        )
    return TaggedText(tokens=body, tags=[_checked_tag(tag, path, line) for tag in tags], line=line)


def check_spans(spans, text, path=None, line=None):
    """Return the spans of a text in its order, as `(start, end, label)`.

    Args:
        spans: list of dicts with `start`, `end` and `label`, or of such tuples.
        text: str.
        path, line: optional, for errors.
    Raises:
        DataError: if a span has no label, is empty, reaches beyond the text or overlaps another.
    """
    if not isinstance(spans, (list, tuple)):
        raise DataError(f"spans must be a list. Received: {type(spans).__name__}. Correct the line.", path, line)
    found = []
    for span in spans:
        try:
            start, end, label = (span["start"], span["end"], span["label"]) if isinstance(span, dict) else span
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"a span must have start, end and label. Received: {span!r:.100}. Correct the line.", path, line
            ) from error
        whole = all(isinstance(place, int) and not isinstance(place, bool) for place in (start, end))
        if not whole or not 0 <= start < end <= len(text):
            raise DataError(
                f"a span must be from one character of its text to a later one, within 0 to {len(text)}. "
                f"Received: start={start!r:.30}, end={end!r:.30}. Count characters, not bytes; the end is not in it.",
                path,
                line,
            )
        if not isinstance(label, str) or not label.strip() or label == "O":
            raise DataError(f"a span must have a label. Received: {label!r:.100}. Name it, or remove it.", path, line)
        found.append((start, end, label.strip()))
    found.sort()
    for one, other in pairwise(found):
        if other[0] < one[1]:
            raise DataError(
                f"spans must not overlap. Received: {one[2]} at {one[0]} to {one[1]} and {other[2]} at {other[0]} to "
                f"{other[1]}. Keep one of them.",
                path,
                line,
            )
    return found

"""Questions with several choices, one of them right: JSON Lines, lists of dicts, and columns as SWAG has them."""

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path

from keras_bert_suite.data.lines import check_file, read_lines
from keras_bert_suite.data.separated import comma_rows, tab_rows
from keras_bert_suite.errors import DataError

__all__ = ["ChoiceExample", "read_choices"]

#: Names of the first text, and of what stands before each choice.
TEXT_NAMES = ("text", "context", "ctx", "sent1", "passage", "article", "premise", "sentence", "goal")
PREFIX_NAMES = ("question", "sent2")
#: Beginnings of the names of columns with a choice each: ending0, choice_1, answerA, ...
CHOICE_NAMES = ("ending", "choice", "option", "answer", "sol")
LABEL_NAMES = ("label", "answer", "gold_label", "answerKey")
#: A blank, which has a space, a quote or a bracket on one side at least: `^_^` is none.
_BLANK = re.compile(r"""(?:^|(?<=[\s"'(\[“‘]))_+(?!\w)|(?<!\w)_+(?=[\s"')\]”’]|$)""")


@dataclasses.dataclass(frozen=True)
class ChoiceExample:
    """A text with several ways to go on, or a question with several answers.

    Args:
        text: str. What all choices share; may be empty.
        choices: tuple of str, two at least.
        label: optional int. Index of the right one.
        prefix: str. What stands before each choice, such as a question about `text`.
            Where it has a blank, `_`, the choice stands in the blank.
        line: optional int. Its line in the file.
        first_label: int. The label of the first choice in the data that it is of.
    """

    text: str
    choices: tuple
    label: int | None = None
    prefix: str = ""
    line: int | None = None
    first_label: int = 0

    @property
    def continuations(self):
        """list of str: the second text of each pair."""
        if len(parts := _BLANK.split(self.prefix)) == 2:
            return [choice.join(parts) for choice in self.choices]
        return [f"{self.prefix} {choice}".strip() for choice in self.choices]


def read_choices(x, *, require_labels=False, labels=True, first_label=None):
    """Read questions with choices.

    Each row has a text (`text`, `context`, `premise`, ...), perhaps what stands
    before every choice (`question`, `sent2`; where there is no other text, the
    question is the text), the choices (a list `choices`, `endings` or
    `options`, or a column each: `ending0`, `ending1`, ...; empty columns at the
    end are none), and a `label`: the index of the right choice, from 0, a letter
    from A, or the choice itself. Labels count from 1 where the first and the last
    choice are right somewhere by that count, and none is 0, as in SocialIQa; a
    number is a choice itself only where every label is. Choices as ARC has them,
    `{"text": [...], "label": ["1", ...]}`, bring keys of their own; a str is then
    one of these. An `answer` to `option1`, `option2`, ... counts from 1, as in
    WinoGrande.

    A single text with a blank, `_`, is parted there, and the choices stand in the blank.

    Args:
        x: str or path of a `.jsonl`, `.ndjson`, `.json` (one object a line),
            `.csv` or `.tsv` file, perhaps with `.gz`; or a list of dicts, or of
            `ChoiceExample`.
        require_labels: bool. Whether each row must have a label.
        labels: bool. Whether to read labels; for prediction they are not looked at.
        first_label: optional int, 0 or 1. What labels count from where the data
            does not tell; else 0.
    Returns:
        list of `ChoiceExample`.
    Raises:
        DataError: if a file is missing or a row breaks a rule, with its line.
    Example:
    >>> read_choices([{"text": "She sat down", "choices": ["and ate.", "and flew."], "label": 0}])[0].choices
    ('and ate.', 'and flew.')

    Source: Zellers et al. 2018; Lai et al. 2017.
    """
    path = check_file(x) if isinstance(x, (str, Path)) else None
    rows = list(_file_rows(path)) if path is not None else [(None, row) for row in x]
    first, verbatim = _reading(row for _, row in rows) if labels else (0, False)
    first = (first_label or 0) if first is None else first
    examples = []
    for line, row in rows:
        if isinstance(row, ChoiceExample):
            example, fault = row, None
        else:
            example, fault = _example(row, line, labels, first, verbatim)
        if fault is None and require_labels and example.label is None:
            fault = "each row must have a label, the index of the right choice. Received: none. Fill it in."
        if fault:
            where = "" if line is not None else f"row {len(examples)}: "
            raise DataError(f"{where}{fault}", path, line)
        examples.append(example)
    if not examples:
        raise DataError("at least one row is needed. Received: none.", path)
    return examples


def _reading(rows):
    """Return 0 or 1, what labels count from, `None` where they do not tell; and whether all are choices themselves."""
    seen, verbatim, first = set(), True, None
    for row in rows:
        if not isinstance(row, Mapping) or (number := _number(_raw_label(row))) is None:
            continue
        choices, keys = _choices(row)
        if not isinstance(choices, (list, tuple)) or keys:
            continue
        verbatim = verbatim and _raw_label(row) in choices
        if row.get("label") is None and "option1" in row and "option0" not in row:
            first = 1
        seen.add("last" if number == len(choices) else number)
    if first is None and 0 in seen:
        first = 0
    if first is None and {1, "last"} <= seen:
        first = 1
    return first, verbatim


def _example(row, line, labels, first, verbatim):
    """Return a `ChoiceExample` and `None`, or `None` and what is wrong."""
    if not isinstance(row, Mapping):
        return None, f"each row must be an object with text and choices. Received: {type(row).__name__}."
    names = [name for name in (*TEXT_NAMES, *PREFIX_NAMES) if row.get(name) is not None]
    if not names:
        return None, f"a text is needed: {', '.join(TEXT_NAMES)} or question. Received: {', '.join(map(str, row))}."
    prefix = next((name for name in PREFIX_NAMES if name in names[1:]), None)
    texts = {"text": row[names[0]], "prefix": "" if prefix is None else row[prefix]}
    choices, keys = _choices(row)
    if not isinstance(choices, (list, tuple)) or len(choices) < 2:
        return None, f"choices must be a list of two or more. Received: {choices!r:.80}."
    if keys and (not isinstance(keys, (list, tuple)) or len(keys) != len(choices)):
        return None, f"choices must have lists text and label of one length. Received: label={keys!r:.80}."
    for name, text in (*texts.items(), *(("a choice", choice) for choice in choices)):
        if not isinstance(text, str):
            return None, f"{name} must be a string. Received: {text!r:.80}. Put it in quotes."
    label, fault = _label(_raw_label(row) if labels else None, choices, keys, first, verbatim)
    if fault:
        return None, fault
    if prefix is None and len(parts := _BLANK.split(texts["text"], maxsplit=1)) == 2:
        texts = {"text": parts[0].strip(), "prefix": f"_{parts[1]}"}
    return ChoiceExample(choices=tuple(choices), label=label, line=line, first_label=first, **texts), None


def _raw_label(row):
    return next((row[name] for name in LABEL_NAMES if row.get(name) is not None), None)


def _choices(row):
    """Return the choices of a row, a list or one column each, and their keys, empty where they have none."""
    for name in CHOICE_NAMES:
        if isinstance(row.get(f"{name}s"), (list, tuple, Mapping)):
            found = row[f"{name}s"]
            return (found.get("text"), found.get("label") or []) if isinstance(found, Mapping) else (found, [])
    for name in CHOICE_NAMES:
        columns = {found[1]: key for key in row if (found := re.fullmatch(rf"{name}_?(\d+|[A-Z])", str(key)))}
        found = [row[columns[key]] for key in sorted(columns, key=lambda key: (len(key), key))]
        while found and found[-1] in (None, ""):
            found.pop()
        if found:
            return found, []
    return None, []


def _label(label, choices, keys, first, verbatim):
    """Return the index that a label means, or `None` where there is none; and what is wrong, or `None`."""
    if label is None or (isinstance(label, str) and not label.strip()):
        return None, None
    name = label.strip() if isinstance(label, str) else label
    if name in keys:
        return keys.index(name), None
    if choices.count(label) == 1 and (verbatim or _number(label) is None):
        return choices.index(label), None
    if keys and isinstance(name, str):
        index = None
    elif isinstance(name, str) and len(name) == 1 and "A" <= name.upper() <= "Z":
        index = ord(name.upper()) - ord("A")
    else:
        index = _number(name)
        index = index if index is None or keys else index - first
    if index is None or not 0 <= index < len(choices):
        return None, (
            f"a label must be the index of one of the {len(choices)} choices, from {first}, "
            f"{f'one of their keys, {keys!r:.80}' if keys else 'a letter from A'}, or a choice itself. "
            f"Received: {label!r:.80}."
        )
    return index, None


def _number(label):
    """Return the int that a label is, however written, or `None`."""
    if isinstance(label, float) and label.is_integer():
        return int(label)
    if isinstance(label, str):
        return int(label) if label.strip().isdecimal() else None
    return label if type(label) is int else None


def _file_rows(path):
    """Yield `(line, dict)` for each row of a file."""
    suffix = next((one.lower() for one in reversed(path.suffixes) if one.lower() != ".gz"), "none")
    if suffix in (".csv", ".tsv"):
        rows = (comma_rows if suffix == ".csv" else tab_rows)(read_lines(path), path)
        names = next(rows, (1, [""]))[1]
        for line, cells in rows:
            if cells == [""]:
                continue
            if len(cells) != len(names):
                raise DataError(
                    f"each row must have as many columns as the first line. Expected {len(names)}, received "
                    f"{len(cells)}.",
                    path,
                    line,
                )
            yield line, {name.strip(): cell for name, cell in zip(names, cells, strict=True)}
        return
    if suffix not in (".jsonl", ".ndjson", ".json"):
        raise DataError(
            f"the suffix must be one of .jsonl, .ndjson, .json, .csv, .tsv. Received: {suffix}. Rename the file.", path
        )
    for line, text in read_lines(path):
        if text.strip():
            try:
                yield line, json.loads(text)
            except (ValueError, RecursionError) as error:
                raise DataError(f"each line must be one JSON object: {error}. Correct the line.", path, line) from error

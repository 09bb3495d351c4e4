"""Which column holds the text, its pair and the label: our names, common aliases, or the caller's choice.

It only looks at names. Reading cells is `readers.py`.
"""

from typing import NamedTuple

from keras_bert_suite.errors import DataError

__all__ = ["LABEL_NAMES", "PAIR_NAMES", "TEXT_NAMES", "ColumnPlan", "check_columns", "find_columns"]

#: Names of two columns that are read as `text` and `text_b`.
PAIR_NAMES = (
    ("text", "text_b"),
    ("text", "text_pair"),
    ("text_a", "text_b"),
    ("text1", "text2"),
    ("sentence1", "sentence2"),
    ("sentence_a", "sentence_b"),
    ("question1", "question2"),
    ("question", "sentence"),
    ("premise", "hypothesis"),
    ("#1 string", "#2 string"),
)
#: Names that are read as `text` when it stands alone. `text` itself always wins.
TEXT_NAMES = (
    "text",
    "sentence",
    "utterance",
    "review",
    "query",
    "content",
    *dict.fromkeys(first for first, _ in PAIR_NAMES if first != "text"),
)
#: Names that are read as `label`. `label` itself always wins.
LABEL_NAMES = (
    "label",
    "labels",
    "category",
    "intent",
    "class",
    "target",
    "gold_label",
    "sentiment",
    "emotion",
    "is_duplicate",
    "quality",
)


class ColumnPlan(NamedTuple):
    """Positions of the columns that are read; `None` where a file has none.

    Args:
        text: int.
        text_b: optional int.
        label: optional int.
    """

    text: int
    text_b: int | None = None
    label: int | None = None


def check_columns(columns):
    """Check a caller's choice of columns and return it as a new dict.

    Args:
        columns: optional dict from `"text"`, `"text_b"` and `"label"` to a
            column name, to a position from 0 (for files without a header; then
            all are positions), or to `None` to leave that part unread.
    Returns:
        dict. Empty where nothing was chosen.
    Raises:
        ValueError, TypeError: if a key or value is none of these.
    """
    chosen = dict(columns or {})
    if unknown := [key for key in chosen if key not in ColumnPlan._fields]:
        raise ValueError(f"columns: keys must be 'text', 'text_b' or 'label'. Received: {unknown[0]!r}.")
    for key, value in chosen.items():
        allowed = value is None or isinstance(value, str) or (type(value) is int and value >= 0)
        if not allowed or (key == "text" and value is None):
            raise TypeError(f"columns: {key} must be a column name, or a position from 0. Received: {key}={value!r}.")
    named = any(isinstance(value, str) for value in chosen.values())
    if has_positions(chosen) and (named or "text" not in chosen):
        raise ValueError(
            "columns: positions are for files without a header, so every column must be a position and text "
            f'must have one. Received: {chosen}. Use e.g. {{"text": 0, "label": 1}}.'
        )
    return chosen


def has_positions(chosen):
    """Return whether a checked choice of columns is by position, for a file without a header."""
    return any(isinstance(value, int) for value in chosen.values())


def find_columns(names, chosen=None, require_label=False, path=None, line=None):
    """Find the columns to read among a file's column names.

    `chosen` comes first; then our own names; then the aliases above. Case and
    surrounding spaces do not matter. Choosing `text` without `text_b` reads
    single texts.

    Args:
        names: sequence of str. The file's columns, in order.
        chosen: dict from `check_columns`, without positions.
        require_label: bool. Whether a label column must be there.
        path: optional path, for errors.
        line: optional int, for errors.
    Returns:
        `ColumnPlan`.
    Raises:
        DataError: if a column is missing, or two could be meant.
    Example:
    >>> find_columns(["label", "text_a", "id"])
    ColumnPlan(text=1, text_b=None, label=0)
    """
    chosen = {} if chosen is None else chosen
    search = _Search(names, path, line)
    if "text" in chosen:
        text, text_b = search.chosen("text", chosen["text"]), None
    else:
        text, text_b = search.texts(taken=[name.strip().lower() for name in chosen.values() if name])
    if "text_b" in chosen:
        text_b = search.chosen("text_b", chosen["text_b"])
    label = search.chosen("label", chosen["label"]) if "label" in chosen else search.label(require_label)
    return ColumnPlan(text, text_b, label)


class _Search:
    """The column names of one file, looked at case-insensitively."""

    def __init__(self, names, path, line):
        self.names = [name.strip() for name in names]
        self.folded = [name.lower() for name in self.names]
        self.path, self.line = path, line

    def error(self, message):
        return DataError(message, self.path, self.line)

    def found(self):
        shown = [repr(name if len(name) <= 40 else name[:37] + "...") for name in self.names[:12]]
        return ", ".join(shown) + (", ..." if len(self.names) > 12 else "")

    def position(self, name):
        if self.folded.count(name) > 1:
            raise self.error(f"column names must differ. Received {name!r} twice among: {self.found()}. Rename one.")
        return self.folded.index(name)

    def chosen(self, key, name):
        if name is None:
            return None
        if self.names.count(name) == 1:
            return self.names.index(name)
        if name.strip().lower() in self.folded:
            return self.position(name.strip().lower())
        raise self.error(f"no column called {name!r}, which was chosen for {key}. Columns found: {self.found()}.")

    def texts(self, taken):
        free = [name for name in self.folded if name not in taken]
        pairs = [pair for pair in PAIR_NAMES if set(pair) <= set(free)]
        singles = [name for name in TEXT_NAMES if name in free]
        if "text" in singles:
            pairs = [pair for pair in pairs if pair[0] == "text"]
            singles = ["text"]
        pair_name = ("text_b",) if "text_b" in free else ()
        candidates = pairs or [(name, *pair_name) for name in singles]
        if not candidates:
            raise self.missing_text()
        mentioned = {name for pair in candidates for name in pair} | set(singles)
        if len(candidates) > 1 or len(mentioned - set(candidates[0])) > 0:
            meant = ", ".join(repr(name) for name in self.folded if name in mentioned)
            raise self.error(
                f'more than one column could hold the text: {meant}. Call the right one "text" (its pair "text_b"), '
                'or choose: columns={"text": NAME}.'
            )
        text, *text_b = (self.position(name) for name in candidates[0])
        return text, text_b[0] if text_b else None

    def missing_text(self):
        aliases = ", ".join(TEXT_NAMES[1:])
        remedy = (
            'Put a header line such as "text<TAB>label" first, or choose by name, columns={"text": NAME}, '
            'or by position where there is no header, columns={"text": 0, "label": 1}.'
        )
        if len(self.names) == 1 and (used := next((mark for mark in ";\t," if mark in self.names[0]), None)):
            remedy = (
                f"The line holds {used!r}: name a file with tabs between columns .tsv, one with commas .csv; "
                "other separators are not read."
            )
        return self.error(
            f'a column called "text" is needed (also understood: {aliases}). Columns found: {self.found()}. {remedy}'
        )

    def label(self, required):
        present = [name for name in LABEL_NAMES if name in self.folded]
        if "label" in present:
            present = ["label"]
        if len(present) > 1:
            meant = ", ".join(map(repr, present))
            raise self.error(
                f'more than one column could hold the label: {meant}. Call the right one "label", '
                'or choose: columns={"label": NAME}.'
            )
        if present:
            return self.position(present[0])
        if required:
            raise self.error(
                f'a column called "label" is needed (also understood: {", ".join(LABEL_NAMES[1:])}). Columns found: '
                f'{self.found()}. Rename the label column, or choose it: columns={{"label": NAME}}.'
            )
        return None

"""Label names and their indices, in an order that does not depend on the data's order."""

import difflib
import re

import numpy as np

from keras_bert_suite.errors import DataError

__all__ = ["LabelMap"]

_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")
_UNKNOWN_SHOWN = 5
_KNOWN_SHOWN = 20


class LabelMap:
    """The ordered, unique label names of a model.

    Args:
        names: sequence of str. Name i belongs to output i of the model.
    Raises:
        ValueError: if there is none, or one is empty or repeated.
        TypeError: if one is not a string.
    Example:
    >>> labels = LabelMap.from_examples(["pos", "neg", "pos"])
    >>> labels.names, labels.encode(["pos", "neg"]).tolist()
    (('neg', 'pos'), [1, 0])
    """

    def __init__(self, names):
        if isinstance(names, str):
            raise TypeError(f"LabelMap: names must be a list of strings. Received: {names!r}. Use [{names!r}, ...].")
        names = tuple(names)
        if wrong := [name for name in names if not isinstance(name, str)]:
            raise TypeError(f"LabelMap: each name must be a string. Received: {wrong[0]!r}. Use {str(wrong[0])!r}.")
        if not names:
            raise ValueError("LabelMap: at least one name is needed. Received: none.")
        if any(name != name.strip() or not name for name in names):
            wrong = next(name for name in names if name != name.strip() or not name)
            raise ValueError(
                f"LabelMap: a name must not be empty or have spaces around it, as readers take them off. "
                f"Received: {wrong!r}. Rename or strip it."
            )
        self.names = names
        self._indices = {name: index for index, name in enumerate(names)}
        if len(self._indices) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"LabelMap: names must differ. Received: {twice!r} more than once. Remove one.")

    @classmethod
    def from_examples(cls, labels, path=None, lines=None):
        """Return the map of all labels that occur: by value if all are whole numbers, else by code point.

        Args:
            labels: iterable of str.
            path: optional path, for errors.
            lines: optional sequence of int. The line of each, for errors.
        Raises:
            DataError: if there are no labels, or one is missing or a list.
        """
        found = set()
        for row, label in enumerate(labels, 1):
            _check_single(label, path, None if lines is None else lines[row - 1], row)
            found.add(label)
        if not found:
            raise DataError("labels are needed to learn from. Received: none. Give each row a label.", path)
        numeric = all(map(_WHOLE_NUMBER.fullmatch, found))
        return cls(sorted(found, key=(lambda name: (int(name), name)) if numeric else None))

    def __len__(self):
        return len(self.names)

    def __iter__(self):
        return iter(self.names)

    def __contains__(self, name):
        return name in self._indices

    def __eq__(self, other):
        return isinstance(other, LabelMap) and self.names == other.names

    def __hash__(self):
        return hash(self.names)

    def __repr__(self):
        return f"LabelMap({list(self.names)!r})"

    def check_trainable(self, path=None):
        """Raise `DataError` unless there are two labels at least, so that there is something to tell apart."""
        if len(self) < 2:
            raise DataError(
                f"training needs at least two different labels. Received: only {self.names[0]!r}. "
                "Add rows with another label, or check which column holds the label.",
                path,
            )

    def encode(self, labels, path=None, lines=None):
        """Return the indices of labels.

        Args:
            labels: sequence of str.
            path: optional path they come from, for errors.
            lines: optional sequence of int. The line of each, for errors.
        Returns:
            int32 array `(N,)`.
        Raises:
            DataError: if labels are unknown, all of them in one error.
        """
        labels = list(labels)
        try:
            return np.fromiter(map(self._indices.__getitem__, labels), dtype="int32", count=len(labels))
        except (KeyError, TypeError):
            pass
        lines = list(lines) if lines is not None else None
        unknown = {}
        for row, label in enumerate(labels):
            line = lines[row] if lines is not None else None
            _check_single(label, path, line, row + 1)
            if label not in self._indices:
                unknown.setdefault(label, []).append(line if lines is not None else row + 1)
        raise self._unknown_error(unknown, path, "line" if lines is not None else "row")

    def decode(self, indices):
        """Return the names of indices, as a list.

        Args:
            indices: sequence of int in [0, len).
        """
        indices = np.asarray(indices, dtype="int64")
        if indices.size and (indices.min() < 0 or indices.max() >= len(self)):
            wrong = indices[(indices < 0) | (indices >= len(self))][0]
            raise ValueError(f"LabelMap: an index must be in [0, {len(self)}). Received: {wrong}.")
        return [self.names[index] for index in indices.tolist()]

    def _unknown_error(self, unknown, path, unit):
        described = []
        for label, places in list(unknown.items())[:_UNKNOWN_SHOWN]:
            rows = f"{unit} {places[0]}" if len(places) == 1 else f"{unit} {places[0]} and {len(places) - 1} more"
            shown = label if len(label) <= 60 else label[:57] + "..."
            described.append(f"{shown!r} ({rows}{self._suggestion(label)})")
        if len(unknown) > _UNKNOWN_SHOWN:
            described.append(f"and {len(unknown) - _UNKNOWN_SHOWN} more")
        known = ", ".join(map(repr, self.names[:_KNOWN_SHOWN]))
        if len(self) > _KNOWN_SHOWN:
            known += f" and {len(self) - _KNOWN_SHOWN} more"
        first = next(iter(unknown.values()))[0]
        return DataError(
            f"labels must be among those seen in training: {known}. Received: {', '.join(described)}. "
            "Correct these rows, or train with examples of these labels.",
            path,
            first if unit == "line" else None,
        )

    def _suggestion(self, label):
        folded = {name.casefold(): name for name in self.names}
        close = difflib.get_close_matches(label[:200].casefold(), folded, n=1, cutoff=0.6)
        return f"; did you mean {folded[close[0]]!r}?" if close else ""


def _check_single(label, path, line, row):
    """Raise unless one label is one string."""
    if isinstance(label, str):
        return
    where = "" if line is not None else f" (row {row})"
    if label is None:
        raise DataError(f"each row must have a label, and this one has none{where}. Fill it in.", path, line)
    if isinstance(label, list):
        raise DataError(
            f"one label a row is needed here, and this one is a list{where}: {label[:5]!r}. Keep one of them.",
            path,
            line,
        )
    raise DataError(f"a label must be a string. Received: {label!r}{where}. Use {str(label)!r}.", path, line)

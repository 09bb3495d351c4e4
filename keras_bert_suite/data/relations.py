"""Texts with two spans between which there is a relation: JSON Lines, lists of dicts, texts with tags."""

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from keras_bert_suite.data.lines import check_file, read_lines
from keras_bert_suite.data.readers import Example, read_examples
from keras_bert_suite.errors import DataError

__all__ = ["Entity", "Relation", "read_relations"]

_TAG = re.compile(r"<(/?)(e[12])>", re.IGNORECASE)
LABEL_NAMES = ("label", "relation")


class Entity(NamedTuple):
    """A span of a text.

    Args:
        start: int. Its first character.
        end: int. Its last-plus-one character.
        type: optional str, e.g. `"PER"`.
    """

    start: int
    end: int
    type: str | None = None


@dataclasses.dataclass(frozen=True)
class Relation:
    """A text with two entities.

    Args:
        text: str.
        head: `Entity`. The first side of the relation, wherever it stands.
        tail: `Entity`. The other side.
        label: optional str. The relation.
        line: optional int. Its line in the file.
    """

    text: str
    head: Entity
    tail: Entity
    label: str | None = None
    line: int | None = None

    def marked(self, markers=None):
        """Return the text with a mark before and after each entity: [E1] the head [/E1], [E2] the tail [/E2].

        An entity with a type has `[E1:PER]`, where there is such a marker.

        Args:
            markers: optional container of str: those that there are. Defaults to all.
        """
        inserted = []
        for name, entity in (("E1", self.head), ("E2", self.tail)):
            if entity.type is not None and (markers is None or f"[{name}:{entity.type}]" in markers):
                name = f"{name}:{entity.type}"
            length = entity.end - entity.start
            # At one place what ends comes before what begins, and the inner of two spans inside the outer.
            inserted.append((entity.start, 1, -length, f"[{name}] "))
            inserted.append((entity.end, 0, length, f" [/{name}]"))
        parts, at = [], 0
        for place, *_, marker in sorted(inserted):
            parts += [self.text[at:place], marker]
            at = place
        return "".join([*parts, self.text[at:]])


def read_relations(x, y=None, *, require_labels=False, columns=None):
    """Read texts with two entities.

    A row has `text`, `head` and `tail`, each with `start`, `end` and perhaps
    `type`, and a `label`; or a text in which `<e1>`, `</e1>`, `<e2>`, `</e2>`
    stand around head and tail, as in SemEval-2010 task 8.

    Args:
        x: str or path of a file: JSON Lines with either form, or for tagged texts
            any file that `read_examples` takes; or a list of dicts, of tagged str, or of `Relation`.
        y: optional list of str: labels, when `x` is a list.
        require_labels: bool. Whether each row must have a label.
        columns: optional dict, as in `read_examples`, for tagged texts.
    Returns:
        list of `Relation`.
    Raises:
        DataError: if a file is missing or a row breaks a rule, with its line.
    Example:
    >>> found = read_relations(["<e1>Ann</e1> founded <e2>Acme</e2>."])[0]
    >>> found.text, found.head, found.marked()
    ('Ann founded Acme.', Entity(start=0, end=3, type=None), '[E1] Ann [/E1] founded [E2] Acme [/E2].')

    Source: Hendrickx et al. 2010, for the tags.
    """
    path = check_file(x) if isinstance(x, (str, Path)) else None
    if path is not None and y is not None:
        raise ValueError(f"read_relations: a file brings its own labels. Received: {x} and more.")
    rows = _file_rows(path, columns) if path is not None else [(None, row) for row in x]
    if y is not None and len(y) != len(rows):
        raise ValueError(f"There must be one of labels per text. Received: {len(rows)} texts, {len(y)} labels.")
    relations = []
    for number, (line, row) in enumerate(rows):
        try:
            relation = _relation(row, line)
            if y is not None:
                relation = dataclasses.replace(relation, label=_label(y[number]))
            if require_labels and relation.label is None:
                raise ValueError("each row must have a label, and this one has none. Fill it in.")
        except ValueError as error:
            raise DataError(f"{'' if line else f'row {number}: '}{error}", path, line) from error
        relations.append(relation)
    if not relations:
        raise DataError("at least one row is needed. Received: none.", path)
    return relations


def _relation(row, line):
    if isinstance(row, Relation):
        return row
    if isinstance(row, Example):
        row = {"text": row.text, "label": row.label}
    row = {"text": row} if isinstance(row, str) else row
    if not isinstance(row, Mapping) or not isinstance(row.get("text"), str):
        raise ValueError(f"each row must be an object with a text. Received: {row!r:.80}.")
    label = _label(next((row[name] for name in LABEL_NAMES if row.get(name) is not None), None))
    text = row["text"]
    if "head" in row or "tail" in row:
        return Relation(text, *(_entity(name, row.get(name), text) for name in ("head", "tail")), label, line)
    return Relation(*_untagged(text), label, line)


def _entity(name, given, text):
    if not isinstance(given, Mapping) or type(given.get("start")) is not int or type(given.get("end")) is not int:
        raise ValueError(f"{name} must be an object with start and end, whole numbers. Received: {given!r:.80}.")
    start, end, kind = given["start"], given["end"], given.get("type")
    if not 0 <= start < end <= len(text):
        raise ValueError(
            f"{name} must be some characters of its text, which has {len(text)}. Received: start={start}, end={end}."
        )
    if kind is not None and not (isinstance(kind, str) and re.fullmatch(r"[^\s\[\]]+", kind)):
        raise ValueError(f"the type of {name} must be a word without brackets. Received: {kind!r:.80}.")
    return Entity(start, end, kind)


def _untagged(text):
    """Return a text without its tags, and the entities that they stand around."""
    places, parts, at, size = {}, [], 0, 0
    for tag in _TAG.finditer(text):
        parts.append(text[at : tag.start()])
        size += len(parts[-1])
        at = tag.end()
        name = (tag[2].lower(), tag[1] == "/")
        if name in places:
            raise ValueError(f"each tag must stand once. Received: {tag[0]} twice in {text!r:.80}.")
        places[name] = size
    entities = []
    for name in ("e1", "e2"):
        if (name, False) not in places or (name, True) not in places:
            raise ValueError(
                f"a text must have head and tail, or tags <{name}> and </{name}> around a span. Received: {text!r:.80}."
            )
        start, end = places[name, False], places[name, True]
        if start >= end:
            raise ValueError(f"<{name}> must stand before </{name}> with text between. Received: {text!r:.80}.")
        entities.append(Entity(start, end))
    return "".join([*parts, text[at:]]), *entities


def _label(value):
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, str):
        return value.strip()
    if type(value) is int:
        return str(value)
    raise ValueError(f"a label must be a string or a whole number. Received: {value!r:.80}.")


def _file_rows(path, columns):
    suffix = next((one.lower() for one in reversed(path.suffixes) if one.lower() != ".gz"), "")
    if suffix not in (".jsonl", ".ndjson", ".json"):
        return [(example.line, example) for example in read_examples(path, columns=columns)]
    if columns is not None:
        raise ValueError(f"columns: JSON rows go by their keys. Received: {columns} for {path}.")
    rows = []
    for line, text in read_lines(path):
        if text.strip():
            try:
                rows.append((line, json.loads(text)))
            except (ValueError, RecursionError) as error:
                raise DataError(f"each line must be one JSON object: {error}. Correct the line.", path, line) from error
    return rows

"""Questions about contexts and the spans that answer them: SQuAD 1.1 and 2.0 files, JSON Lines, lists of dicts.

It finds where each answer stands. Which tokens these are is decided above, in
the task.
"""

import dataclasses
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from keras_bert_suite.data.lines import check_file, read_lines
from keras_bert_suite.errors import DataError, shortened

__all__ = ["Answer", "Question", "read_questions"]

logger = logging.getLogger(__name__)

SUFFIXES = (".json", ".jsonl", ".ndjson")


class Answer(NamedTuple):
    """One right answer.

    Args:
        text: str, as the data has it.
        start: optional int. Its first character in the context; `None` where
            the context does not hold the text.
    """

    text: str
    start: int | None


@dataclasses.dataclass(frozen=True)
class Question:
    """A question about a context.

    Args:
        id: str.
        question: str.
        context: str. May be empty.
        answers: optional tuple of `Answer`, empty where the context does not
            answer the question; `None` where it is not known.
        line: optional int. Its line in a JSON Lines file.
    """

    id: str
    question: str
    context: str
    answers: tuple | None = None
    line: int | None = None

    @property
    def is_impossible(self):
        """bool: whether it is known that the context has no answer."""
        return self.answers == ()


def read_questions(x, *, require_answers=False, require_places=False, answers=True):
    """Read questions and their contexts.

    A SQuAD file is one JSON object: `data`, a list of articles with
    `paragraphs`, each a `context` with `qas`. JSON Lines and lists have flat
    objects instead: `question`, `context` and, as far as known, `id`, `answers`
    and `is_impossible`. `answers` is a list of objects with `text` and
    `answer_start`, or, as in `datasets`, one object with a list of each. An
    empty list, and answers without text, say that there is none in the context.

    An `answer_start` that counts UTF-16 units is understood. Where the text
    stands elsewhere, its place next to `answer_start` is taken, and a warning
    says so. Without an id, a question has its number, from 0.

    Args:
        x: str or path of a `.json`, `.jsonl` or `.ndjson` file, perhaps with
            `.gz`; or a list of dicts, or of `Question`.
        require_answers: bool. Whether each must say what its answers are.
        require_places: bool. Whether each that has answers must also have one
            that stands in the context, as training needs.
        answers: bool. Whether to read answers; for prediction they are not looked at.
    Returns:
        list of `Question`.
    Raises:
        DataError: if the file is missing or damaged, or questions break a
            rule: all of them in one error, by id.
    Example:
    >>> row = {"question": "Who wrote it?", "context": "Mary Shelley wrote it.", "answers": ["Mary Shelley"]}
    >>> read_questions([row])[0].answers
    (Answer(text='Mary Shelley', start=0),)

    Source: Rajpurkar et al. 2016 and 2018.
    """
    path = check_file(x) if isinstance(x, (str, Path)) else None
    rows = _file_rows(path) if path is not None else ((row, None) for row in x)
    reader = _Reader(path, require_answers, require_places, answers)
    for row, line in rows:
        reader.add(row, line)
    return reader.finish()


class _Reader:
    """Takes questions one by one, and tells all faults at the end."""

    def __init__(self, path, require_answers, require_places, reads_answers):
        self.path = path
        self.require_answers = require_answers
        self.require_places = require_places
        self.reads_answers = reads_answers
        self.found, self.faults, self.first_line = [], [], None
        self.ids = set()
        self.moved = []

    def add(self, row, line):
        own_id = _id(row, self._number())
        question = row if isinstance(row, Question) else None
        fault = None
        if question is None:
            question, fault = self._question(row, own_id, line)
        if fault is None:
            fault = self._fault_of(question)
        if fault is not None:
            place = "" if line is None else f" (line {line})"
            self.faults.append(f"question {own_id!r:.80}{place}: {fault}")
            self.first_line = self.first_line or line
        self.ids.add(own_id)
        self.found.append(question)

    def _number(self):
        """The number of a question that has no id: its place, or one that none before it has."""
        number = len(self.found)
        while str(number) in self.ids:
            number += 1
        return number

    def finish(self):
        if self.faults:
            raise DataError(
                f"{len(self.faults)} of {len(self.found)} questions break a rule: {shortened(self.faults)}. "
                "Correct or remove them.",
                self.path,
                self.first_line,
            )
        if not self.found:
            raise DataError("at least one question is needed. Received: none.", self.path)
        if self.moved:
            logger.warning(
                "%s%d answers do not stand where answer_start says; the nearest place of each text was taken: %s.",
                "" if self.path is None else f"{self.path}: ",
                len(self.moved),
                shortened(map(repr, self.moved), most=3),
            )
        return self.found

    def _question(self, row, own_id, line):
        """Return a `Question` and `None`, or `None` and what is wrong."""
        if not isinstance(row, Mapping):
            return None, f"it must be an object with question and context, not {type(row).__name__}"
        for name in ("question", "context"):
            if fault := _text_fault(name, row.get(name)):
                return None, fault
        if not self.reads_answers:
            return Question(own_id, row["question"], row["context"], None, line), None
        answers, fault = _answers(row.get("answers"))
        if fault:
            return None, fault
        is_impossible = row.get("is_impossible")
        if is_impossible and answers:
            return None, "it is_impossible, and yet has answers"
        if is_impossible is False and answers == []:
            return None, "it has no answers, and yet is_impossible is false"
        if is_impossible and answers is None:
            answers = []
        if answers is not None:
            answers = tuple(self._located(own_id, row["context"], *answer) for answer in answers)
        return Question(own_id, row["question"], row["context"], answers, line), None

    def _fault_of(self, question):
        if question.id in self.ids and self.reads_answers:
            return "its id must be its own, and another question has it too"
        if question.answers is None and (self.require_answers or self.require_places):
            return "it must say its answers, an empty list where there are none"
        if self.require_places and question.answers and all(answer.start is None for answer in question.answers):
            return f"its answer {question.answers[0].text!r:.80} must stand in its context, letter by letter"
        return None

    def _located(self, own_id, context, text, start):
        place = _place(context, text, start)
        if place is not None and start is not None and place != start and place != _from_utf16(context, start):
            self.moved.append(own_id)
        return Answer(text, place)


def _place(context, text, start):
    """Return where `text` stands in `context`, as near to `start` as can be; `None` where it does not."""
    if start is not None:
        if context.startswith(text, start):
            return start
        place = _from_utf16(context, start)
        if context.startswith(text, place):
            return place
    places, place = [], context.find(text)
    while place >= 0:
        places.append(place)
        place = context.find(text, place + 1)
    return min(places, key=lambda place: abs(place - (start or 0)), default=None)


def _from_utf16(context, start):
    """Return the character at a place that counts UTF-16 units, as Java and JavaScript do."""
    if context.isascii():
        return start
    return len(context.encode("utf-16-le")[: 2 * start].decode("utf-16-le", errors="ignore"))


def _answers(given):
    """Return a list of `(text, start)`, or `None` where none is given; and what is wrong, or `None`."""
    if given is None:
        return None, None
    if isinstance(given, Mapping):
        texts, starts = given.get("text"), given.get("answer_start")
        if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
            return None, "answers must have lists text and answer_start of one length"
        given = [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
    if not isinstance(given, (list, tuple)):
        return None, f"answers must be a list, not {type(given).__name__}"
    found = []
    for answer in given:
        answer = {"text": answer} if isinstance(answer, str) else answer
        if not isinstance(answer, Mapping):
            return None, f"an answer must be an object with text and answer_start, not {type(answer).__name__}"
        fault = _text_fault("the text of an answer", answer.get("text"))
        start = answer.get("answer_start")
        if start is not None and type(start) is not int:
            fault = f"answer_start must be a whole number, not {start!r:.40}"
        if fault:
            return None, fault
        if answer["text"].strip():
            found.append((answer["text"], None if start is None or start < 0 else start))
    return found, None


def _text_fault(name, text):
    if not isinstance(text, str):
        return f"{name} must be a string, not {'null' if text is None else type(text).__name__}"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"{name} has half of a surrogate pair, \\u{ord(text[error.start]):04x}, which is no character"
    return None


def _id(row, number):
    own_id = row.id if isinstance(row, Question) else row.get("id") if isinstance(row, Mapping) else None
    return str(number if own_id is None else own_id)


def _file_rows(path):
    """Yield the flat dict of each question, and its line where the file has one object a line."""
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    if not suffixes or suffixes[-1] not in SUFFIXES:
        raise DataError(
            f"the suffix must be one of {', '.join(SUFFIXES)}. Received: {''.join(path.suffixes) or 'none'}. "
            "Bring questions as SQuAD JSON or JSON Lines.",
            path,
        )
    lines = list(read_lines(path))
    if suffixes[-1] == ".json":
        try:
            whole = json.loads("\n".join(text for _, text in lines))
        except (ValueError, RecursionError) as error:
            if not str(error).startswith("Extra data"):
                raise DataError(
                    f"not valid JSON: {error}. Write the file again.", path, getattr(error, "lineno", None)
                ) from error
        else:
            yield from ((row, None) for row in _whole_rows(whole, path))
            return
    for line, text in lines:
        if text.strip():
            try:
                row = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise DataError(f"each line must be one JSON object: {error}. Correct the line.", path, line) from error
            yield row, line


def _whole_rows(whole, path):
    """Yield the flat dict of each question of a SQuAD file, or of a list of such dicts."""
    articles = whole.get("data") if isinstance(whole, dict) else whole
    if isinstance(whole, dict) and "data" not in whole and {"question", "context"} <= set(whole):
        articles = [whole]  # JSON Lines of one line
    for number, article in enumerate(_listed(articles, "data", path)):
        if not isinstance(article, dict) or "paragraphs" not in article:
            yield article
            continue
        at = f"data[{number}].paragraphs"
        for place, paragraph in enumerate(_listed(article["paragraphs"], at, path)):
            if not isinstance(paragraph, dict) or not {"context", "qas"} <= set(paragraph):
                raise DataError(f"{at}[{place}] must be an object with context and qas. Complete it.", path)
            for asked in _listed(paragraph["qas"], f"{at}[{place}].qas", path):
                yield {**asked, "context": paragraph["context"]} if isinstance(asked, dict) else asked


def _listed(value, place, path):
    if not isinstance(value, list):
        raise DataError(
            f"{place} must be a list. Received: {type(value).__name__}. A SQuAD file has data, a list of articles with "
            "paragraphs.",
            path,
        )
    return value

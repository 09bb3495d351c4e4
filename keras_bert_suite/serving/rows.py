"""What a client sends: the rows of a list, or of a file in any form that the served task has."""

from typing import NamedTuple

from keras_bert_suite.data.choices import read_choices
from keras_bert_suite.data.questions import read_questions
from keras_bert_suite.data.readers import read_texts
from keras_bert_suite.data.tagging import read_tagged

__all__ = ["Row", "file_rows", "given_rows"]

#: Files with a text a line, or a row, whatever the task.
PLAIN_SUFFIXES = (".txt", ".csv")


class Row(NamedTuple):
    """One row of a request.

    Args:
        text: str.
        pair: optional str, or list of str: the second text, or the choices.
        known: optional dict. What is written with its answer. Defaults to the texts.
        choices: optional sequence of str, as the file has them.
    """

    text: str
    pair: str | list | None = None
    known: dict | None = None
    choices: tuple | None = None

    def answered(self, answer):
        """Return the dict that is written for the row."""
        known = self.known
        if known is None:
            known = {"text": self.text} | ({} if self.pair is None else {"text_b": self.pair})
        return known | (answer if isinstance(answer, dict) else {"answer": answer})


def given_rows(texts, pairs):
    """Return the rows of a list of str, and perhaps one of their pairs."""
    if isinstance(texts, str):
        raise TypeError(f"Client.predict: texts must be a list of str. Received: {texts!r}. Pass [text].")
    texts = list(texts)
    pairs = [None] * len(texts) if pairs is None else list(pairs)
    if len(pairs) != len(texts):
        raise ValueError(
            f"Client.predict: there must be one pair per text. Received: {len(texts)} texts, {len(pairs)} pairs."
        )
    return map(Row, texts, pairs)


def file_rows(path, columns, signature):
    """Yield the rows of a file.

    Args:
        path: `pathlib.Path`.
        columns: optional dict, as in `data.read_examples`.
        signature: dict with `inputs` and `outputs`, by whose names a task is known.
    """
    inputs, outputs = set(signature["inputs"]), set(signature["outputs"])
    if {"question", "context"} <= inputs:
        _check_no_columns(columns, path)
        for one in read_questions(path, answers=False):
            yield Row(one.question, one.context, {"id": one.id, "question": one.question})
    elif "choices" in inputs:
        _check_no_columns(columns, path)
        for one in read_choices(path, labels=False):
            known = {"text": " ".join(filter(None, (one.text, one.prefix)))}
            yield Row(one.text, one.continuations, known, one.choices)
    elif "num_spans" in outputs and not path.name.lower().removesuffix(".gz").endswith(PLAIN_SUFFIXES):
        for one in read_tagged(path, labels=False, columns=columns):
            yield Row(one.text if one.text is not None else " ".join(one.tokens))
    else:
        for one in read_texts(path, columns=columns):
            yield Row(one.text, one.text_b)


def _check_no_columns(columns, path):
    if columns is not None:
        raise ValueError(f"columns: rows of this task go by their keys. Received: {columns} for {path}.")

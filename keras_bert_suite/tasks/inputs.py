"""What users hand over (files, lists, arrays, data sets), brought to one form."""

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from keras_bert_suite.data import read_examples, read_texts

__all__ = ["Texts", "encode_texts", "is_batched", "is_data_path", "listed", "read_input", "stream_texts"]

logger = logging.getLogger(__name__)


@dataclasses.dataclass
class Texts:
    """Texts or pairs, with their labels where there are any.

    Args:
        texts: list of str.
        pairs: optional list of str, as long.
        labels: optional list, one label a text.
        path: optional path they were read from.
        lines: optional list of int: the line of each text in that file.
    """

    texts: list
    pairs: list | None = None
    labels: list | None = None
    path: Path | None = None
    lines: list | None = None

    def __len__(self):
        return len(self.texts)


def is_batched(x):
    """Return whether `x` is for Keras itself: token arrays by name, or a data set of batches."""
    if isinstance(x, Mapping):
        return "token_ids" in x
    return not isinstance(x, (str, Path, list, tuple, np.ndarray)) and not hasattr(x, "tolist")


def is_data_path(text, suffixes):
    """Return whether a str is meant as a file: it ends like one and has no line break."""
    return text.lower().endswith(suffixes) and "\n" not in text


def read_input(x, y=None, pairs=None, columns=None, require_label=False):
    """Read all of `x` into one `Texts`.

    Args:
        x: path of a file; or a list, tuple or array of str, of `(text, text_b)`
            tuples, or a dict with `text` and perhaps `text_b` and `label`.
        y: optional labels, when `x` is not a file.
        pairs: optional second texts, when `x` is a list of first ones.
        columns: optional dict for files, as in `data.read_examples`.
        require_label: bool. Whether labels must be there.
    Returns:
        `Texts`.
    Raises:
        DataError: if a file breaks a rule.
        ValueError: if lengths differ, or labels are needed and missing.
    """
    if isinstance(x, (str, Path)):
        if y is not None or pairs is not None:
            raise ValueError(f"fit and evaluate: a file brings its own labels and pairs. Received: {x} and more.")
        return _from_examples(read_examples(x, require_label=require_label, columns=columns), Path(x))
    if isinstance(x, Mapping):
        unknown = set(x) - {"text", "text_b", "label"}
        if unknown or "text" not in x:
            raise ValueError(f"A dict of texts has the keys text, text_b and label. Received: {sorted(x)}.")
        y = x.get("label") if y is None else y
        pairs = x.get("text_b") if pairs is None else pairs
        x = x["text"]
    texts, second = _split_pairs(_as_list(x))
    found = Texts(texts, second if pairs is None else _as_list(pairs), None if y is None else _as_list(y))
    for name, values in (("pairs", found.pairs), ("labels", found.labels)):
        if values is not None and len(values) != len(found):
            raise ValueError(
                f"There must be one of {name} per text. Received: {len(found)} texts, {len(values)} {name}."
            )
    if require_label and found.labels is None:
        raise ValueError("Labels are needed. Received: texts alone. Pass them as y, or a file with a label column.")
    if not len(found):
        raise ValueError("At least one text is needed. Received: none.")
    return found


def stream_texts(x, pairs=None, columns=None, chunk_size=16384):
    """Yield `Texts` of at most `chunk_size` rows, so that a file of any size fits in memory."""
    if isinstance(x, (str, Path)):
        chunk = []
        for example in read_texts(x, columns=columns):
            chunk.append(example)
            if len(chunk) == chunk_size:
                yield _from_examples(chunk, Path(x))
                chunk = []
        if chunk:
            yield _from_examples(chunk, Path(x))
        return
    found = read_input(x, pairs=pairs)
    for start in range(0, len(found), chunk_size):
        part = slice(start, start + chunk_size)
        yield Texts(found.texts[part], None if found.pairs is None else found.pairs[part])


def listed(texts):
    """Return texts as a list: a str is one text. What cannot be texts is left for the tokenizer to refuse."""
    if isinstance(texts, str):
        return [texts]
    return texts if isinstance(texts, bytes | Mapping) or not hasattr(texts, "__iter__") else _as_list(texts)


def encode_texts(tokenizer, texts, pairs, max_length, path=None):
    """Encode texts, and log how many may have been cut.

    Args:
        tokenizer: `text.Tokenizer`.
        texts: list of str.
        pairs: optional list of str, the second texts.
        max_length: int. Longer texts are cut, in tokens.
        path: optional path they were read from.
    Returns:
        `text.Ragged`.
    """
    encoded = tokenizer.encode(texts, pairs, max_length=max_length)
    full = int((encoded.lengths >= max_length).sum())
    if full:
        where = f"{path}: " if path else ""
        logger.info("%s%d of %d texts fill all %d tokens and may have been cut.", where, full, len(encoded), max_length)
    return encoded


def _from_examples(examples, path):
    rows = list(examples)
    paired = any(row.text_b is not None for row in rows)
    labelled = any(row.label is not None for row in rows)
    return Texts(
        [row.text for row in rows],
        [row.text_b for row in rows] if paired else None,
        [row.label for row in rows] if labelled else None,
        path,
        [row.line for row in rows],
    )


def _as_list(values):
    return values.tolist() if hasattr(values, "tolist") else list(values)


def _split_pairs(rows):
    """Part a list of `(text, text_b)` tuples into two lists; leave a list of texts alone."""
    if not rows or isinstance(rows[0], str) or not isinstance(rows[0], (tuple, list)):
        return rows, None
    wrong = next((index for index, row in enumerate(rows) if len(row) != 2), None)
    if wrong is not None:
        raise ValueError(f"Each pair must have two texts. Received: {rows[wrong]!r} in row {wrong}.")
    return [row[0] for row in rows], [row[1] for row in rows]

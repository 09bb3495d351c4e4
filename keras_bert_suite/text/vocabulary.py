"""Vocabulary files of one token, or one merge, a line."""

import re
from pathlib import Path

from keras_bert_suite.errors import DataError

__all__ = ["has_capitals", "read_merges", "read_vocabulary"]

#: Of the whole words of a vocabulary, the share with capitals from which it counts as cased.
CASED_SHARE = 0.01


def read_vocabulary(path):
    """The tokens of a `vocab.txt`, one a line, their line numbers less one being their ids.

    Only a line feed ends a line: other separators of Unicode are tokens.
    """
    tokens = _lines(path)
    while tokens and not tokens[-1]:
        tokens.pop()
    return tokens


def read_merges(path):
    """The pairs of a `merges.txt`, one a line, the first ones merged first."""
    if not path.is_file():
        raise DataError("a vocab.json needs its merges.txt beside it. Copy it from the checkpoint.", path)
    merges = []
    for number, line in enumerate(_lines(path), start=1):
        if line.startswith("#version") or not line:
            continue
        pair = line.split(" ")
        if len(pair) != 2 or not all(pair):
            raise DataError(
                f"each line must hold two tokens with a space between; received {line!r:.60}. Copy the file anew.",
                path,
                number,
            )
        merges.append(pair)
    return merges


def has_capitals(tokens):
    """Whether a vocabulary is cased: whether its words of two Latin letters or more have capitals.

    A few may be abbreviations that slipped into an uncased vocabulary.
    """
    words = [token for token in tokens if re.fullmatch("[A-Za-z]{2,}", token)]
    return sum(word != word.lower() for word in words) > CASED_SHARE * len(words)


def _lines(path):
    lines = []
    for number, line in enumerate(Path(path).read_bytes().split(b"\n"), start=1):
        try:
            lines.append(line.removesuffix(b"\r").decode("utf-8"))
        except UnicodeDecodeError as error:
            raise DataError(
                f"a vocabulary must be UTF-8 text; byte 0x{line[error.start]:02x} at column {error.start + 1} is not. "
                "Convert the file to UTF-8.",
                path,
                number,
            ) from error
    lines[0] = lines[0].removeprefix("\ufeff")
    return lines

"""Bytes of a corpus to its documents: decoded, checked, and parted at blank lines, lines or JSON objects."""

import json
import re

from keras_bert_suite.data.corpus.inputs import line_number
from keras_bert_suite.errors import DataError

__all__ = ["ERRORS", "documents_of", "json_texts", "row_text"]

#: What becomes of bytes that are not UTF-8.
ERRORS = ("strict", "replace")

REPLACED = 'have such bytes replaced: errors="replace", or --errors replace'
REMEDY = f"Write the file anew, or {REPLACED}"

BLANK_LINE = re.compile(r"\n\s*\n")


def documents_of(piece, column, errors="strict"):
    """Return the documents of a piece of a corpus.

    Args:
        piece: `Piece`.
        column: str. The key of the text in JSON objects.
        errors: `"strict"` to refuse what is not UTF-8, `"replace"` to put U+FFFD in its place.
    Returns:
        list of str; line feeds alone end their lines. Some may be blank.
    Raises:
        DataError: naming file, line and byte of what cannot be decoded.
    """
    if piece.documents == "json":
        return [_one_line_end(text) for text in json_texts(piece, column, errors)]
    if piece.documents == "rows":
        first = piece.offset + 1
        texts = (row_text(data, piece.path, first + number, errors) for number, data in enumerate(piece.text))
        return list(map(_one_line_end, texts))
    text = _one_line_end(_decoded(piece, errors))
    if piece.documents == "block":
        return BLANK_LINE.split(text)
    return text.split("\n") if piece.documents == "line" else [text]


def json_texts(piece, column, errors="strict"):
    """Return the text of each JSON object of a piece, one object a line; blank lines are skipped."""
    texts = []
    for number, line in enumerate(_decoded(piece, errors).split("\n")):
        if not line or line.isspace():
            continue
        try:
            text = json.loads(line)[column]
            if not isinstance(text, str):
                raise TypeError(f"{column!r} is {type(text).__name__}")
            if "\\u" in line:
                text.encode()  # An escape can write half of a surrogate pair, which is no character.
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            if errors == "replace" and isinstance(error, UnicodeEncodeError):
                text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            else:
                reason = f"no {error}" if isinstance(error, KeyError) else error
                message = f"each line must be a JSON object with the text under {column!r}. Received: {reason}."
                raise DataError(message, piece.path, _line(piece, 0) + number) from error
        if "\0" in text:
            text = _without_nul(text, errors, lambda: (piece.path, _line(piece, 0) + number))  # noqa: B023 - called now
        texts.append(text)
    return texts


def row_text(data, path, row, errors="strict"):
    """Return the text of a row of Parquet.

    Args:
        data: bytes.
        path: str.
        row: int, from 1, for the error.
        errors: `"strict"` or `"replace"`.
    Raises:
        DataError: if it is not UTF-8, or has a NUL.
    """
    try:
        text = data.decode(errors=errors)
    except UnicodeDecodeError as error:
        found = f"invalid UTF-8: 0x{data[error.start]:02X} at byte {error.start + 1} of the text. {REMEDY}."
        raise DataError(found, path, row) from error
    return _without_nul(text, errors, lambda: (path, row)) if "\0" in text else text


def _without_nul(text, errors, place):
    if errors == "replace":
        return text.replace("\0", "\ufffd")
    raise DataError(f"NUL character in the text. {REMEDY}.", *place())


def _decoded(piece, errors):
    data = piece.text
    if piece.offset == 0:
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            message = 'the file is UTF-16; UTF-8 is needed. Convert it: "iconv -f UTF-16 -t UTF-8".'
            raise DataError(message, piece.path, 1)
        data = data.removeprefix(b"\xef\xbb\xbf")
    if errors == "replace":
        return data.decode(errors="replace").replace("\0", "\ufffd")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise _fault(piece, data, error.start, f"invalid UTF-8: 0x{data[error.start]:02X}") from error
    if (place := data.find(b"\0")) >= 0:
        raise _fault(piece, data, place, "NUL byte")
    return text


def _fault(piece, data, place, what):
    """The error that says where in the file a byte stands; `place` is its index in `data`."""
    removed = len(piece.text) - len(data)
    in_line = place - data.rfind(b"\n", 0, place)
    return DataError(
        f"{what} at byte {in_line} of the line, byte {piece.offset + removed + place + 1} of the text. Save the file "
        f'as UTF-8, e.g. with "iconv -f WINDOWS-1252 -t UTF-8", or {REPLACED}.',
        piece.path,
        _line(piece, removed + place),
    )


def _line(piece, place):
    """The line in its file, from 1, of a byte of a piece."""
    return line_number(piece.path, piece.offset) + piece.text.count(b"\n", 0, place)


def _one_line_end(text):
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text

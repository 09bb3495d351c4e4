"""Answers as tokens of windows: where the right ones stand, and which the logits of a model speak for."""

import unicodedata

import numpy as np

from keras_bert_suite.text.ragged import row_positions

__all__ = ["answer_targets", "best_spans", "context_tokens", "whole_characters"]

JOINER = "\u200d"


def answer_targets(windows, answers):
    """Return which tokens of each window are the first and the last of the answer.

    Args:
        windows: `text.Windows` of B contexts.
        answers: sequence of B pairs, first and last-plus-one character of an
            answer in its context; `None` where there is none.
    Returns:
        int32 `(W, 2)`: positions in the row; `(0, 0)`, the `[CLS]`, in windows
        that do not have the whole answer.
    """
    firsts, lasts = (np.full(len(answers), -1) for _ in range(2))  # indices of tokens
    for number, answer in enumerate(answers):
        if answer is not None:
            begin, end = windows.text_offsets[number : number + 2]
            spans = windows.spans[begin:end]
            firsts[number] = begin + np.searchsorted(spans[:, 1], answer[0], side="right")
            lasts[number] = begin + np.searchsorted(spans[:, 0], answer[1], side="left") - 1
    lengths = windows.encoded.lengths
    places = np.flatnonzero(windows.tokens >= 0)
    counts = np.bincount(np.repeat(np.arange(len(lengths)), lengths)[places], minlength=len(lengths))
    heads = np.append(places, 0)[np.cumsum(counts) - counts]  # of each window its first token of the context
    firsts, lasts = firsts[windows.texts] - windows.tokens[heads], lasts[windows.texts] - windows.tokens[heads]
    inside = (firsts >= 0) & (firsts <= lasts) & (lasts < counts)
    inside &= np.array([answer is not None for answer in answers], bool)[windows.texts]
    begins = heads - windows.encoded.offsets[:-1]
    return np.where(inside[:, None], np.stack([begins + firsts, begins + lasts], axis=-1), 0).astype("int32")


def context_tokens(windows, rows, length):
    """Lay out `windows.tokens` as the model's inputs are.

    Args:
        windows: `text.Windows`.
        rows: int `(R,)`.
        length: int. Padded length T of the batch.
    Returns:
        int64 `(R, T)`: -1 at padding and whatever else is not of a context.
    """
    lengths = windows.encoded.lengths[rows]
    tokens = np.full((len(rows), length), -1)
    tokens[np.arange(length) < lengths[:, None]] = windows.tokens[row_positions(windows.encoded.offsets[rows], lengths)]
    return tokens


def best_spans(logits, allowed, longest, count):
    """Find the spans with the highest sums of first and last logit.

    All spans compete, not only those of the highest first and last logits.

    Args:
        logits: float `(R, T, 2)`, of first and last tokens.
        allowed: bool `(R, T)`. Tokens that spans are made of.
        longest: int. Tokens of a span at most.
        count: int. Spans to return at most, N.
    Returns:
        `(scores, firsts, lasts)`: float and ints `(R, N)`, the highest score
        first; -inf where a row has fewer spans.
    """
    rows, length = allowed.shape
    longest = min(longest, length)
    firsts, lasts = (np.where(allowed, logits[..., end], -np.inf) for end in (0, 1))
    # Only the `count` firsts that have the best lasts after them can be among the best spans.
    best_last, width = lasts.copy(), 1
    while width < longest:
        step = min(width, longest - width)
        best_last[:, :-step] = np.maximum(best_last[:, :-step], best_last[:, step:])
        width += step
    count_firsts = min(count, length)
    begins = np.argpartition(-(firsts + best_last), count_firsts - 1, axis=1)[:, :count_firsts]  # (R, N)
    ends = begins[..., None] + np.arange(longest)  # (R, N, longest)
    padded = np.pad(lasts, ((0, 0), (0, longest)), constant_values=-np.inf)
    scores = np.take_along_axis(firsts, begins, axis=1)[..., None]
    scores = (scores + padded[np.arange(rows)[:, None, None], ends]).reshape(rows, -1)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    begins = np.repeat(begins, longest, axis=1)
    scores, begins, ends = (
        np.take_along_axis(values, order, axis=1) for values in (scores, begins, ends.reshape(rows, -1))
    )
    return scores, begins, ends


def whole_characters(text, start, end):
    """Widen a span of code points so that it ends in no reader's character: an accent, an emoji's colour.

    Tokens may leave such parts out, as those of uncased models leave out accents.

    Args:
        text: str.
        start, end: int. First and last-plus-one code point.
    Returns:
        `(start, end)`.
    Example:
    >>> whole_characters("cafe\\u0301 noir", 0, 4)
    (0, 5)
    """
    while 0 < start < len(text) and (_extends(text[start]) or text[start - 1] == JOINER):
        start -= 1
    while 0 < end < len(text) and (_extends(text[end]) or text[end - 1] == JOINER):
        end += 1
    return start, end


def _extends(character):
    """Whether a code point is part of the character before it."""
    if character == JOINER or "\U0001f3fb" <= character <= "\U0001f3ff":  # of skin
        return True
    if "\U000e0020" <= character <= "\U000e007f":  # letters of a flag
        return True
    return unicodedata.category(character)[0] == "M"

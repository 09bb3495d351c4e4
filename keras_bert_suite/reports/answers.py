"""A context with its right and its predicted answers marked."""

import itertools

from keras_bert_suite.reports.markup import clean, text

__all__ = ["marked_passage"]

#: Characters around the answers before the rest is folded away.
SURROUNDINGS = 160


def marked_passage(context, spans):
    """Return the HTML of a context: right answers are bold, the predicted one is underlined.

    Of a long context, only what stands around the answers is shown at first.

    Args:
        context: str.
        spans: sequence of `(start, end, kind)`: first and last-plus-one
            character, and `"true"` or `"predicted"`.
    Example:
    >>> marked_passage("Ann sings.", [(0, 3, "true"), (0, 9, "predicted")])
    '<p dir="auto"><u class="wrong"><b class="right">Ann</b></u><u class="wrong"> sings</u>.</p>'
    """
    first = min((start for start, _, _ in spans), default=0) - SURROUNDINGS
    last = max((end for _, end, _ in spans), default=0) + SURROUNDINGS
    whole = _marked(context, spans, 0, len(context))
    if first <= SURROUNDINGS // 2 and last >= len(context) - SURROUNDINGS // 2:
        return f'<p dir="auto">{whole}</p>'
    first, last = max(0, first), min(len(context), last)
    beginning, end = "… " * (first > 0), " …" * (last < len(context))
    return (
        f'<p dir="auto">{beginning}{_marked(context, spans, first, last)}{end}</p>\n'
        f"<details><summary>Whole context, {len(clean(context)):,} characters</summary>"
        f'<p dir="auto">{whole}</p></details>'
    )


def _marked(context, spans, first, last):
    borders = {place for start, end, _ in spans for place in (start, end) if first < place < last}
    borders = sorted({first, last, *borders})
    return "".join(_piece(context, spans, *piece) for piece in itertools.pairwise(borders))


def _piece(context, spans, start, end):
    kinds = {kind for begin, finish, kind in spans if begin <= start and end <= finish}
    piece = text(context[start:end])
    if "true" in kinds:
        piece = f'<b class="right">{piece}</b>'
    return f'<u class="wrong">{piece}</u>' if "predicted" in kinds else piece

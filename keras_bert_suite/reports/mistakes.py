"""The worst errors of the model, with their texts."""

import math

from keras_bert_suite.reports.answers import marked_passage
from keras_bert_suite.reports.markup import clean, isolated, number, section, text

__all__ = ["MOST_MISTAKES", "mistakes"]

#: Mistakes that a report shows at most.
MOST_MISTAKES = 50
#: Characters of a text before the rest is folded away.
LONG_TEXT = 320


def mistakes(report):
    """The errors that the model was most certain of; of answers, those that share least with a right one."""
    if not report.mistakes:
        return ""

    def badness(mistake):
        score = mistake.get("score", mistake.get("error"))
        certainty = -float(score) if score is not None and math.isfinite(score) else math.inf
        return mistake.get("f1", 0.0), certainty

    found = sorted(report.mistakes, key=badness)[:MOST_MISTAKES]
    items = "\n".join(map(_mistake, found))
    if any("error" in mistake for mistake in found):
        note = "Numbers that are farthest from the true ones."
    elif any("f1" in mistake for mistake in found):
        note = "Answers that share least with a right one; of those alike, the ones that the model was most certain of."
    else:
        note = "Errors that the model was most certain of. A wrong label in the data often shows up here first."
    return section("Worst mistakes", f'<ol class="mistakes">\n{items}\n</ol>', note)


def _mistake(mistake):
    texts = _passage(mistake["text"])
    if mistake.get("text_b") is not None:
        spans = mistake.get("spans")
        second = _passage(mistake["text_b"]) if spans is None else marked_passage(mistake["text_b"], spans)
        texts += f'<div class="second">{second}</div>'
    measured = ((name, mistake.get(name)) for name in ("score", "error"))
    certain = "".join(f"<dt>{name}</dt><dd>{number(value)}</dd>" for name, value in measured if value is not None)
    return (
        f'<li><div>{texts}</div>\n<dl><dt>predicted</dt><dd class="wrong">{isolated(mistake["predicted"])}</dd>'
        f'<dt>true</dt><dd class="right">{isolated(mistake["true"])}</dd>{certain}</dl></li>'
    )


def _passage(value):
    """A text of the data; of a long one the beginning, and the whole folded away."""
    whole = clean(value)
    if len(whole) <= LONG_TEXT:
        return f'<p dir="auto">{text(whole)}</p>'
    beginning = whole[:LONG_TEXT]
    space = beginning.rfind(" ")
    beginning = beginning[: space if space > LONG_TEXT // 2 else LONG_TEXT].rstrip()
    return (
        f'<p dir="auto">{text(beginning)} …</p>\n<details><summary>Whole text, {len(whole):,} characters</summary>'
        f'<p dir="auto">{text(whole)}</p></details>'
    )

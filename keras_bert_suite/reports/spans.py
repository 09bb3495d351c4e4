"""Texts with their spans in colour, found beside true."""

from keras_bert_suite.reports.markup import clean, isolated, plural, section, text

__all__ = ["tagged_texts"]

#: Characters shown around the spans that differ; what is beyond is left out.
AROUND = 160


def tagged_texts(report):
    """The texts of a report with what was found in them, and under it what is true where that differs."""
    if not report.tagged:
        return ""
    items = "\n".join(map(_tagged, report.tagged))
    note = (
        f"{plural(len(report.tagged), 'text')}, the surest mistakes first. Blue: found, and "
        "right. Orange: found, and wrong. Dashed: missed. A wrong label in the data often shows up here first."
    )
    return section("Spans in their texts", f'<ol class="tagged">\n{items}\n</ol>', note)


def _tagged(row):
    whole = "".join(map(clean, str(row["text"])))  # one by one, so that no span moves
    true, predicted = ([(*map(int, span[:2]), str(span[2])) for span in row[name]] for name in ("true", "predicted"))
    start, stop = _shown(len(whole), {*true} ^ {*predicted})
    right = {*true} & {*predicted}
    parts = [_line("predicted", whole, predicted, lambda span: "hit" if span in right else "wrong", start, stop)]
    if len(right) < max(len(true), len(predicted)):
        parts.append(_line("true", whole, true, lambda span: "hit" if span in right else "missed", start, stop))
    return f"<li>{''.join(parts)}</li>"


def _shown(length, differing):
    """The part of a text that is shown: all of a short one, else that around the spans that differ."""
    if length <= 4 * AROUND or not differing:
        return 0, length
    first = min(start for start, *_ in differing)
    last = max(end for start, end, _ in differing if start < first + 4 * AROUND)
    return max(0, first - AROUND), min(length, last + AROUND)


def _line(name, whole, spans, kind_of, start, stop):
    """One line of a text from `start` to `stop`, each span marked with its label and what became of it."""
    parts, at = ["… " if start else ""], start
    for span in sorted(spans):
        first, end, label = span
        if first < at or end > stop:
            continue
        kind = kind_of(span)
        parts.append(text(whole[at:first]))
        parts.append(f'<mark class="{kind}">{text(whole[first:end])}<small>{isolated(label)}</small></mark>')
        at = end
    parts.append(text(whole[at:stop]) + (" …" if stop < len(whole) else ""))
    return f'<div><span class="which">{name}</span><p dir="auto">{"".join(parts)}</p></div>'

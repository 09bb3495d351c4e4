"""The parts every section is made of: safe text, numbers, tables, and the page around them.

Whatever comes from data passes through `text` or `isolated`; nothing else puts
a string between tags.
"""

import html
import math
import numbers
import re

from keras_bert_suite.reports.style import STYLE

__all__ = ["clean", "is_number", "isolated", "number", "page", "plural", "section", "table", "text"]

#: What neither HTML nor UTF-8 can hold: control characters but tab and line breaks, surrogates, noncharacters.
_UNFIT = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


def clean(value):
    """Return `value` as str that is valid in HTML and in UTF-8; what cannot be is U+FFFD."""
    return _UNFIT.sub("\ufffd", str(value)).replace("\r\n", "\n").replace("\r", "\n")


def text(value):
    """Return `value` as HTML text, also fit for a quoted attribute."""
    return html.escape(clean(value), quote=True)


def isolated(value):
    """Return a name out of the data as HTML whose direction does not reach beyond it."""
    return f"<bdi>{text(value)}</bdi>"


def is_number(value):
    """Return whether `value` is a number, NumPy's included, and not a bool."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def number(value):
    """Write a number for people: whole ones in groups of three digits, others with four significant digits."""
    if isinstance(value, numbers.Integral):
        return f"{int(value):,}"
    value = float(value)
    if value == 0:
        return "0"
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "infinite" if value > 0 else "−infinite"
    if not 1e-4 <= abs(value) < 1e6:
        return f"{value:.3g}"
    whole = len(str(int(abs(value)))) if abs(value) >= 1 else 0
    return f"{value:,.{max(0, 4 - whole)}f}"


def plural(count, noun):
    """Write `1 label`, `2 labels`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def section(title, body, note=""):
    """Wrap the HTML of a section.

    Args:
        title: str. Plain text.
        body: str. HTML.
        note: str. Plain text under the title, one or two sentences.
    """
    note = f'<p class="note">{text(note)}</p>' if note else ""
    return f"<section>\n<h2>{text(title)}</h2>\n{note}\n{body}\n</section>"


def table(caption, headings, rows, footer=(), numeric=()):
    """Build a table with a caption, wide ones scrolling inside their own frame.

    Args:
        caption: str. Plain text, what the table holds.
        headings: sequence of str. Plain text.
        rows: sequence of sequences of str. HTML; the first cell heads its row.
        footer: sequence of rows, set apart.
        numeric: indices of the columns that hold numbers, aligned right.
    """

    def line(cells):
        kinds = [' class="n"' if index in numeric else "" for index in range(len(cells))]
        rest = "".join(f"<td{kind}>{cell}</td>" for kind, cell in zip(kinds[1:], cells[1:], strict=True))
        return f'<tr><th scope="row"{kinds[0]}>{cells[0]}</th>{rest}</tr>'

    heads = "".join(
        f'<th scope="col" class="n">{text(name)}</th>' if index in numeric else f'<th scope="col">{text(name)}</th>'
        for index, name in enumerate(headings)
    )
    foot = f"<tfoot>{''.join(map(line, footer))}</tfoot>" if footer else ""
    body = "\n".join(map(line, rows))
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(caption)}">\n'
        f"<table><caption>{text(caption)}</caption>\n<thead><tr>{heads}</tr></thead>\n"
        f"<tbody>{body}</tbody>{foot}</table></div>"
    )


def page(title, body):
    """Return a whole HTML document: it loads nothing, runs nothing, and says so to the browser."""
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="light dark">\n'
        f"<title>{text(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )

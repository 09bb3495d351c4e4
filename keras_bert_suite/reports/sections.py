"""The sections of a report: functions from a `Report` to HTML, each empty where its facts are missing."""

import numpy as np

from keras_bert_suite.reports.charts import scatter_chart
from keras_bert_suite.reports.history import curves
from keras_bert_suite.reports.labels import confusion, labels
from keras_bert_suite.reports.markup import is_number, isolated, number, plural, section, text
from keras_bert_suite.reports.mistakes import mistakes
from keras_bert_suite.reports.spans import tagged_texts

__all__ = ["SECTIONS"]

#: Points of a scatter chart: more are too slow to draw and too dense to read.
MOST_POINTS = 3000


def heading(report):
    """Title, the leading numbers in large, every other fact, and what to beware of."""
    facts = [(name, value) for name, value in report.summary.items() if value is not None]
    large = []
    while facts and len(large) < 4 and is_number(facts[0][1]):
        large.append(facts.pop(0))
    parts = [f"<header>\n<h1>{text(report.title)}</h1>"]
    if large:
        parts.append(f'<dl class="tiles">{"".join(_fact(name, value) for name, value in large)}</dl>')
    if facts:
        parts.append(f'<dl class="facts">{"".join(_fact(name, value) for name, value in facts)}</dl>')
    if report.warnings:
        items = "".join(f"<li>{isolated(warning)}</li>" for warning in report.warnings)
        parts.append(f'<div class="warnings" role="note"><h2>Warnings</h2><ul>{items}</ul></div>')
    return "\n".join([*parts, "</header>"])


def _fact(name, value):
    if is_number(value):
        shown = number(value)
    elif isinstance(value, (bool, np.bool_)):
        shown = "yes" if value else "no"
    elif isinstance(value, (list, tuple)):
        shown = ", ".join(map(str, value))
    else:
        shown = str(value)
    wide = ' class="wide"' if len(shown) > 32 else ""
    return f"<div{wide}><dt>{text(name)}</dt><dd>{isolated(shown)}</dd></div>"


def regression(report):
    """Predicted against true numbers."""
    if report.true_values is None:
        return ""
    true = np.asarray(report.true_values, "float64").ravel()
    predicted = np.asarray(report.predicted_values, "float64").ravel()
    finite = np.isfinite(true) & np.isfinite(predicted)
    dropped = int(len(true) - finite.sum())
    true, predicted = true[finite], predicted[finite]
    if not len(true):
        return ""
    facts = [plural(len(true), "example"), f"mean absolute error {number(np.abs(predicted - true).mean())}"]
    if len(true) > 1 and true.std() > 0 and predicted.std() > 0:
        facts.append(f"Pearson correlation {number(np.corrcoef(true, predicted)[0, 1])}")
    if dropped:
        facts.append(f"{plural(dropped, 'example')} without a finite number left out")
    description = f"{', '.join(facts)}."
    note = "On the dashed line, both are equal."
    if len(true) > MOST_POINTS:
        shown = np.linspace(0, len(true) - 1, MOST_POINTS).astype(int)
        true, predicted = true[shown], predicted[shown]
        note += f" {MOST_POINTS:,} examples are drawn, evenly chosen."
    chart = scatter_chart("Predicted against true values", true, predicted, description)
    body = f'<figure class="square">{chart}\n<figcaption>{text(description)}</figcaption></figure>'
    return section("Predicted against true", body, note)


#: What a report is made of, in order.
SECTIONS = (heading, curves, labels, confusion, regression, mistakes, tagged_texts)

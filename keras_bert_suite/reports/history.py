"""How a training went: a chart for each quantity, and every number by epoch."""

import math

from keras_bert_suite.reports.charts import line_chart
from keras_bert_suite.reports.markup import is_number, number, plural, section, table, text

__all__ = ["curves"]

#: What tells whether a metric is better low or high; nothing is said of others.
BETTER_LOW = ("loss", "error", "perplexity")
BETTER_HIGH = ("accuracy", "f1", "precision", "recall", "auc", "correlation", "pearson", "spearman", "exact_match")


def curves(report):
    """A chart for each entry of the history, training and validation together, and the numbers as a table."""
    history = {name: list(values) for name, values in report.history.items()}
    numbered = history.pop("epoch", None) or []
    count = max(map(len, history.values()), default=0)
    if not count:
        return ""
    epochs = [int(epoch) + 1 for epoch in numbered] if len(numbered) == count else list(range(1, count + 1))
    whole = {name: values for name, values in history.items() if len(values) == count}
    rows = [[str(epoch), *map(_cell, cells)] for epoch, *cells in zip(epochs, *whole.values(), strict=True)]
    body = table("Every number by epoch", ["epoch", *map(_spoken, whole)], rows, numeric=range(len(whole) + 1))
    charts = _charts(epochs, {name: list(map(_finite, values)) for name, values in whole.items()})
    if charts:
        body = f"<details><summary>Numbers by epoch</summary>{body}</details>"
        body = f'<div class="charts">{"".join(charts)}</div>\n{body}'
    return section("Training", body, " ".join(_gaps(history, epochs)))


def _gaps(history, epochs):
    """Say what cannot be drawn."""
    for name, values in history.items():
        if len(values) != len(epochs):
            yield f"{_spoken(name)} has {plural(len(values), 'value')} for {plural(len(epochs), 'epoch')}, not shown."
            continue
        lost = [
            epoch for epoch, value in zip(epochs, values, strict=True) if is_number(value) and _finite(value) is None
        ]
        if lost:
            later = " and later" if len(lost) > 8 else ""
            yield f"{_spoken(name)} is not a finite number in epoch {', '.join(map(str, lost[:8]))}{later}."


def _charts(epochs, history):
    """The charts of a history of floats; one epoch makes no curve, and speed is no result."""
    names = dict.fromkeys(name.removeprefix("val_") for name in history if name != "examples_per_second")
    charts = []
    for name in sorted(names, key=lambda name: {"loss": 0, "learning_rate": 2}.get(name, 1)):
        both = {"training": history.get(name, []), "validation": history.get(f"val_{name}", [])}
        both = {curve: values for curve, values in both.items() if any(value is not None for value in values)}
        if both and len(epochs) > 1:
            title = _spoken(name if "training" in both else f"val_{name}")
            charts.append(line_chart(title, epochs, both, _best(name, epochs, both)))
    return charts


def _finite(value):
    """`value` as float, or `None` where it is no number that can be drawn."""
    return float(value) if is_number(value) and math.isfinite(value) else None


def _cell(value):
    return "" if value is None else number(value) if is_number(value) else text(value)


def _spoken(name):
    return ("validation " * name.startswith("val_") + name.removeprefix("val_")).replace("_", " ")


def _best(name, epochs, both):
    """Where the validation curve, or else the training curve, was best; an empty str where nobody can know."""
    curve, values = list(both.items())[-1]
    low = any(part in name for part in BETTER_LOW)
    if not low and not any(part in name for part in BETTER_HIGH):
        return ""
    known = [(value, epoch) for value, epoch in zip(values, epochs, strict=True) if value is not None]
    if len(known) < 2:
        return ""
    value, epoch = min(known) if low else max(known, key=lambda pair: (pair[0], -pair[1]))
    return f"{'Lowest' if low else 'Highest'} in {curve}: {number(value)}, epoch {epoch}."

"""Charts as inline SVG: axes that say their numbers, lines that say their names."""

import itertools
import math

import numpy as np

from keras_bert_suite.reports.markup import number, text

__all__ = ["line_chart", "nice_ticks", "scatter_chart"]

WIDTH, HEIGHT = 400, 230
LEFT, RIGHT, TOP, BOTTOM = 46, 82, 12, 36
#: Height of the two lines of text at the end of a curve.
LABEL = 29
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def nice_ticks(low, high, count=5):
    """Return round numbers that enclose `low` to `high`, about `count` of them, 1, 2 or 5 times a power of 10 apart.

    Example:
    >>> nice_ticks(0.03, 0.91)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        margin = abs(low) / 2 or 0.5
        low, high = (0.0 if low > 0 else low - margin), high + margin
    raw = (high - low) / max(count - 1, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = min((factor * power for factor in (1, 2, 5, 10)), key=lambda value: abs(math.log(value / raw)))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12 - math.floor(math.log10(step))) for index in range(first, last + 1)]


def _tick_label(value, ticks):
    step = ticks[1] - ticks[0]
    return f"{value:,.{max(0, -math.floor(math.log10(step) + 1e-9))}f}".replace("-", "−")


def _exponent(values):
    """The power of 10 to take out of numbers that are too small or too large to be read on an axis."""
    largest = max(map(abs, values))
    return 0 if largest == 0 or 1e-3 <= largest < 1e5 else math.floor(math.log10(largest))


def _epoch_ticks(epochs):
    """Whole epochs to name, seven at most: the last, and a round distance between the others."""
    first, last = epochs[0], epochs[-1]
    step = next(
        step * 10**power for power in range(9) for step in (1, 2, 5) if (last - first) / (step * 10**power) <= 6
    )
    inner = [epoch for epoch in range(first, last) if epoch % step == 0 and last - epoch >= step / 2]
    ends = [first] if not inner or inner[0] - first >= step / 2 else []
    return sorted({*ends, *inner, last})


def _apart(positions, gap, low, high):
    """Move label positions as little as needed, so that they are `gap` apart and inside `low` to `high`."""
    order = sorted(range(len(positions)), key=positions.__getitem__)
    moved = list(positions)
    for before, index in itertools.pairwise(order):
        overlap = gap - (moved[index] - moved[before])
        if overlap > 0:
            moved[before] -= overlap / 2
            moved[index] += overlap / 2
    shift = max(0, low - min(moved)) - max(0, max(moved) - high)
    return [position + shift for position in moved]


def _svg(width, height, title, description, parts):
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img">\n<title>{text(title)}</title>\n'
        f"<desc>{text(description)}</desc>\n" + "\n".join(parts) + "\n</svg>"
    )


def _curve(values, place, mark):
    """Lines between neighbours that are both numbers, and a mark at each number where there are few."""
    runs, run = [], []
    for x, value in values:
        if value is None:
            runs, run = [*runs, run], []
        else:
            run.append(place(x, value))
    runs = [found for found in [*runs, run] if found]
    for found in runs:
        if len(found) > 1:
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in found)
            yield f'<polyline class="{mark}" points="{points}" stroke-linejoin="round" stroke-linecap="round"/>'
    few = len(values) <= 20
    for x, y in (point for found in runs if few or len(found) == 1 for point in found):
        shape = f'cx="{x:.1f}" cy="{y:.1f}" r="3"'
        square = f'x="{x - 3:.1f}" y="{y - 3:.1f}" width="6" height="6"'
        yield f'<circle class="dot one" {shape}/>' if mark == "one" else f'<rect class="dot two" {square}/>'


def line_chart(title, epochs, series, caption=""):
    """Draw one or two curves over the epochs.

    The vertical axis starts at 0 where the numbers come near it, else where
    they lie; its ends are always named.

    Args:
        title: str. What is drawn, with its unit.
        epochs: sequence of int, rising, counted from 1.
        series: dict from `"training"`, `"validation"` or both to values, one an
            epoch: floats, or `None` where there is none.
        caption: str. Plain text below.
    Returns:
        HTML of a `<figure>`; an empty str where there is no value at all.
    """
    known = [value for values in series.values() for value in values if value is not None]
    if not known:
        return ""
    exponent = _exponent(known)
    if exponent:
        title = f"{title} (×10{str(exponent).translate(SUPERSCRIPTS)})"
        series = {
            name: [None if value is None else value / 10.0**exponent for value in values]
            for name, values in series.items()
        }
        known = [value / 10.0**exponent for value in known]
    low, high = min(known), max(known)
    ticks = nice_ticks(0.0 if 0 <= low <= high / 2 else low, high)
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT

    def place(epoch, value):
        across = 0.5 if epochs[-1] == epochs[0] else (epoch - epochs[0]) / (epochs[-1] - epochs[0])
        up = (value - ticks[0]) / (ticks[-1] - ticks[0])
        return LEFT + 8 + across * (right - LEFT - 16), bottom - up * (bottom - TOP)

    parts = []
    for tick in ticks:
        y = place(epochs[0], tick)[1]
        kind = "axis" if tick == ticks[0] else "grid"
        parts.append(f'<line class="{kind}" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        label = _tick_label(tick, ticks)
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    for epoch in _epoch_ticks(epochs):
        x = place(epoch, ticks[0])[0]
        parts.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 4}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 17}" text-anchor="middle">{epoch}</text>')
    parts.append(f'<text x="{right + 8}" y="{bottom + 17}">epoch</text>')

    ends, said = [], []
    for name, values in series.items():
        mark = "two" if name == "validation" else "one"
        parts += _curve(list(zip(epochs, values, strict=True)), place, mark)
        last = next(((epoch, value) for epoch, value in zip(reversed(epochs), reversed(values), strict=True)
                     if value is not None), None)  # fmt: skip
        if last:
            ends.append((name, mark, last[1], place(*last)[1]))
            said.append(f"{name} {number(last[1])} at epoch {last[0]}")
    heights = _apart([height for *_, height in ends], LABEL, TOP, bottom - LABEL / 2)
    for (name, mark, value, _), y in zip(ends, heights, strict=True):
        # One curve alone has its name in the title of the chart.
        if len(series) > 1:
            parts.append(f'<text class="{mark} name" x="{right + 8}" y="{y - 2:.1f}">{text(name)}</text>')
        y += 12 if len(series) > 1 else 4
        parts.append(f'<text class="{mark}" x="{right + 8}" y="{y:.1f}">{number(value)}</text>')
    axis = f"Vertical axis from {_tick_label(ticks[0], ticks)} to {_tick_label(ticks[-1], ticks)}."
    description = f"{title}, by epoch. {'; '.join(said)}. {axis}"
    caption = f"<figcaption>{text(caption)}</figcaption>" if caption else ""
    return f"<figure><h3>{text(title)}</h3>\n{_svg(WIDTH, HEIGHT, title, description, parts)}\n{caption}</figure>"


def scatter_chart(title, true, predicted, description):
    """Draw predicted against true numbers, both axes alike, with the line on which they are equal.

    Args:
        title: str.
        true: float array `(N,)`, finite.
        predicted: float array `(N,)`, finite.
        description: str. What the cloud shows, in words.
    """
    side, left, top = 340, 58, 10
    size, bottom = side - left - 12, side - 46
    both = np.concatenate([true, predicted])
    exponent = _exponent(both)
    scale = 10.0**exponent
    ticks = nice_ticks(float(both.min()) / scale, float(both.max()) / scale)
    unit = f" (×10{str(exponent).translate(SUPERSCRIPTS)})" if exponent else ""

    def place(value):
        return (value / scale - ticks[0]) / (ticks[-1] - ticks[0])

    parts = []
    for tick in ticks:
        share, label = place(tick * scale), _tick_label(tick, ticks)
        x, y = left + share * size, bottom - share * (bottom - top)
        kind = "axis" if tick == ticks[0] else "grid"
        parts.append(f'<line class="{kind}" x1="{left}" x2="{left + size}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>')
        parts.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 17}" text-anchor="middle">{label}</text>')
    for x, y in zip(place(true), place(predicted), strict=True):
        parts.append(f'<circle class="cloud" cx="{left + x * size:.1f}" cy="{bottom - y * (bottom - top):.1f}" r="2"/>')
    parts.append(f'<line class="identity" x1="{left}" y1="{bottom}" x2="{left + size}" y2="{top}"/>')
    middle = (top + bottom) / 2
    parts.append(f'<text x="{left + size / 2:.0f}" y="{side - 8}" text-anchor="middle">true{unit}</text>')
    parts.append(
        f'<text transform="translate(14 {middle:.0f}) rotate(-90)" text-anchor="middle">predicted{unit}</text>'
    )
    return _svg(side, side, title, description, parts)

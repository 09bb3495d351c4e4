"""A picture of a report: size against quality, the area of each mark its latency."""

import math
from html import escape

__all__ = ["plot"]

WIDTH, HEIGHT = 640, 380
LEFT, RIGHT, TOP, BOTTOM = 74, 150, 24, 52
#: The largest mark, in pixels.
RADIUS = 26
INK, GRID, MARK = "#333333", "#dddddd", "#3b6ea8"


def plot(report):
    """Draw a report as SVG.

    Quality is the score on labelled examples, or without them the share of
    answers that are Keras' own; where there are none, the largest difference.

    Args:
        report: `Report`.
    Returns:
        str.
    """
    rows = [row for row in report.rows if row["input"] == "ids" and row.get("latency_ms")]
    key, heading = _quality(rows, report.reference)
    rows = [row for row in rows if row.get(key) is not None]
    xs, ys = ([row[name] for row in rows] for name in ("size_mb", key))
    (x_low, x_high), (y_low, y_high) = _range(xs, zero=True), _range(ys)
    slowest = max((row["latency_ms"] for row in rows), default=1)
    parts = [f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    for step in range(5):
        share = step / 4
        x, y = LEFT + share * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
        parts.append(_line(LEFT, y, WIDTH - RIGHT, y) + _line(x, TOP, x, HEIGHT - BOTTOM))
        parts.append(_text(x, HEIGHT - BOTTOM + 18, f"{x_low + share * (x_high - x_low):.3g}", "middle"))
        parts.append(_text(LEFT - 8, y + 4, f"{y_low + share * (y_high - y_low):.4g}", "end"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, "size, MB", "middle"))
    parts.append(_text(LEFT, 14, f"{heading}; area: ms for one row"))
    for row, x, y in zip(rows, xs, ys, strict=True):
        across = LEFT + (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)
        down = HEIGHT - BOTTOM - (y - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)
        radius = max(3, RADIUS * math.sqrt(row["latency_ms"] / slowest))
        parts.append(f'<circle cx="{across:.1f}" cy="{down:.1f}" r="{radius:.1f}" fill="{MARK}" fill-opacity="0.35"/>')
        parts.append(f'<circle cx="{across:.1f}" cy="{down:.1f}" r="2" fill="{MARK}"/>')
        parts.append(_text(across + radius + 5, down + 4, f"{row['format']}, {row['latency_ms']:.1f} ms"))
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'font-family="sans-serif" font-size="12">\n<title>Artifacts: size, quality and latency</title>\n'
        f"{body}\n</svg>\n"
    )


def _quality(rows, reference):
    if any(row.get("score") is not None for row in rows):
        return "score", reference["score_name"]
    if any(row.get("label_agreement") is not None for row in rows):
        return "label_agreement", "same answers as Keras"
    return "max_difference", "largest difference from Keras"


def _range(values, zero=False):
    low, high = min(values, default=0), max(values, default=1)
    room = (high - low) * 0.15 or abs(high) * 0.05 or 1
    return (0 if zero else low - room), high + room


def _line(x1, y1, x2, y2):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{GRID}"/>'


def _text(x, y, content, anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{INK}" text-anchor="{anchor}">{escape(content)}</text>'

"""Scores of spans, found against true: those of `seqeval` in its default mode, and of conlleval."""

from collections import Counter

import numpy as np

__all__ = ["span_scores"]


def span_scores(true, predicted):
    """Score spans: one is right where begin, end and label are.

    Args:
        true: sequence of sequences of `(start, end, label)`, one a text.
        predicted: likewise, for the same texts.
    Returns:
        dict: `labels`, sorted; `precision`, `recall`, `f1` and `support`, lists
        with an entry for each label; and `micro`, `macro` and `weighted`, dicts
        with `precision`, `recall` and `f1` over all spans together, and their
        means over labels and over true spans. All but `support`, a count, are in
        [0, 1], and 0 where nothing was to be divided.
    Example:
    >>> scores = span_scores([[(0, 2, "PER"), (3, 4, "LOC")]], [[(0, 2, "PER"), (2, 4, "LOC")]])
    >>> scores["labels"], scores["f1"], scores["micro"]["f1"]
    (['LOC', 'PER'], [0.0, 1.0], 0.5)
    """
    support, found, hits = Counter(), Counter(), Counter()
    for right, given in zip(true, predicted, strict=True):
        right, given = set(map(tuple, right)), set(map(tuple, given))
        support.update(label for *_, label in right)
        found.update(label for *_, label in given)
        hits.update(label for *_, label in right & given)
    labels = sorted({*support, *found})
    counts = np.array([[hits[label], found[label], support[label]] for label in labels], "int64").reshape(-1, 3)
    columns = _columns(*counts.T)
    total = counts[:, 2].sum()
    shares = counts[:, 2] / total if total else np.zeros(len(labels))
    return {
        "labels": labels,
        **{name: values.tolist() for name, values in columns.items()},
        "support": counts[:, 2].tolist(),
        "micro": {name: float(values[0]) for name, values in _columns(*counts.sum(axis=0)[:, None]).items()},
        "macro": {name: float(values.mean()) if labels else 0.0 for name, values in columns.items()},
        "weighted": {name: float(values @ shares) for name, values in columns.items()},
    }


def _columns(hits, found, support):
    def ratio(numerator, denominator):
        return np.divide(numerator, denominator, out=np.zeros(len(numerator)), where=denominator > 0)

    return {"precision": ratio(hits, found), "recall": ratio(hits, support), "f1": ratio(2 * hits, found + support)}

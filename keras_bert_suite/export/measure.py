"""Holding one artifact's answers against Keras', and timing it. Knows no runtime."""

import time

import numpy as np

__all__ = ["measure"]

BATCH_SIZE = 8
ID_NAMES = ("token_ids", "segment_ids", "padding_mask")
#: Timed calls: at most so many, and at most so many seconds of them.
TIMED_CALLS, TIMED_SECONDS = 30, 2.0


def measure(run, kind, examples):
    """Run an artifact on all examples.

    Args:
        run: function of one batch. For `kind="text"` it takes a list of str and
            an optional list of str; for `"ids"`, int32 `(B, T)` arrays by name.
            Returns probabilities `(B, L)`.
        kind: `"text"` or `"ids"`.
        examples: dict of `texts`, `pairs`, `targets`, the three arrays of ids
            and the expected `probabilities`.
    Returns:
        dict: the measured part of a row of `Report`, and `finite`.
    """
    expected = examples["probabilities"]
    lengths = examples["padding_mask"].sum(axis=1)
    order = np.argsort(lengths, kind="stable")
    found = np.empty_like(expected)
    for start in range(0, len(order), BATCH_SIZE):
        rows = order[start : start + BATCH_SIZE]
        found[rows] = run(*_batch(kind, examples, rows, lengths))
    typical = order[len(order) // 2 : len(order) // 2 + 1]
    difference = np.abs(found - expected)
    finite = bool(np.isfinite(found).all())
    targets = examples["targets"]
    return {
        "input": kind,
        "finite": finite,
        "max_difference": float(difference.max()) if finite else None,
        "mean_difference": float(difference.mean()) if finite else None,
        "label_agreement": float((found.argmax(axis=-1) == expected.argmax(axis=-1)).mean()),
        "accuracy": None if targets is None else float((found.argmax(axis=-1) == np.array(targets)).mean()),
        "latency_ms": _latency(run, _batch(kind, examples, typical, lengths)) * 1e3,
        "tokens": int(lengths[typical[0]]),
    }


def _batch(kind, examples, rows, lengths):
    """The arguments of `run` for some rows: ids are cut to the longest row among them."""
    if kind == "text":
        columns = (examples["texts"], examples["pairs"])
        return [None if column is None else [column[row] for row in rows] for column in columns]
    length = lengths[rows].max()
    return [{name: np.ascontiguousarray(examples[name][rows, :length]) for name in ID_NAMES}]


def _latency(run, arguments):
    """The median time of a call, in seconds."""
    for _ in range(3):
        run(*arguments)
    times = []
    while len(times) < TIMED_CALLS and sum(times) < TIMED_SECONDS:
        start = time.perf_counter()
        run(*arguments)
        times.append(time.perf_counter() - start)
    return float(np.median(times))

"""Scores of a classifier, from its confusion matrix."""

import numpy as np

__all__ = [
    "check_confusion",
    "classification_scores",
    "confusion_matrix",
    "most_confused",
    "multi_label_scores",
    "pearson",
    "spearman",
]


def confusion_matrix(true, predicted, num_labels):
    """Count how often each label was taken for each.

    Args:
        true: int array `(N,)`, from 0 to `num_labels - 1`.
        predicted: int array `(N,)`, likewise.
        num_labels: int.
    Returns:
        int64 `(L, L)`: rows are true labels, columns predicted ones.
    Raises:
        ValueError: if the arrays differ in length or hold anything else.
    Example:
    >>> confusion_matrix([0, 0, 1], [0, 1, 1], num_labels=2).tolist()
    [[1, 1], [0, 1]]
    """
    true, predicted = np.asarray(true), np.asarray(predicted)
    if true.shape != predicted.shape or true.ndim != 1:
        raise ValueError(
            f"confusion_matrix: true and predicted must be arrays of one length. "
            f"Received shapes: {true.shape}, {predicted.shape}."
        )
    for name, values in (("true", true), ("predicted", predicted)):
        if values.size and (values.dtype.kind not in "iu" or values.min() < 0 or values.max() >= num_labels):
            raise ValueError(
                f"confusion_matrix: {name} must hold ints from 0 to {num_labels - 1}. Received: dtype {values.dtype}, "
                f"values from {values.min()} to {values.max()}."
            )
    cells = true.astype("int64") * num_labels + predicted.astype("int64")
    return np.bincount(cells, minlength=num_labels**2).reshape(num_labels, num_labels)


def check_confusion(subject, confusion):
    """Return a confusion matrix as int64 array `(L, L)`, or raise `ValueError`."""
    array = np.asarray(confusion)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or array.dtype.kind not in "iu" or (array < 0).any():
        raise ValueError(
            f"{subject}: confusion must be a square matrix of counts, ints from 0. "
            f"Received: shape {array.shape}, dtype {array.dtype}."
        )
    return array.astype("int64")


def _ratio(numerator, denominator):
    """Divide, with 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros(len(numerator)), where=denominator > 0)


def classification_scores(confusion):
    """Score a classifier: the numbers of scikit-learn's `classification_report(zero_division=0)`.

    Args:
        confusion: int `(L, L)`: rows are true labels, columns predicted ones.
    Returns:
        dict: `precision`, `recall`, `f1` and `support`, lists with an entry for
        each label; `accuracy`; and `macro` and `weighted`, dicts with the mean
        `precision`, `recall` and `f1` over labels and over examples. All but
        `support`, a count, are in [0, 1], and 0 where nothing was to be divided.
    Example:
    >>> scores = classification_scores([[3, 1], [0, 4]])
    >>> scores["accuracy"], scores["recall"], scores["macro"]["recall"]
    (0.875, [0.75, 1.0], 0.875)
    """
    confusion = check_confusion("classification_scores", confusion)
    hits, support, predicted = np.diagonal(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    total = int(support.sum())
    return {**_by_label(hits, predicted, support), "accuracy": int(hits.sum()) / total if total else 0.0}


def multi_label_scores(true, predicted):
    """Score what gives each example any number of labels, as scikit-learn does.

    Args:
        true, predicted: bool or 0 and 1, `(N, L)`.
    Returns:
        dict as of `classification_scores`, and `micro`: precision, recall and F1
        over all labels together. `accuracy` is the share of examples all of whose
        labels are right.
    Example:
    >>> scores = multi_label_scores([[1, 0], [1, 1]], [[1, 0], [0, 1]])
    >>> scores["micro"]["recall"], scores["accuracy"]
    (0.6666666666666666, 0.5)
    """
    true, predicted = np.asarray(true, bool), np.asarray(predicted, bool)
    if true.shape != predicted.shape or true.ndim != 2:
        raise ValueError(
            f"multi_label_scores: true and predicted must be (N, L) alike. Received: {true.shape}, {predicted.shape}."
        )
    counts = [values.sum(axis=0) for values in (true & predicted, predicted, true)]
    together = _by_label(*(values.sum(keepdims=True) for values in counts))
    return {
        **_by_label(*counts),
        "accuracy": float((true == predicted).all(axis=1).mean()) if len(true) else 0.0,
        "micro": {name: together[name][0] for name in ("precision", "recall", "f1")},
    }


def _by_label(hits, predicted, support):
    """Return precision, recall and F1 of each label, and their means."""
    columns = {
        "precision": _ratio(hits, predicted),
        "recall": _ratio(hits, support),
        "f1": _ratio(2 * hits, support + predicted),
    }
    total = int(support.sum())
    shares = support / total if total else np.zeros(len(support))
    return {
        **{name: values.tolist() for name, values in columns.items()},
        "support": support.tolist(),
        "macro": {name: float(values.mean()) if len(values) else 0.0 for name, values in columns.items()},
        "weighted": {name: float(values @ shares) for name, values in columns.items()},
    }


def most_confused(confusion, count=20):
    """Find the pairs of labels that are most often taken for one another.

    Args:
        confusion: int `(L, L)`: rows are true labels, columns predicted ones.
        count: int. Pairs at most. Defaults to 20.
    Returns:
        list of `(true, predicted, count)`, ints, the largest count first.
    Example:
    >>> most_confused([[3, 1, 0], [0, 4, 0], [2, 0, 5]])
    [(2, 0, 2), (0, 1, 1)]
    """
    errors = check_confusion("most_confused", confusion).copy()
    np.fill_diagonal(errors, 0)
    order = np.argsort(-errors, axis=None, kind="stable")[:count]
    pairs = zip(*np.unravel_index(order, errors.shape), strict=True)
    return [(int(row), int(column), int(errors[row, column])) for row, column in pairs if errors[row, column]]


def pearson(first, second):
    """Return Pearson's correlation of two float arrays `(N,)`; 0 where one side does not vary."""
    first, second = first - first.mean(), second - second.mean()
    length = np.sqrt((first @ first) * (second @ second))
    return float(first @ second / length) if length else 0.0


def spearman(first, second):
    """Return Spearman's correlation of two float arrays `(N,)`: that of their ranks."""
    return pearson(_ranks(first), _ranks(second))


def _ranks(values):
    """Ranks from 0, equal values sharing the mean of theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return ((ends - counts + ends - 1) / 2)[places]

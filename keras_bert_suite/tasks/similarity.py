"""How alike embeddings are, by any of the measures that models of embeddings are trained for."""

import numpy as np

from keras_bert_suite.errors import check_choice

__all__ = ["SIMILARITIES", "compare_all", "compare_pairs"]

#: The larger, the more alike: distances are negative.
SIMILARITIES = ("cosine", "dot", "euclidean", "manhattan")

#: Differences held at once, in numbers.
BLOCK = 2**22


def compare_all(measure, first, second):
    """Compare each vector of one array with each of another.

    Args:
        measure: str out of `SIMILARITIES`.
        first: float `(N, D)`.
        second: float `(M, D)`.
    Returns:
        float32 `(N, M)`.
    Example:
    >>> compare_all("cosine", np.array([[2.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 3.0]])).tolist()
    [[1.0, 0.0]]
    """
    first, second = _checked(measure, first, second)
    if measure == "manhattan":
        rows = max(1, BLOCK // max(1, second.size))
        parts = [
            np.abs(first[start : start + rows, None] - second).sum(axis=-1) for start in range(0, len(first), rows)
        ]
        return -np.concatenate([np.zeros((0, len(second))), *parts]).astype("float32")
    if measure == "euclidean":
        squares = (first**2).sum(axis=-1)[:, None] + (second**2).sum(axis=-1) - 2 * first @ second.T
        return -np.sqrt(np.maximum(squares, 0)).astype("float32")
    if measure == "cosine":
        first, second = _unit(first), _unit(second)
    return (first @ second.T).astype("float32")


def compare_pairs(measure, first, second):
    """As `compare_all`, row by row: two arrays `(N, D)` give float32 `(N,)`."""
    first, second = _checked(measure, first, second)
    if len(first) != len(second):
        raise ValueError(
            f"similarity_pairwise: there must be as many first as second. Received: {len(first)} and {len(second)}. "
            "Use similarity to compare each with each."
        )
    if measure == "manhattan":
        return -np.abs(first - second).sum(axis=-1).astype("float32")
    if measure == "euclidean":
        return -np.linalg.norm(first - second, axis=-1).astype("float32")
    if measure == "cosine":
        first, second = _unit(first), _unit(second)
    return (first * second).sum(axis=-1).astype("float32")


def _checked(measure, first, second):
    check_choice("similarity", "similarity_fn_name", measure, SIMILARITIES)
    # Small distances are differences of large squares, which float32 does not resolve.
    first, second = (np.atleast_2d(np.asarray(values, "float64")) for values in (first, second))
    if first.ndim != 2 or first.shape[-1:] != second.shape[-1:]:
        raise ValueError(
            f"similarity: embeddings must be (N, D) with one D. Received: shapes {first.shape} and {second.shape}."
        )
    return first, second


def _unit(vectors):
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)

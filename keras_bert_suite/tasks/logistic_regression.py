"""Logistic regression with an L2 penalty, fitted to the bottom by L-BFGS: the head of few-shot classifiers."""

import numpy as np

from keras_bert_suite.errors import check_positive_int

__all__ = ["fit_logistic_regression"]

#: Steps that the curvature is taken from.
MEMORY = 10
#: Share of the promised descent that a step must bring, and of the slope that it may leave (strong Wolfe).
ENOUGH, FLATTER = 1e-4, 0.9


def fit_logistic_regression(features, targets, num_labels, *, strength=1.0, tolerance=1e-6, max_steps=1000):
    """Fit the kernel and bias of a classifier to features that stay as they are.

    What is made small is the summed cross-entropy times `strength`, plus half
    the squared kernel; the bias is free. With two labels there is one column of
    weights, as in scikit-learn's `LogisticRegression(C=strength)`, and the first
    logit is always 0.

    Args:
        features: float `(N, D)`.
        targets: int `(N,)`, below `num_labels`.
        num_labels: int, from 2.
        strength: float above 0. Larger values trust the data more. Defaults to 1.
        tolerance: float. The largest slope left. Defaults to 1e-6.
        max_steps: int. Defaults to 1000.
    Returns:
        `(kernel, bias)`: float64 `(D, L)` and `(L,)`.
    Example:
    >>> kernel, bias = fit_logistic_regression(np.array([[-1.0], [1.0]]), np.array([0, 1]), 2)
    >>> kernel.round(2).tolist(), abs(bias).round(2).tolist()
    ([[0.0, 0.67]], [0.0, 0.0])

    Source: Liu and Nocedal 1989, for the method.
    """
    check_positive_int("fit_logistic_regression", num_labels=num_labels)
    features = np.asarray(features, "float64")
    rows, width = features.shape
    columns = 1 if num_labels == 2 else num_labels
    wanted = np.eye(num_labels)[targets][:, -columns:]  # (N, K)

    def evaluate(weights):
        weights = weights.reshape(width + 1, columns)
        logits = features @ weights[:-1] + weights[-1]  # (N, K)
        fixed = np.zeros((rows, 2 - columns)) if columns == 1 else logits[:, :0]
        every = np.concatenate([fixed, logits], axis=1)
        highest = every.max(axis=1, keepdims=True)
        logs = highest[:, 0] + np.log(np.exp(every - highest).sum(axis=1))
        loss = strength * (logs.sum() - (wanted * logits).sum()) + 0.5 * (weights[:-1] ** 2).sum()
        errors = strength * (np.exp(logits - logs[:, None]) - wanted)
        gradient = np.concatenate([features.T @ errors + weights[:-1], errors.sum(axis=0, keepdims=True)])
        return loss, gradient.reshape(-1)

    weights = _minimize(evaluate, np.zeros((width + 1) * columns), tolerance, max_steps).reshape(width + 1, columns)
    if columns == 1:
        weights = np.concatenate([np.zeros_like(weights), weights], axis=1)
    return weights[:-1], weights[-1]


def _minimize(evaluate, point, tolerance, max_steps):
    """Return where a smooth convex function of a vector is least."""
    value, gradient = evaluate(point)
    moves, turns = [], []
    for _ in range(max_steps):
        if np.abs(gradient).max() <= tolerance:
            break
        direction = -_scaled(gradient, moves, turns)
        length = 1.0 if moves else min(1.0, 1.0 / np.abs(gradient).sum())
        new_point, new_value, new_gradient = _step(evaluate, point, value, gradient, direction, length)
        move, turn = new_point - point, new_gradient - gradient
        if move @ turn <= 1e-12 * (turn @ turn):
            break  # nothing is left but rounding
        moves, turns = [*moves, move][-MEMORY:], [*turns, turn][-MEMORY:]
        point, value, gradient = new_point, new_value, new_gradient
    return point


def _scaled(gradient, moves, turns):
    """Return the gradient times the inverse of the curvature that the last steps showed."""
    result, shares = gradient.copy(), []
    for move, turn in zip(reversed(moves), reversed(turns), strict=True):
        shares.append((move @ result) / (move @ turn))
        result -= shares[-1] * turn
    if moves:
        result *= (moves[-1] @ turns[-1]) / (turns[-1] @ turns[-1])
    for move, turn, share in zip(moves, turns, reversed(shares), strict=True):
        result += (share - (turn @ result) / (move @ turn)) * move
    return result


def _step(evaluate, point, value, gradient, direction, length):
    """Return a point along `direction` that is lower and flatter enough, its value and gradient."""
    slope = gradient @ direction
    low, high = 0.0, np.inf
    for _ in range(60):
        new_point = point + length * direction
        new_value, new_gradient = evaluate(new_point)
        new_slope = new_gradient @ direction
        if new_value > value + ENOUGH * length * slope + 1e-12 * abs(value):
            high = length
        elif new_slope < FLATTER * slope:
            low = length
        else:
            break
        length = 2 * length if np.isinf(high) else (low + high) / 2
    return new_point, new_value, new_gradient

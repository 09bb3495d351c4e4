"""Which tokens are kept when a row must fit a length."""

import numpy as np

from keras_bert_suite.errors import check_choice

__all__ = ["STRATEGIES", "cut_around", "kept_lengths"]

STRATEGIES = ("longest_first", "only_first", "only_second")


def kept_lengths(lengths, budget, strategy):
    """Compute the tokens each side keeps, by the rules of Hugging Face `tokenizers`.

    `"longest_first"` shortens the longer side until both fit; when both exceed
    half the budget each gets half, and the odd token goes to the longer one.

    Args:
        lengths: list of one or two int `(B,)`: tokens of each text, special tokens apart.
        budget: int. Tokens that both sides may take together.
        strategy: one of `STRATEGIES`.
    Returns:
        list like `lengths`.
    Raises:
        ValueError: if a row cannot be made to fit by shortening the named side.
    Example:
    >>> first, second = kept_lengths([np.array([9]), np.array([2])], 6, "longest_first")
    >>> int(first[0]), int(second[0])
    (4, 2)
    """
    check_choice("truncation", "truncation", strategy, STRATEGIES)
    if budget == 0:  # nothing to choose from: every side goes
        return [np.zeros_like(side) for side in lengths]
    if strategy == "longest_first":
        return _longest_first(lengths, budget)
    excess = np.maximum(sum(lengths) - budget, 0)
    shortened = 0 if strategy == "only_first" else 1
    if shortened == len(lengths):
        _check_rows(excess == 0, "there is no second text to shorten", strategy, budget)
        return lengths
    side = lengths[shortened]
    _check_rows((excess == 0) | (side > excess), "the side to shorten has too few tokens for that", strategy, budget)
    return [length - excess if index == shortened else length for index, length in enumerate(lengths)]


def _longest_first(lengths, budget):
    if len(lengths) == 1:
        return [np.minimum(lengths[0], budget)]
    first, second = lengths
    shorter, longer = np.minimum(first, second), np.maximum(first, second)
    shorter = np.where(first + second > budget, np.minimum(shorter, budget // 2), shorter)
    longer = np.minimum(longer, budget - shorter)
    swapped = first > second
    return [np.where(swapped, longer, shorter), np.where(swapped, shorter, longer)]


def _check_rows(fit, why, strategy, budget):
    if not fit.all():
        row = int(np.argmin(fit))
        raise ValueError(
            f"truncation: row {row} cannot be shortened to {budget} tokens plus special tokens; {why}. "
            f'Received: truncation="{strategy}". Use truncation="longest_first" or a larger max_length.'
        )


def cut_around(token_ids, around, budget):
    """Cut a long text around some of its tokens.

    Args:
        token_ids: int `(T,)`.
        around: int `(A,)`. Ids of the tokens; without any of them the text loses its end.
        budget: int, fewer than T.
    Returns:
        int `(budget,)`: where all of the tokens stand, about the middle of the row;
        where they are too far apart, what follows the first and what precedes the last.
    Example:
    >>> cut_around(np.arange(10), [4, 5], 4).tolist(), cut_around(np.arange(10), [2, 8], 4).tolist()
    ([3, 4, 5, 6], [2, 3, 7, 8])
    """
    places = np.flatnonzero(np.isin(token_ids, around))
    first, last = (int(places[0]), int(places[-1])) if len(places) else (0, 0)
    if last - first < budget:
        start = min(max(0, (first + last + 1 - budget) // 2), len(token_ids) - budget)
        return token_ids[start : start + budget]
    half = budget // 2
    return np.concatenate([token_ids[first : first + budget - half], token_ids[last + 1 - half : last + 1]])

"""The canonical order of all combining marks that BERT's normalizer meets, those that it strips included.

`bert_table` has the order of the marks that stay, which is all that ids need.
Offsets need the others too: `tokenizers` counts a mark to the character that
stands where the mark comes to stand, and that is decided before any is stripped.
"""

import functools

import numpy as np

from keras_bert_suite.text.code_points import LAST, PAGE, bert_table

__all__ = ["stripped_marks"]

#: Parts the strings handed to a normalizer in one call: a starter that no step changes.
BAR = "|"
#: Above it no character is a combining mark.
LAST_MARK = 0x20000


@functools.lru_cache(maxsize=4)
def stripped_marks(lowercase, strip_accents, split_chinese):
    """Find the characters that the stripping of accents removes, and put them in order with the marks that stay.

    Args:
        lowercase, strip_accents, split_chinese: the options of `bert_table`, which must strip accents.
    Returns:
        `(marks, orders, stripped)`, each int32 and `marks` and `stripped`
        ascending: all marks that NFD moves, with numbers in whose order they
        stand; and all characters that are stripped, a few of which NFD does not move.
    """
    table = bert_table(lowercase, strip_accents, split_chinese)
    numbers = table.entries.reshape(-1, PAGE)[table.pages].reshape(LAST)
    empty = np.flatnonzero(np.diff(table.splits)[numbers] == 0)
    unmoved = empty[table.starts_run[numbers[empty]] == 1]
    moved = empty[(table.starts_run[numbers[empty]] == 0) & (empty < LAST_MARK)]
    moved = [chr(code) for code in moved[_survive_cleaning(moved)]]
    stripped = np.sort(np.concatenate([unmoved, list(map(ord, moved))]))
    # One mark of each order, the lowest order first.
    kept_orders, which = np.unique(table.mark_orders, return_index=True)
    below = np.zeros(len(moved), np.int64)  # orders that are lower than the mark's own
    not_above = np.zeros(len(moved), np.int64)
    for kept in map(chr, table.marks[which]):
        before = _first_of_nfd([mark + kept for mark in moved]) == kept
        below += before
        not_above += before | (_first_of_nfd([kept + mark for mark in moved]) == kept)
    # Orders that stay become 2, 4, ...; a stripped mark has one of these, or lies between two.
    marks = np.concatenate([table.marks, list(map(ord, moved))])
    orders = np.concatenate([2 * np.searchsorted(kept_orders, table.mark_orders) + 2, 1 + below + not_above])
    ascending = np.argsort(marks)
    return tuple(found.astype(np.int32) for found in (marks[ascending], orders[ascending], stripped))


def _survive_cleaning(code_points):
    """bool `(N,)`: which code points are no control characters, which go before marks are ordered."""
    from tokenizers.normalizers import BertNormalizer

    cleaner = BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    outputs = cleaner.normalize_str(BAR.join(map(chr, code_points))).split(BAR)
    return np.array([output != "" for output in outputs])


def _first_of_nfd(strings):
    """The first mark of each string of marks after canonical ordering."""
    from tokenizers.normalizers import NFD

    outputs = NFD().normalize_str("".join(f"a{marks}" for marks in strings)).split("a")[1:]
    return np.array([output[0] for output in outputs])

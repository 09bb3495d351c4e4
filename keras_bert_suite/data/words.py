"""Where the words of a text are, by a rule that no tokenizer has a say in."""

import functools
import unicodedata

import numpy as np

__all__ = ["character_kinds", "find_words"]

#: What a character does: it parts words, runs together with its like, is a word alone, or belongs to what is before it,
#: as a mark or without a form of its own, where it ends no word.
PARTS, RUNS, ALONE, ATTACHED, FORMAT = range(5)

#: Letters of scripts that are written without spaces between words.
UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x0FFF),  # Tibetan
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x2FDF),  # radicals
    (0x3005, 0x3007),
    (0x3040, 0x318F),  # kana, Bopomofo; what follows is Hangul's letters, which are spaced
    (0x31A0, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),  # halfwidth kana
    (0x1B000, 0x1B16F),
    (0x20000, 0x3FFFF),
)


@functools.cache
def character_kinds():
    """The kind of every code point: uint8 `(0x110000,)`."""
    kinds = np.full(0x110000, PARTS, np.uint8)
    by_category = {"L": RUNS, "N": RUNS, "M": ATTACHED, "P": ALONE, "S": ALONE, "Cf": FORMAT, "Co": ALONE}
    for point in [*range(0x3A000), *range(0xE0000, 0xE0200)]:
        category = unicodedata.category(chr(point))
        kinds[point] = by_category.get(category, by_category.get(category[0], PARTS))
    for first, last in UNSPACED:
        letters = kinds[first : last + 1]
        letters[letters == RUNS] = ALONE
    tags = kinds[0xE0000:0xE0080]  # of flags, which have a form
    tags[tags == FORMAT] = ATTACHED
    kinds[0xF0000:] = ALONE
    return kinds


def find_words(texts):
    """Find the words of texts.

    A word is a run of letters and digits. Punctuation, symbols and the letters
    of scripts without spaces, such as Chinese, are words alone; accents and
    other marks belong to the character before them, and so do characters without
    a form, such as the zero-width space, where more of the word comes after them.

    Args:
        texts: list of str.
    Returns:
        `(spans, offsets)`: int64 `(W, 2)`, first and last-plus-one character of
        each word in its text; int64 `(B + 1,)`, text `i` has the words from
        `offsets[i]` to `offsets[i + 1]`.
    Example:
    >>> spans, offsets = find_words(["Ada's café", "東京!"])
    >>> spans.tolist(), offsets.tolist()
    ([[0, 3], [3, 4], [4, 5], [6, 10], [0, 1], [1, 2], [2, 3]], [0, 4, 7])
    """
    joined = "\n".join([*texts, ""])
    kinds = character_kinds()[np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)]
    bases = np.cumsum([0, *(len(text) + 1 for text in texts)])  # where each text begins
    before = np.concatenate([[PARTS], kinds[:-1]])
    # An attached character does as the one that it is attached to; what comes after it sees that one.
    shown = np.maximum.accumulate(np.where(kinds >= ATTACHED, 0, np.arange(len(kinds))))
    host = np.concatenate([[PARTS], kinds[shown][:-1]]) if len(kinds) else before
    starts = (kinds == ALONE) | ((kinds == RUNS) & (host != RUNS)) | ((kinds >= ATTACHED) & (before == PARTS))
    inside = kinds != PARTS
    first = np.flatnonzero(starts)
    breaks = np.flatnonzero(starts | ~inside)  # each word ends at the next of these
    end = np.append(breaks, len(kinds))[np.searchsorted(breaks, first, side="right")]
    formed = np.maximum.accumulate(np.where(kinds == FORMAT, 0, np.arange(len(kinds))))
    end = np.maximum(formed[end - 1], first) + 1
    offsets = np.searchsorted(first, bases)
    base = np.repeat(bases[:-1], np.diff(offsets))
    return np.stack([first - base, end - base], axis=1).astype("int64"), offsets.astype("int64")

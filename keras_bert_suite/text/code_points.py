"""What BERT's normalizer and pre-tokenizer do to each code point, as a table of a few hundred kilobytes.

The table is read off the checkpoint's own normalizer, by running it, and not
off a Unicode database of some other version. It is exact because every step of
that normalizer looks at one code point at a time, but for one: when accents
are stripped, NFD puts neighbouring combining marks into canonical order. The
marks that outlive the stripping are therefore listed with their order.
"""

import functools
from typing import NamedTuple

import numpy as np

__all__ = ["PAGE", "SELF", "CodePointTable", "bert_table"]

#: Code points per page of the table.
PAGE = 256
#: Stands in a replacement for the code point that is replaced.
SELF = -1

LAST = 0x110000
SURROGATES = range(0xD800, 0xE000)
#: Code points of which, in every version of Unicode, a page holds only ideographs, only unassigned or only
#: private ones, all of them treated alike; but for the tags and selectors, and each plane's last page.
UNIFORM = range(0x30000, LAST)
TAGS = range(0xE0000, 0xE0200)
#: Parts the code points handed to a normalizer in one call: a starter that no step changes.
BAR = "|"
#: Marks of the highest and the lowest canonical order above 0.
HIGH_MARK, LOW_MARK = "\u0345", "\u0334"
SPACE = ord(" ")


class CodePointTable(NamedTuple):
    """Replacements of all code points: spaces part the words, punctuation stands alone.

    Code point `c` becomes replacement `r = entries[pages[c // PAGE] * PAGE + c % PAGE]`,
    which is `values[splits[r]:splits[r + 1]]`.

    Args:
        pages: int32 `(LAST / PAGE,)`. Equal pages are stored once.
        entries: int32 `(pages stored * PAGE,)`.
        values: int32. Code points, or `SELF`.
        splits: int64 `(R + 1,)`.
        starts_run: int32 `(R,)`; 1 where a replacement parts the marks before it from those after it.
        num_with_self: int. The replacements before this one hold `SELF`, once; the others do not.
        first_marked: int. Replacements from this one on hold a mark of `marks`.
        marks: int32 `(M,)`, ascending. Combining marks that NFD may reorder and that are not stripped.
        mark_orders: int32 `(M,)`, above 0. Within a run, marks stand in ascending order.
    """

    pages: np.ndarray
    entries: np.ndarray
    values: np.ndarray
    splits: np.ndarray
    starts_run: np.ndarray
    num_with_self: int
    first_marked: int
    marks: np.ndarray
    mark_orders: np.ndarray


@functools.lru_cache(maxsize=4)
def bert_table(lowercase, strip_accents, split_chinese):
    """Compute the table of a `BertNormalizer` (with `clean_text`) and the `BertPreTokenizer`.

    Args:
        lowercase, strip_accents, split_chinese: bool, bool or None, bool; the normalizer's options.
    Returns:
        `CodePointTable`.
    Raises:
        ValueError: if some code point cannot be put into a table of this form.
    """
    from tokenizers.normalizers import BertNormalizer

    normalizer = BertNormalizer(
        clean_text=True, handle_chinese_chars=split_chinese, strip_accents=strip_accents, lowercase=lowercase
    )
    strips = lowercase if strip_accents is None else strip_accents
    code_points = _examined_code_points()
    chars = list(map(chr, code_points))
    outputs = _apart(normalizer, chars)
    marks, runless = _reordered_marks(chars, outputs) if strips else ({}, set())
    separated = _separated(set("".join(output for output in outputs if len(output) < 3 or output[0] != " ")))

    # Sorted by these, replacements with SELF, which is below all code points, come first; those with marks, last.
    plain, ideograph = (False, False, (SELF,), True), (False, False, (SPACE, SELF, SPACE), True)
    special = separated.keys() | marks.keys() | runless
    keys = []  # (holds a mark, lacks SELF, replacement, starts a run) of each code point
    for char, output in zip(chars, outputs, strict=True):
        if output == char and char not in special:
            keys.append(plain)
        elif len(output) == 3 and output[1] == char and output[0] == output[2] == " ":
            keys.append(ideograph)
        else:
            values = [value for part in output for value in separated.get(part, (ord(part),))]
            _check_order(char, [part in marks for part in output])
            marked = not marks.keys().isdisjoint(output)
            if not marked and values.count(ord(char)) == 1:
                values[values.index(ord(char))] = SELF
            keys.append((marked, SELF not in values, tuple(values), char not in runless))
    numbers = {key: number for number, key in enumerate(sorted(set(keys)))}
    stored, pages = _paged(code_points, [numbers[key] for key in keys])
    lengths = [len(replacement) for _, _, replacement, _ in numbers]
    return CodePointTable(
        pages=pages,
        entries=stored,
        values=np.array([value for _, _, replacement, _ in numbers for value in replacement], np.int32),
        splits=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        starts_run=np.array([starts for *_, starts in numbers], np.int32),
        num_with_self=sum(SELF in replacement for _, _, replacement, _ in numbers),
        first_marked=sum(not marked for marked, *_ in numbers),
        marks=np.array([ord(mark) for mark in sorted(marks)], np.int32),
        mark_orders=np.array([marks[mark] for mark in sorted(marks)], np.int32),
    )


def _examined_code_points():
    """All code points but surrogates; of a uniform page only the first."""
    code_points = [code for code in range(UNIFORM.start) if code not in SURROGATES]
    for first in range(UNIFORM.start, LAST, PAGE):
        whole = first in TAGS or first % 0x10000 == 0x10000 - PAGE
        code_points.extend(range(first, first + PAGE) if whole else [first])
    return code_points


def _paged(code_points, numbers):
    """Spread the numbers over all code points and store equal pages once: `(entries, pages)`."""
    table = np.full(LAST, -1, np.int32)
    table[code_points] = numbers
    table = table.reshape(-1, PAGE)
    table = np.where(table < 0, table[:, :1], table).clip(0)  # surrogates, never looked up, come out as 0
    places = {}
    pages = [places.setdefault(page.tobytes(), len(places)) for page in table]
    return np.frombuffer(b"".join(places), np.int32), np.array(pages, np.int32)


def _apart(normalizer, chars, before="", after=""):
    """Normalize each character between two given strings, all in one call."""
    asked = [char for char in chars if char != BAR]
    outputs = normalizer.normalize_str(BAR.join(before + char + after for char in asked)).split(BAR)
    if len(asked) < len(chars):
        outputs.insert(chars.index(BAR), before + BAR + after)
    return outputs


def _separated(chars):
    """Characters that do not stay inside a word, with what to put: a space, or themselves between spaces."""
    from tokenizers.pre_tokenizers import BertPreTokenizer

    text = "a" + "a".join(chars) + "a"  # the characters stand at the odd positions
    inside = np.zeros(len(text), bool)
    separated = {}
    for word, (start, end) in BertPreTokenizer().pre_tokenize_str(text):
        inside[start:end] = True
        if len(word) == 1 and start % 2:
            separated[word] = (SPACE, ord(word), SPACE)
    separated.update((text[gap], (SPACE,)) for gap in np.flatnonzero(~inside))
    return separated


def _reordered_marks(chars, outputs):
    """The marks that outlive stripping, with their order, and the characters that do not part marks."""
    import unicodedata

    from tokenizers.normalizers import NFD, BertNormalizer

    nfd = NFD()
    cleaner = BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    removed = [char for char, output in zip(chars, outputs, strict=True) if not output]
    cleaned = [char for char, output in zip(removed, _apart(cleaner, removed), strict=True) if not output]
    # Python may know another version of Unicode: characters it does not know yet are asked about as well.
    asked = [char for char in chars if char < "\U00020000" and unicodedata.category(char) in ("Mn", "Mc", "Me", "Cn")]
    ordered = _apart(nfd, asked, f"a{HIGH_MARK}", LOW_MARK)
    nonstarters = {
        char for char, text in zip(asked, ordered, strict=True) if text.index(LOW_MARK) < text.index(HIGH_MARK)
    }
    surviving = [char for char, output in zip(chars, outputs, strict=True) if char in nonstarters and output]
    pairs = [first + second for first in surviving for second in surviving]
    orders = dict.fromkeys(surviving, 1)
    for pair, text in zip(pairs, _apart(nfd, pairs, "a"), strict=True):
        orders[pair[0]] += text != "a" + pair  # one more that must stand before this one
    return orders, nonstarters.union(cleaned)


def _check_order(char, marked):
    if sorted(marked) != marked:
        raise ValueError(f"U+{ord(char):04X} normalizes to a mark before a letter, which a table cannot reorder")

"""Writes character_table.txt: what BERT's normalizer, and our rule of words, do to every code point.

The tokenizers for the device read it, so that their answers do not depend on
the Unicode version of a phone or a browser. Each fact is read off Hugging Face
`tokenizers` by running it.

Run from the repository root: python examples/on_device/make_character_table.py
"""

import sys
import unicodedata
from pathlib import Path

import numpy as np
import tokenizers
from tokenizers.normalizers import NFD, BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from keras_bert_suite.data import words

#: Parts the code points handed to a normalizer in one call: a starter that no step changes.
BAR = "|"
#: Marks of the highest and the lowest canonical combining class above 0.
HIGH_MARK, LOW_MARK = "\u0345", "\u0334"
POINTS = [*range(0xD800), *range(0xE000, sys.maxunicode + 1)]
CHARS = [chr(point) for point in POINTS]
HANGUL = range(0xAC00, 0xD7A4)
OFF = {"clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False}

HEADER = f"""\
# What each code point is to BERT's tokenizer. Made by make_character_table.py with tokenizers {tokenizers.__version__}
# and, for words, Unicode {unicodedata.unidata_version}. A line is a name, then items first[-last][:value[,value]],
# all in hexadecimal. Of a range with a value, each next code point has the next value; in order, all have the same.
"""


def apart(normalizer, texts):
    """Normalize texts, none with a bar in it, in one call."""
    return normalizer.normalize_str(BAR.join(texts)).split(BAR)


def changed(**options):
    """`(code point, result)` of what a normalizer with one step changes."""
    asked = [char for char in CHARS if char != BAR]
    results = apart(BertNormalizer(**OFF | options), asked)
    return [(ord(char), result) for char, result in zip(asked, results, strict=True) if result != char]


def decompositions():
    """`(code point, values)` of NFD, without Hangul, which has a formula."""
    asked = [char for char in CHARS if char != BAR and ord(char) not in HANGUL]
    results = apart(NFD(), asked)
    return [(ord(c), list(map(ord, result))) for c, result in zip(asked, results, strict=True) if result != c]


def orders():
    """`(code point, canonical combining class)` of what NFD reorders, found by comparison with marks of known class."""
    nfd = NFD()
    candidates = [char for char in CHARS if unicodedata.category(char)[0] in "MC" and nfd.normalize_str(char) == char]
    # Between a mark of the highest class and one of the lowest, a starter keeps them apart.
    tried = apart(nfd, [f"a{HIGH_MARK}{char}{LOW_MARK}" for char in candidates])
    marks = [char for char, text in zip(candidates, tried, strict=True) if text.index(LOW_MARK) < text.index(HIGH_MARK)]
    known = {unicodedata.combining(mark): mark for mark in marks if unicodedata.combining(mark)}
    found = {}
    for order, other in known.items():
        before, after = (apart(nfd, ["a" + text for text in texts]) for texts in (
            [other + mark for mark in marks], [mark + other for mark in marks]
        ))  # fmt: skip
        for mark, one, two in zip(marks, before, after, strict=True):
            if one == f"a{other}{mark}" and two == f"a{mark}{other}":
                found[ord(mark)] = order
    if len(found) < len(marks):
        raise ValueError("some mark has the class of no mark that this Python knows; use a newer Python")
    return sorted(found.items())


def ranges(points):
    """Items of runs of code points; surrogates, which no text has, do not break a run."""
    runs = []
    for point in points:
        if runs and point == (0xE000 if runs[-1][1] == 0xD7FF else runs[-1][1] + 1):
            runs[-1][1] = point
        else:
            runs.append([point, point])
    return [item(*run) for run in runs]


def item(first, last, values=()):
    span = f"{first:x}" if first == last else f"{first:x}-{last:x}"
    return span + (":" + ",".join(f"{value:x}" for value in values) if values else "")


def mapping(pairs, step):
    """Items of code points with values; neighbours share one where their single values go on by `step`."""
    runs = []
    for point, values in pairs:
        if runs and len(values) == 1 == len(runs[-1][2]):
            first, last, before = runs[-1]
            if point == last + 1 and values[0] == before[0] + step * (point - first):
                runs[-1][1] = point
                continue
        runs.append([point, point, values])
    return [item(*run) for run in runs]


def sections():
    """Dict from each name to its items."""
    clean = changed(clean_text=True)
    classes = {"deleted": [point for point, text in clean if not text]}
    classes["space"] = [*(point for point, text in clean if text), ord(" ")]
    classes["ideograph"] = [point for point, _ in changed(handle_chinese_chars=True)]
    classes["stripped"] = [point for point, text in changed(strip_accents=True) if not text]
    classes["punctuation"] = [
        ord(text) for text, _ in BertPreTokenizer().pre_tokenize_str("a" + "a".join(CHARS) + "a") if text != "a"
        and len(text) == 1
    ]  # fmt: skip
    kinds = words.character_kinds()
    for name, kind in (("run", [words.RUNS]), ("alone", [words.ALONE]), ("attached", [words.ATTACHED, words.FORMAT])):
        classes[name] = [
            point for point in np.flatnonzero(np.isin(kinds, kind)).tolist() if not 0xD800 <= point < 0xE000
        ]
    classes["mark"] = [point for point in POINTS if unicodedata.category(chr(point))[0] == "M"]
    found = {name: ranges(sorted(points)) for name, points in classes.items()}
    found["lower"] = mapping([(point, list(map(ord, text))) for point, text in changed(lowercase=True)], 1)
    found["decomposed"] = mapping(decompositions(), 1)
    found["order"] = mapping([(point, [order]) for point, order in orders()], 0)
    return found


def table():
    """The text of the file."""
    return HEADER + "".join(" ".join([name, *items]) + "\n" for name, items in sections().items())


if __name__ == "__main__":
    Path(__file__).with_name("character_table.txt").write_text(table(), encoding="ascii")

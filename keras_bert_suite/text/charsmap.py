"""SentencePiece's compiled normalizer rules, made of a normalizer of Hugging Face.

Rules are kept as a trie in one array of 32-bit units, then the replacements.
A unit holds the byte that leads to it, whether a rule ends there, and where
its children lie, which are found at that place xor their own byte.
"""

import json
import struct

import numpy as np

from keras_bert_suite.text.engines import PROBE

__all__ = ["compile_rules", "rules_of_normalizer"]

#: Units in a block; the children of one unit lie in one block.
BLOCK = 256
#: How many of the last blocks are looked at for room.
OPEN_BLOCKS = 16
#: Set in a unit that holds a value instead of children, and so has no byte that could lead to it.
VALUE = 1 << 31
ENDS = 1 << 8
#: Code points that a normalizer may change: beyond them Unicode has only ideographs, private and unassigned ones.
EXAMINED = [*range(0xD800), *range(0xE000, 0x30000), *range(0xE0000, 0xE1000)]
#: White space that parts words in Hugging Face's pre-tokenizers; SentencePiece's know the space alone.
WHITE = str.maketrans(dict.fromkeys("\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000\t\n\x0b\x0c\r", " "))
#: Pairs that stand for one character in writing and so may have a rule together.
PAIRS = ("``", "''", "\r\n")


def rules_of_normalizer(section):
    """The rules that do what a normalizer of Hugging Face does, applied longest first from left to right.

    Nearly all of these work on one character at a time; where one does not, a
    comparison on hard texts tells.

    Args:
        section: dict. The `normalizer` of a `tokenizer.json`.
    Returns:
        dict from str to str; None where no rules can do it.
    """
    from tokenizers import Tokenizer, models

    content = json.loads(Tokenizer(models.BPE()).to_str())
    normalizer = Tokenizer.from_str(json.dumps({**content, "normalizer": section})).normalizer

    def normalize(text):
        return normalizer.normalize_str(text).translate(WHITE)

    rules = {char: result for char in map(chr, EXAMINED) if (result := normalize(char)) != char}
    for key in PAIRS:
        if normalize(key) != _applied(rules, key):
            rules[key] = normalize(key)
    # Spaces at the ends and repeated ones are SentencePiece's own business.
    same = all(_applied(rules, probe).split() == normalize(probe).split() for probe in PROBE)
    return rules if same else None


def compile_rules(rules):
    """The `precompiled_charsmap` of rules.

    Args:
        rules: dict from str to str, neither with a NUL in it.
    Returns:
        bytes.
    """
    values, replacements, size = {}, [], 0
    for text in dict.fromkeys(rules.values()):
        values[text] = size
        replacements.append(text.encode("utf-8") + b"\0")
        size += len(replacements[-1])
    trie = {}
    for key, text in rules.items():
        node = trie
        for byte in key.encode("utf-8"):
            node = node.setdefault(byte, {})
        node[0] = values[text]  # no key holds the byte 0, so it marks the end of one
    units = _place(trie)
    return struct.pack("<I", units.nbytes) + units.tobytes() + b"".join(replacements)


def _place(trie):
    """Lay a trie out in an array: uint32 `(whole blocks,)`."""
    units, free = [], []  # free: of each block, the places that are
    bases = {0}  # places from which some unit's children are found; SentencePiece keeps 0 for none
    waiting = [(0, trie)]
    while waiting:
        place, node = waiting.pop()
        base = next((base for block in free[-OPEN_BLOCKS:] for base in _bases(list(node), block, bases)), None)
        if base is None:
            free.append(dict.fromkeys(range(max(1, len(units)), len(units) + BLOCK)))  # 0 is the root
            units.extend([VALUE] * BLOCK if units else [0, *[VALUE] * (BLOCK - 1)])
            base = next(_bases(list(node), free[-1], bases))
        bases.add(base)
        units[place] |= (place ^ base) << 10 | (ENDS if 0 in node else 0)
        for label, child in node.items():
            child_place = base ^ label
            del free[child_place // BLOCK][child_place]
            units[child_place] = VALUE | child if label == 0 else label
            if label:
                waiting.append((child_place, child))
    return np.array(units, "<u4")


def _bases(labels, free, bases):
    """The places from which every label leads to a free unit of a block and which no other unit has."""
    for place in free:
        base = place ^ labels[0]
        if base not in bases and all(base ^ label in free for label in labels):
            yield base


def _applied(rules, text):
    """Text with the longest rule applied at each place."""
    longest, at, out = 8, 0, []
    while at < len(text):
        key = next((text[at : at + n] for n in range(longest, 0, -1) if text[at : at + n] in rules), None)
        out.append(text[at] if key is None else rules[key])
        at += len(key or " ")
    return "".join(out)

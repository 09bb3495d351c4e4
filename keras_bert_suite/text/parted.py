"""Spaces around the ideographs of many texts at once, as BERT's normalizer will put them anyway."""

import itertools

import numpy as np

__all__ = ["part_ideographs", "parts_ideographs"]

#: Texts to hand over at a time, so that the arrays stay small.
ROWS = 8192
#: Ranges of ideographs: some of those that BERT's normalizer parts, and none but those.
IDEOGRAPHS = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2A6DF))
FIRST = IDEOGRAPHS[0][0]


def parts_ideographs(content):
    """Whether more spaces around ideographs leave the ids of a tokenizer as they are.

    Args:
        content: dict. A `tokenizer.json`.
    """
    normalizer = content.get("normalizer") or {}
    return (
        normalizer.get("type") == "BertNormalizer"
        and bool(normalizer.get("handle_chinese_chars"))
        and (content.get("pre_tokenizer") or {}).get("type") == "BertPreTokenizer"
        and not any(
            token["single_word"] or any(ord(char) >= FIRST or char.isspace() for char in token["content"])
            for token in content.get("added_tokens") or ()
        )
    )


def part_ideographs(texts):
    """Put a space before and after every ideograph.

    Args:
        texts: list of str, valid Unicode.
    Returns:
        list of str; the very list where there is nothing to part.
    """
    chunks = [_part(texts[first : first + ROWS]) for first in range(0, len(texts), ROWS)]
    if all(chunk is None for chunk in chunks):
        return texts
    for index, first in enumerate(range(0, len(texts), ROWS)):
        if chunks[index] is None:
            chunks[index] = texts[first : first + ROWS]
    return list(itertools.chain.from_iterable(chunks))


def _part(texts):
    """The texts parted, or None where there is nothing to part."""
    joined = "".join(texts)
    if joined.isascii():
        return None
    codes = np.frombuffer(joined.encode("utf-32-le"), np.uint32)  # (characters,)
    found = np.flatnonzero(codes >= FIRST)
    if not len(found):
        return None
    offsets = np.zeros(len(texts) + 1, np.int64)
    np.cumsum([len(text) for text in texts], out=offsets[1:])
    if len(found) < len(codes) // 16:
        rows = np.unique(np.searchsorted(offsets, found, side="right") - 1).tolist()
        if len(rows) < len(texts) // 2:  # The others stay as they are.
            parted = list(texts)
            for row, text in zip(rows, _part([texts[row] for row in rows]), strict=True):
                parted[row] = text
            return parted
    ideographs = np.zeros(len(codes), bool)
    for first, last in IDEOGRAPHS:
        ideographs |= (codes - np.uint32(first)) <= last - first  # below the first it wraps around
    ends = np.zeros(len(codes) + 1, np.int64)
    np.cumsum(ideographs * np.int8(2) + np.int8(1), out=ends[1:])
    parted = np.full(ends[-1], ord(" "), np.uint32)
    parted[ends[1:] - 1 - ideographs] = codes
    parted = parted.tobytes().decode("utf-32-le")
    return [parted[start:end] for start, end in itertools.pairwise(ends[offsets].tolist())]

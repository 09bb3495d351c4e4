"""Vocabularies and texts on which tokenizers differ, made here so that every test can have them."""

import random
import sys
import unicodedata

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

#: The three kinds of BERT vocabulary, as options of `WordPieceTokenizer`.
KINDS = {
    "uncased": {"lowercase": True},
    "cased": {"lowercase": False},
    "no_chinese_split": {"lowercase": True, "strip_accents": False, "split_chinese": False},
    "cased_stripped": {"lowercase": False, "strip_accents": True},
}

PIECES = [
    "un",
    "##aff",
    "##able",
    "hello",
    "world",
    "the",
    "##ing",
    "##s",
    "cafe",
    "ab",
    "##ab",
    "##b",
    "##ba",
    "strasse",
]

#: Where rules about case, accents, order, width, joining and control characters meet.
INTERESTING = [
    *"aAzZeE019 .,!?'\"-_#[]()\t\n\r\x00\x01\x02\x0e\x1b\x0b\x0c\x1f\x7f\x85\xa0\xad",
    *"éÉüßẞİıſσςΣΐŉǰﬁﬀǅⅣ²½…–—“”‘’€£·¿",
    *"\u0300\u0301\u0307\u0308\u0323\u0327\u0334\u0345\u0344\u0340\u0f73\u0f71\u0f72\u0f74\u0fb2\u0f81",
    *"\u0898\u08d4\u08d5\u08e1\u1b44\u1baa\u1bf2\u1dfb\u302e\u302f\ua953\u1b35\u1b05\u09c7\u09be\u0bc6\u0bd7",
    *"\U000116b6\U000111c0\U0001134d\U0001d157\U0001d165\U0001d16e\U0001d15e\U0001d160\U0001d1bd\U0001d166\U0001d16d",
    *"\U0001e000\U0001e006\U0001e944\U0001e94a\U0001e922\U0001e900\U00011c3f\U00010a0f\u093c\u0958\u0915\u0903\u093a",
    *"\u1100\u1161\u11a8\uac00\uac01\ud7a3\uffa1\u4e00\u9fff\u3400\uf900\ufa0e\U00020000\U0002f800\u3042\u304c\u3099",
    *"\u2028\u2029\u200b\u200c\u200d\u2060\ufeff\ufffd\u202e\u180e\u3000\u1680\ue000\uffff\u0378\u2126\u212b\u1e9b",
    *"\U0001f600\U0001f469\u2764\ufe0f\U0001f1e9\U000e0061\U000e0100\U000f0000\U0010ffff\U0003fffe\U00050000",
]


def vocabulary():
    """A WordPiece vocabulary of every assigned character but Hangul syllables and rare ideographs, and a few pieces."""
    chars = [
        chr(code)
        for code in range(0x21, 0x20000)
        if not 0xAC00 <= code <= 0xD7A3 and unicodedata.category(chr(code))[0] not in "C"
    ]
    tokens = [*SPECIALS, *chars, *("##" + char for char in chars), *PIECES]
    return list(dict.fromkeys(tokens))


def small_vocabulary():
    """The same of the interesting characters alone, for tests in which the size is no matter."""
    chars = sorted(
        {char for char in INTERESTING if char.isprintable() and not char.isspace()} | set("abcdefghijklmnop")
    )
    return list(dict.fromkeys([*SPECIALS, *chars, *("##" + char for char in chars), *PIECES]))


def random_texts(count, seed, longest=40):
    """Texts of interesting and of arbitrary code points, special tokens and words, reproducibly random."""
    rng = random.Random(seed)
    words = [*SPECIALS, "[sep]", "[ MASK ]", "hello", "unaffable", "a" * 99, "x" * 101, "é" * 101, "e\u0301" * 100]
    texts = []
    for _ in range(count):
        parts = []
        for _ in range(rng.randrange(longest)):
            choice = rng.random()
            if choice < 0.75:
                parts.append(rng.choice(INTERESTING))
            elif choice < 0.9:
                parts.append(_any_character(rng))
            else:
                parts.append(rng.choice(words))
        texts.append("".join(parts))
    return texts


def every_character():
    """All 1,112,064 code points that text can hold."""
    return [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code <= 0xDFFF]


def _any_character(rng):
    while True:
        code = rng.randrange(rng.choice((0x250, 0x3100, 0x10000, 0x20000, sys.maxunicode + 1)))
        if not 0xD800 <= code <= 0xDFFF:
            return chr(code)

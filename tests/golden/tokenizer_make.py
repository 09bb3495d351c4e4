"""Writes tokenizer_own.json: what Hugging Face `tokenizers` makes of hard strings, under a small vocabulary of ours.

Run from the repository root: python -m tests.golden.tokenizer_make
"""

import json
from pathlib import Path

import tokenizers

from keras_bert_suite.text.definition import from_vocabulary
from tests.text.hard_text import KINDS, random_texts, small_vocabulary

TEXTS = [
    "",
    " ",
    "Hello, world!",
    "Unaffable unaffables; the cafés' CAFÉ",
    "Straße STRASSE ẞ ﬁ ŉ ǰ İ ı ς Σ",
    "a[SEP]b [sep] [MASK]] [ MASK ] [UNK][PAD]",
    "tab\tnew\nline\r\x00\x0b\x0c\x85\u2028end \u200bz\xadz \ufffd",
    "ab" * 50,
    "ab" * 50 + "b",
    "é" * 100 + " " + "e\u0301" * 101,
    "一二三abc四\uf900\U00020000 가각 \u1100\u1161\u11a8",
    "o\u1b44\u08d4 o\u08d4\u1b44 \U0001d157\U0001d165\U0001d16e\U0001d15e",
    "👩\u200d💻 🇩🇪 ❤\ufe0f",
]


def cases(kind):
    """Each text, and some pairs, as `tokenizers` encodes them."""
    definition = from_vocabulary(small_vocabulary(), **KINDS[kind])
    tokenizer = tokenizers.Tokenizer.from_str(definition.to_json())
    texts = TEXTS + random_texts(20, seed=7, longest=16)
    for text, pair in [(text, None) for text in texts] + list(zip(TEXTS, TEXTS[::-1], strict=True)):
        encoding = tokenizer.encode(text, pair)
        yield {
            "text": text,
            "pair": pair,
            "ids": encoding.ids,
            "segment_ids": encoding.type_ids,
            "offsets": encoding.offsets,
            "decoded": tokenizer.decode(encoding.ids),
        }


if __name__ == "__main__":
    golden = {
        "made_with": f"tokenizers {tokenizers.__version__}: python -m tests.golden.tokenizer_make",
        "vocabulary": small_vocabulary(),
        "cases": {kind: list(cases(kind)) for kind in KINDS},
    }
    Path(__file__).with_name("tokenizer_own.json").write_text(json.dumps(golden, ensure_ascii=True) + "\n")

"""The two libraries that turn text into ids: Hugging Face `tokenizers`, the reference, and nanotoken, the fast one.

Both are driven from the same `tokenizer.json`. nanotoken is used only where a
probe of hard strings shows that it agrees; the sweep over every code point in
the tests is what backs that probe.
"""

import itertools
import json

import numpy as np

from keras_bert_suite.text.parted import part_ideographs, parts_ideographs

__all__ = ["FastEngine", "ReferenceEngine", "fast_engine", "probe_texts", "reference_tokenizer"]

#: Strings on which careless tokenizers differ: case, accents, CJK, controls, spaces, specials in the text, long words.
PROBE = (
    "",
    " ",
    "Hello, world! It's 3.14 o'clock; the cost: $5 (or 4\u20ac)\u2026",
    "na\u00efve caf\u00e9 R\u00c9SUM\u00c9 \u00dcn\u00efc\u00f6d\u00e9 Stra\u00dfe \u1e9e",
    "\ufb01nal \u0130stanbul \u0131 \u01c5",
    "e\u0301\u0327 e\u0327\u0301 \u0344 \u212b \u2126 \u1e9b\u0323 \u0f73\u0f71",
    "\u039f\u0394\u03a5\u03a3\u03a3\u0395\u03a5\u03a3 \u03c3\u03c2 \u0421\u044a\u0435\u0448\u044c \u0439\u043e\u0433",
    "\u4eca\u5929\u5929\u6c14\u5f88\u597d2024\u5e74\uff0c\u3002\u300c\u3042\u30a2\uff71\u300d",
    "\U00020000\uf900 \ud55c\uad6d\uc5b4 \u1100\u1161\u11a8",
    "tab\tnew\nline\r\nnul\x00ctl\x01\x0b\x0c\x1f\x7f\x85\xa0\u2028\u200b\u200d\u202e\u2060\ufeff\ufffd\xadend",
    "\U0001f469\u200d\U0001f4bb \U0001f1e9\U0001f1ea \u2764\ufe0f \u263a",
    "\u0939\u093f\u0928\u094d\u0926\u0940 \u0e44\u0e17\u0e22 \u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u05d0\u05b8",
    "[CLS] a[SEP]b [MASK][mask] [ UNK ] [UNK][PAD]] <s></s>",
    "x" * 100,
    "x" * 101,
    "\u00e9" * 100 + " " + "e\u0301" * 101 + " " + "\u4e00" * 120,
    "\u08d3\u0898\U0001e000\U0001e944 \u1df6\u1df7 \U00016fe4 \ua7ba \U0001fac0 \u2e53 \U00011a3f",
    "\ue000\U000f0000 \u0378 \U0003fffe \uffff",
    "_under_score-hy-phen\u2014dash \u201cquoted\u201d \u2018single\u2019 a/b\\c `~^|<>=+",
)


def probe_texts(tokenizer):
    """list of str: `PROBE`, and each token that is matched whole, inside a word and in lower case."""
    return [*PROBE, *(f"a{token['content']}B {token['content'].lower()}" for token in tokenizer.added_tokens)]


def reference_tokenizer(definition_json):
    """The `tokenizers.Tokenizer` of a `tokenizer.json` text, without truncation or padding of its own."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(definition_json)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


class ReferenceEngine:
    """Encodes with Hugging Face `tokenizers`.

    Args:
        tokenizer: `tokenizers.Tokenizer`.
    """

    name = "tokenizers"

    def __init__(self, tokenizer):
        self._tokenizer = tokenizer

    def encode(self, texts):
        """Encode without special tokens.

        Args:
            texts: list of str, valid Unicode.
        Returns:
            `(token_ids, offsets)`: int32 `(N,)` and int64 `(B + 1,)`.
        """
        rows = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        return np.fromiter(itertools.chain.from_iterable(rows), np.int32, offsets[-1]), offsets


class FastEngine:
    """Encodes with nanotoken; the same ids, dozens of times as fast.

    Args:
        definition_json: str. A `tokenizer.json`.
    Raises:
        ImportError: if nanotoken is not installed.
        nanotoken.UnsupportedTokenizerError: if it cannot run this tokenizer.
    """

    name = "nanotoken"

    def __init__(self, definition_json):
        import nanotoken

        self._tokenizer = nanotoken.Tokenizer.from_json(definition_json)
        self._part = parts_ideographs(json.loads(definition_json))

    def encode(self, texts):
        """As `ReferenceEngine.encode`."""
        if self._part:  # It remembers words, which Chinese has only where spaces make them: thrice as fast.
            texts = part_ideographs(texts)
        rows = self._tokenizer.encode_batch(texts, add_special_tokens=False)
        return rows.ids.view(np.int32), rows.offsets


def fast_engine(definition_json, reference, extra_probes=()):
    """The `FastEngine` of a tokenizer, or None where it is absent, refuses or disagrees.

    Args:
        definition_json: str. A `tokenizer.json`.
        reference: `ReferenceEngine` of the same file.
        extra_probes: strs to compare besides the built-in ones, e.g. the special tokens.
    """
    try:
        engine = FastEngine(definition_json)
    except (ImportError, ValueError):  # UnsupportedTokenizerError is a ValueError
        return None
    probes = [*PROBE, *extra_probes]
    ours, theirs = engine.encode(probes), reference.encode(probes)
    agree = all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
    return engine if agree else None

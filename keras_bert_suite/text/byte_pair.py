"""Byte-level BPE: the tokenizer of RoBERTa and ModernBERT, and of files like GPT-2's."""

import json

from keras_bert_suite.files import replaced_file
from keras_bert_suite.text.definition import from_merges
from keras_bert_suite.text.tokenizer import Tokenizer

__all__ = ["BytePairTokenizer"]


class BytePairTokenizer(Tokenizer):
    """Merge the UTF-8 bytes of words, pair by pair, into tokens of a vocabulary.

    Unlike WordPiece it can spell every text, keeps case and spaces, and a
    word's first token holds the space before the word (spelled `\u0120`).

    Args:
        vocab: dict from token to id.
        merges: list of pairs of tokens, or of str `"first second"`; the first are merged first.
        add_prefix_space: bool. Put a space before each text, so that its
            first word is like the others. Defaults to False.
        trim_offsets: bool. Whether the span of a token leaves out the space
            that begins it. Defaults to True.
        unk_token, cls_token, sep_token, pad_token, mask_token: str. Spellings
            of the special tokens; all but the mask must be in `vocab`.
        max_length: optional int, in tokens; kept as a fact.
    Raises:
        DataError: if the vocabulary is empty, lacks a special token or a part of a merge.
    Source: Radford et al. 2019, section 2.2; Liu et al. 2019, section 4.4.

    Example:
    >>> vocab = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "a": 4, "b": 5, "\u0120": 6, "ab": 7, "\u0120ab": 8}
    >>> tokenizer = BytePairTokenizer(vocab, ["a b", "\u0120 ab"])
    >>> tokenizer("ab ab")["token_ids"].tolist()
    [[0, 7, 8, 2]]
    """

    kind = "BPE"
    remedy = "Use a RoBERTa-style tokenizer.json, or its vocab.json and merges.txt."

    def __init__(
        self,
        vocab,
        merges,
        add_prefix_space=False,
        trim_offsets=True,
        *,
        unk_token="<unk>",
        cls_token="<s>",
        sep_token="</s>",
        pad_token="<pad>",
        mask_token="<mask>",
        max_length=None,
    ):
        special_tokens = {
            "unk_token": unk_token,
            "cls_token": cls_token,
            "sep_token": sep_token,
            "pad_token": pad_token,
            "mask_token": mask_token,
            "bos_token": cls_token,
            "eos_token": sep_token,
        }
        self._set(from_merges(vocab, merges, add_prefix_space, trim_offsets, special_tokens, max_length=max_length))

    @property
    def merges(self):
        """list of `(first, second)`, the first ones merged first."""
        merges = self.definition.content["model"]["merges"]
        return [tuple(merge.split(" ") if isinstance(merge, str) else merge) for merge in merges]

    def _write_vocabulary(self, directory):
        """Write `vocab.json` and `merges.txt`."""
        with replaced_file(directory / "vocab.json") as file:
            file.write(json.dumps(self.definition.content["model"]["vocab"], ensure_ascii=False))
        with replaced_file(directory / "merges.txt") as file:
            file.write("#version: 0.2\n" + "".join(f"{first} {second}\n" for first, second in self.merges))

"""WordPiece on the host: strings to ids and back, equal to Hugging Face `tokenizers` id for id."""

import json
from pathlib import Path

import numpy as np

from keras_bert_suite.errors import DataError, check_choice, check_positive_int
from keras_bert_suite.files import replaced_file
from keras_bert_suite.text.definition import from_vocabulary, read_definition
from keras_bert_suite.text.engines import ReferenceEngine, fast_engine, reference_tokenizer
from keras_bert_suite.text.frame import Frame
from keras_bert_suite.text.truncation import STRATEGIES, kept_lengths

__all__ = ["WordPieceTokenizer"]


class WordPieceTokenizer:
    """Cut text into the word pieces of a vocabulary and number them.

    Ids and offsets are those of Hugging Face `tokenizers` on the checkpoint's
    own file, which is also what runs; where nanotoken is installed and agrees,
    it makes the ids instead, dozens of times as fast. Nothing is truncated
    unless `max_length` is given.

    Args:
        vocab: list of str (position = id) or dict from token to id.
        lowercase: bool. Lower-case the text. Defaults to True.
        strip_accents: optional bool. Drop accents; None follows `lowercase`.
        split_chinese: bool. Make each CJK character a word. Defaults to True.
        unk_token, cls_token, sep_token, pad_token, mask_token: str. Spellings
            of the special tokens; all but the mask must be in `vocab`.
        max_length: optional int, in tokens. The longest row the model takes;
            kept as a fact, never applied by itself.
    Raises:
        DataError: if the vocabulary is empty, repeats itself or lacks a special token.
    Source: Wu et al. 2016; Devlin et al. 2018, section 3.

    Example:
    >>> tokenizer = WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "un", "##aff", "##able"])
    >>> tokenizer.tokenize("Unaffable!")
    ['un', '##aff', '##able', '[UNK]']
    >>> tokenizer(["unaffable", "un"])["token_ids"].tolist()
    [[2, 4, 5, 6, 3], [2, 4, 3, 0, 0]]
    """

    def __init__(
        self,
        vocab,
        lowercase=True,
        strip_accents=None,
        split_chinese=True,
        *,
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        mask_token="[MASK]",
        max_length=None,
    ):
        special_tokens = {
            "unk_token": unk_token,
            "cls_token": cls_token,
            "sep_token": sep_token,
            "pad_token": pad_token,
            "mask_token": mask_token,
        }
        self._set(
            from_vocabulary(
                vocab, lowercase, strip_accents, split_chinese, special_tokens=special_tokens, max_length=max_length
            )
        )

    @classmethod
    def from_pretrained(cls, path):
        """Open the tokenizer of a checkpoint.

        `tokenizer.json` is read when present, else `vocab.txt`;
        `tokenizer_config.json` and `special_tokens_map.json` beside them are
        obeyed as `transformers` obeys them. Truncation and padding stored in
        `tokenizer.json` are ignored.

        Args:
            path: str or path. A directory, a `tokenizer.json` or a `vocab.txt`.
        Raises:
            DataError: if a file is missing, damaged, or holds another kind of tokenizer.
        """
        tokenizer = cls.__new__(cls)
        tokenizer._set(read_definition(path), path)
        return tokenizer

    def _set(self, definition, path=None):
        self.definition = definition
        self._vocabulary = definition.vocabulary
        self._lazy = {}
        self.max_length = definition.max_length
        try:
            self._reference = reference_tokenizer(definition.to_json())
            self.frame = Frame.from_post_processor(definition.content["post_processor"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{error}. Use a BERT-style tokenizer, or its vocab.txt.", path) from error
        except Exception as error:  # tokenizers raises nothing more special
            raise DataError(f"tokenizers cannot open this tokenizer: {error}. Copy the file anew.", path) from error

    def __getstate__(self):
        return {"definition": self.definition}

    def __setstate__(self, state):
        self._set(state["definition"])

    def __repr__(self):
        return f"WordPieceTokenizer(vocab_size={self.vocab_size}, lowercase={self.lowercase}, engine={self.engine!r})"

    # Vocabulary

    @property
    def vocabulary(self):
        """list of str: the token of each id; an empty string where an id is not used."""
        if "vocabulary" not in self._lazy:
            tokens = [""] * (max(self._vocabulary.values()) + 1)
            for token, token_id in self._vocabulary.items():
                tokens[token_id] = token
            self._lazy["vocabulary"] = tokens
        return self._lazy["vocabulary"]

    @property
    def vocab_size(self):
        """int: the largest id plus one, added tokens included."""
        return len(self.vocabulary)

    @property
    def special_tokens(self):
        """dict from `pad_token`, `unk_token`, `cls_token`, `sep_token`, `mask_token` to their spellings."""
        return dict(self.definition.special_tokens)

    @property
    def added_tokens(self):
        """list of dict: the tokens matched whole in raw text, as `tokenizer.json` spells them."""
        return [dict(token) for token in self.definition.content["added_tokens"]]

    @property
    def pad_token_id(self):
        """int: the id that fills short rows."""
        return self._special_id("pad_token")

    @property
    def unk_token_id(self):
        """int: the id of a word the vocabulary cannot spell."""
        return self._special_id("unk_token")

    @property
    def cls_token_id(self):
        """int: the id that begins a row."""
        return self._special_id("cls_token")

    @property
    def sep_token_id(self):
        """int: the id that ends a text."""
        return self._special_id("sep_token")

    @property
    def mask_token_id(self):
        """int, or None in a vocabulary without a mask token."""
        return self._special_id("mask_token")

    def _special_id(self, name):
        return self._vocabulary.get(self.definition.special_tokens[name])

    def token_to_id(self, token):
        """The id of a token, or None."""
        return self._vocabulary.get(token)

    def id_to_token(self, token_id):
        """The token of an id, or None."""
        token = self.vocabulary[token_id] if 0 <= token_id < self.vocab_size else ""
        return token if token in self._vocabulary else None

    @property
    def normalizer(self):
        """dict: the `normalizer` section of the tokenizer's JSON; empty when it has none."""
        return dict(self.definition.content.get("normalizer") or {})

    @property
    def lowercase(self):
        """bool: whether text is lower-cased."""
        kinds = [self.normalizer, *self.normalizer.get("normalizers", ())]
        return any(kind.get("lowercase", False) or kind.get("type") == "Lowercase" for kind in kinds)

    def to_json(self):
        """The whole tokenizer as the text of a `tokenizer.json`."""
        return self.definition.to_json()

    # Text to ids

    @property
    def engine(self):
        """str: what makes ids when no offsets are wanted, `"nanotoken"` or `"tokenizers"`."""
        return self._engine.name

    @property
    def _engine(self):
        if "engine" not in self._lazy:
            reference = ReferenceEngine(self._reference)
            probes = [f"a{token['content']}B {token['content']}." for token in self.added_tokens]
            self._lazy["engine"] = fast_engine(self.to_json(), reference, probes) or reference
        return self._lazy["engine"]

    def __call__(
        self,
        texts,
        pairs=None,
        *,
        max_length=None,
        truncation="longest_first",
        padding="longest",
        pad_to_multiple_of=None,
        return_offsets=False,
    ):
        """Encode texts, or pairs of texts, into one padded batch.

        Args:
            texts: list of str. A single str is a batch of one.
            pairs: optional list of str, as long as `texts`: the second texts.
            max_length: optional int. Tokens a row may have, special ones
                included. Defaults to no limit.
            truncation: `"longest_first"`, `"only_first"`, `"only_second"`, or
                None to refuse longer rows. Used only with `max_length`.
            padding: `"longest"` (row of the batch) or `"max_length"`.
            pad_to_multiple_of: optional int. Rounds the padded length up.
            return_offsets: bool. Whether to add `offsets`. Slower: only
                `tokenizers` can find them.
        Returns:
            dict of int32 NumPy arrays `(B, T)`: `token_ids`, `segment_ids` and
            `padding_mask` (1 = token); and `offsets` `(B, T, 2)`, first and
            last-plus-one character of each token in its own text, `(0, 0)` for
            special tokens and padding.
        Raises:
            TypeError: if an item is not a str.
            ValueError: if lengths differ, an argument is out of range, or a row cannot be shortened as asked.
        """
        check_choice("WordPieceTokenizer", "padding", padding, ("longest", "max_length"))
        if padding == "max_length" and max_length is None:
            raise ValueError(
                'WordPieceTokenizer: padding="max_length" needs max_length. Received: max_length=None. '
                'Pass max_length, or padding="longest".'
            )
        if pad_to_multiple_of is not None:
            check_positive_int("WordPieceTokenizer", pad_to_multiple_of=pad_to_multiple_of)
        length = max_length if padding == "max_length" else None
        texts, pairs = _checked_texts(texts, pairs)
        if not return_offsets:
            ragged = self._encode(texts, pairs, max_length, truncation)[0]
            return ragged.pad(length=length, pad_to_multiple_of=pad_to_multiple_of)
        ragged, spans = self._encode(texts, pairs, max_length, truncation, return_offsets=True)
        batch = ragged.pad(length=length, pad_to_multiple_of=pad_to_multiple_of)
        batch["offsets"] = np.zeros((*batch["token_ids"].shape, 2), np.int32)
        batch["offsets"][batch["padding_mask"].astype(bool)] = spans
        return batch

    def encode(self, texts, pairs=None, *, max_length=None, truncation="longest_first"):
        """Encode texts once, unpadded, to be batched as often as wanted.

        Args:
            texts, pairs, max_length, truncation: as in `__call__`.
        Returns:
            `Ragged`; its `pad(rows)` gives what `__call__` gives.
        """
        return self._encode(*_checked_texts(texts, pairs), max_length, truncation)[0]

    def tokenize(self, text):
        """The pieces of one text, without special tokens around it.

        Args:
            text: str.
        Returns:
            list of str.
        """
        _checked_texts([text], None)
        return self._reference.encode(text, add_special_tokens=False).tokens

    def _encode(self, texts, pairs, max_length, truncation, return_offsets=False):
        """A `Ragged`, and int32 `(N, 2)` offsets or None, of checked texts."""
        budget = self._budget(max_length, truncation, pairs is not None)
        encode = self._encode_with_offsets if return_offsets else self._engine.encode
        sides, spans = [], []
        for name, column in (("texts", texts), ("pairs", pairs)):
            if column is not None:
                token_ids, offsets, *span = _explained(encode, column, name)
                sides.append((token_ids, offsets))
                spans.extend((one, offsets) for one in span)
        kept = [np.diff(offsets) for _, offsets in sides]
        if budget is not None and truncation is None:
            _check_fits(sum(kept) + self.frame.size(len(sides) == 2), max_length)
        elif budget is not None:
            kept = kept_lengths(kept, budget, truncation)
        ragged = self.frame.build(sides, kept, self.pad_token_id)
        if not return_offsets:
            return ragged, None
        return ragged, np.stack([self._framed_spans(spans, kept, axis) for axis in (0, 1)], axis=-1)

    def _budget(self, max_length, truncation, pair):
        """Tokens left for text once the special tokens are in, or None without limit."""
        if truncation is not None:
            check_choice("WordPieceTokenizer", "truncation", truncation, (*STRATEGIES, None))
        if max_length is None:
            return None
        check_positive_int("WordPieceTokenizer", max_length=max_length)
        size = self.frame.size(pair)
        if max_length < size:
            raise ValueError(
                f"WordPieceTokenizer: max_length must hold the {size} special tokens of a "
                f"{'pair' if pair else 'text'}. Received: max_length={max_length}. Use at least {size + 1}."
            )
        return max_length - size

    def _encode_with_offsets(self, texts):
        """As an engine's `encode`, and int32 `(N, 2)` character offsets."""
        encodings = self._reference.encode_batch(texts, add_special_tokens=False)
        offsets = np.zeros(len(encodings) + 1, np.int64)
        np.cumsum([len(encoding.ids) for encoding in encodings], out=offsets[1:])
        token_ids = [token_id for encoding in encodings for token_id in encoding.ids]
        spans = [span for encoding in encodings for span in encoding.offsets]
        return np.array(token_ids, np.int32), offsets, np.array(spans, np.int32).reshape(-1, 2)

    def _framed_spans(self, spans, kept, axis):
        """One end of every token's span, 0 at the special tokens, laid out as the ids are."""
        zeros = Frame(*[tuple((0,) * len(part) for part in parts) for parts in (self.frame.single, self.frame.pair)], 0)
        sides = [(np.ascontiguousarray(ends[:, axis]), offsets) for ends, offsets in spans]
        return zeros.build(sides, kept, 0).token_ids

    # Ids to text

    def decode(self, token_ids, skip_special_tokens=True):
        """The text of one row of ids, spaces tidied as Hugging Face tidies them.

        Args:
            token_ids: ints `(T,)`. Ids beyond the vocabulary are left out.
            skip_special_tokens: bool. Leave out `[CLS]`, `[PAD]` and the like. Defaults to True.
        Returns:
            str. Not always the text that was encoded: case, accents and spacing are gone.
        """
        return self.batch_decode([token_ids], skip_special_tokens)[0]

    def batch_decode(self, token_ids, skip_special_tokens=True):
        """`decode` for many rows.

        Args:
            token_ids: ints `(B, T)`, or rows of unequal length.
        Returns:
            list of str.
        """
        rows = [np.asarray(row).astype(np.int64).reshape(-1) for row in token_ids]
        for index, row in enumerate(rows):
            if (row < 0).any():
                raise ValueError(f"decode: token ids must be 0 or above. Received: {int(row.min())} in row {index}.")
        return self._reference.decode_batch(
            [row[row < self.vocab_size].tolist() for row in rows], skip_special_tokens=skip_special_tokens
        )

    # Files

    def save_pretrained(self, directory):
        """Write the tokenizer in the Hugging Face layout.

        Writes `tokenizer.json`, `tokenizer_config.json` and, where the ids of
        the vocabulary leave no gap, `vocab.txt`. `transformers` opens them and
        gives the same ids.

        Args:
            directory: str or path. Made when absent; other files in it stay.
        """
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        vocab = self.definition.content["model"]["vocab"]
        tokens = sorted(vocab, key=vocab.get)
        if [vocab[token] for token in tokens] == list(range(len(tokens))) and not any("\n" in t for t in tokens):
            with replaced_file(directory / "vocab.txt") as file:
                file.write("".join(f"{token}\n" for token in tokens))
        with replaced_file(directory / "tokenizer.json") as file:
            file.write(json.dumps(self.definition.content, ensure_ascii=False, indent=2))
        with replaced_file(directory / "tokenizer_config.json") as file:
            file.write(json.dumps(self._settings(), ensure_ascii=False, indent=2) + "\n")

    def _settings(self):
        """What `tokenizer_config.json` says, so that `transformers` rebuilds this very tokenizer."""
        bert = self.normalizer.get("type") == "BertNormalizer" and self.normalizer.get("clean_text", True)
        standard = self.frame == Frame.bert(self.cls_token_id, self.sep_token_id)
        settings = {
            "tokenizer_class": "BertTokenizer" if bert and standard else "PreTrainedTokenizerFast",
            "model_max_length": self.max_length or int(1e30),
            **{
                name: None if self._special_id(name) is None else token
                for name, token in self.definition.special_tokens.items()
            },
            "added_tokens_decoder": {
                str(token["id"]): {name: value for name, value in token.items() if name != "id"}
                for token in self.added_tokens
            },
        }
        if bert:
            settings["do_lower_case"] = self.normalizer["lowercase"]
            settings["strip_accents"] = self.normalizer["strip_accents"]
            settings["tokenize_chinese_chars"] = self.normalizer["handle_chinese_chars"]
        return settings


def _checked_texts(texts, pairs):
    """Lists of str of one length, or an error that names the row."""
    texts = _checked_column(texts, "texts")
    if pairs is None:
        return texts, None
    pairs = _checked_column(pairs, "pairs")
    if len(texts) != len(pairs):
        raise ValueError(
            f"WordPieceTokenizer: texts and pairs must have the same length. "
            f"Received: {len(texts)} texts and {len(pairs)} pairs. Give every text its pair, or none."
        )
    return texts, pairs


def _checked_column(texts, name):
    if isinstance(texts, bytes | dict) or not hasattr(texts, "__iter__"):
        raise TypeError(
            f"WordPieceTokenizer: {name} must be a list of str. Received: {type(texts).__name__}. "
            "Pass the texts as a list, an array or a column."
        )
    texts = [texts] if isinstance(texts, str) else list(texts)
    if set(map(type, texts)) <= {str}:
        return texts
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(
                f"WordPieceTokenizer: {name} must be str. Received: {type(text).__name__} ({text!r:.60}) in row {row}. "
                "Drop missing values, decode bytes, and pass pairs apart as pairs=."
            )
    return list(map(str, texts))


def _explained(encode, texts, name):
    """Run an engine; where it refuses a text that is no valid Unicode, say which row."""
    try:
        return encode(texts)
    except (UnicodeEncodeError, TypeError):
        for row, text in enumerate(texts):
            try:
                text.encode("utf-8")
            except UnicodeEncodeError as error:
                raise ValueError(
                    f"WordPieceTokenizer: {name} must be valid Unicode. Received: the lone surrogate "
                    f"U+{ord(text[error.start]):04X} at character {error.start} of row {row}. "
                    'Read the text as UTF-8 with errors="replace".'
                ) from error
        raise


def _check_fits(lengths, max_length):
    if (lengths > max_length).any():
        row = int(np.argmax(lengths > max_length))
        raise ValueError(
            f"WordPieceTokenizer: rows must fit max_length when truncation is None. Received: row {row} of "
            f"{int(lengths[row])} tokens, max_length={max_length}. "
            'Use truncation="longest_first" or a larger max_length.'
        )

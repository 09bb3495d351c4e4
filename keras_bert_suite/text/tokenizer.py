"""What all tokenizers share: strings to ids and back, equal to Hugging Face `tokenizers` id for id."""

import json
from pathlib import Path

import numpy as np

from keras_bert_suite.errors import DataError, check_choice, check_positive_int
from keras_bert_suite.files import replaced_file
from keras_bert_suite.text import pipeline
from keras_bert_suite.text.engines import ReferenceEngine, reference_tokenizer
from keras_bert_suite.text.frame import Frame
from keras_bert_suite.text.reading import read_definition
from keras_bert_suite.text.truncation import STRATEGIES, kept_lengths

__all__ = ["Tokenizer"]


#: No vocabulary comes near it; a damaged id beyond would only fill the memory.
LARGEST_ID = 10**7


class Tokenizer:
    """Cut text into pieces of a vocabulary and number them.

    The base of `WordPieceTokenizer`, `BytePairTokenizer` and
    `UnigramTokenizer`, which say how a vocabulary alone becomes a tokenizer.
    Ids and offsets are those of Hugging Face `tokenizers` on the checkpoint's
    own file, which is also what runs, unless a faster engine agrees with it.
    Nothing is truncated unless `max_length` is given.
    """

    #: The `model.type` of the `tokenizer.json` that this class runs.
    kind = None
    #: What the errors of damaged files advise.
    remedy = "Use a BERT-style tokenizer."

    @classmethod
    def from_pretrained(cls, path):
        """Open the tokenizer of a checkpoint.

        `tokenizer.json` is read when present, else the vocabulary;
        `tokenizer_config.json` and `special_tokens_map.json` beside them are
        obeyed as `transformers` obeys them. Truncation and padding stored in
        `tokenizer.json` are ignored.

        Args:
            path: str or path. A directory, a `tokenizer.json` or a vocabulary file.
        Raises:
            DataError: if a file is missing, damaged, or holds another kind of tokenizer.
        """
        return cls.from_definition(read_definition(path), path)

    @classmethod
    def from_definition(cls, definition, path=None):
        """Open a tokenizer that is already read.

        Args:
            definition: `text.definition.Definition`.
            path: optional. The file that errors name.
        Raises:
            DataError: if it is damaged or of another kind.
        """
        kind = definition.content["model"]["type"]
        if kind != cls.kind:
            raise DataError(
                f"{cls.__name__} reads {cls.kind} models; this file holds a {kind} model. "
                f"{cls.remedy} load_tokenizer opens every kind.",
                path,
            )
        tokenizer = cls.__new__(cls)
        tokenizer._set(definition, path)
        return tokenizer

    def _set(self, definition, path=None):
        self.definition = definition
        self._vocabulary = definition.vocabulary
        self._lazy = {}
        self.max_length = definition.max_length
        try:
            self._reference = reference_tokenizer(definition.to_json())
            self.frame = Frame.from_post_processor(definition.content.get("post_processor"))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{error}. {self.remedy}", path) from error
        except Exception as error:  # tokenizers raises nothing more special
            raise DataError(f"tokenizers cannot open this tokenizer: {error}. Copy the file anew.", path) from error
        if max(self._vocabulary.values()) > LARGEST_ID:
            raise DataError(f"ids must not be above {LARGEST_ID}; one is {max(self._vocabulary.values())}.", path)
        for token in self.added_tokens:
            if self._reference.token_to_id(token["content"]) != token["id"]:
                raise DataError(
                    f"added tokens must continue the ids of the vocabulary; {token['content']!r} has the id "
                    f"{token['id']}. Number the added tokens from {len(definition.content['model']['vocab'])} on.",
                    path,
                )

    def __getstate__(self):
        return {"definition": self.definition}

    def __setstate__(self, state):
        self._set(state["definition"])

    def __repr__(self):
        name = type(self).__name__
        return f"{name}(vocab_size={self.vocab_size}, lowercase={self.lowercase}, engine={self.engine!r})"

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
        """dict from `pad_token`, `unk_token`, `cls_token`, `sep_token`, `mask_token` to their spellings.

        Further names that the checkpoint has (`bos_token`, ...) are in it too; None stands where it has none.
        """
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
        """int: the id of what the vocabulary cannot spell; None in one that can spell all."""
        return self._special_id("unk_token")

    @property
    def cls_token_id(self):
        """int: the id that begins a row; None where rows have no frame."""
        return self._special_id("cls_token")

    @property
    def sep_token_id(self):
        """int: the id that ends a text; None where rows have no frame."""
        return self._special_id("sep_token")

    @property
    def mask_token_id(self):
        """int, or None in a vocabulary without a mask token."""
        return self._special_id("mask_token")

    def _special_id(self, name):
        return self._vocabulary.get(self.definition.special_tokens.get(name))

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
        kinds = pipeline.parts(self.normalizer)
        return any(kind.get("lowercase", False) or kind.get("type") == "Lowercase" for kind in kinds)

    @property
    def in_graph_obstacle(self):
        """str, or None: what keeps this tokenizer from having a form inside a TensorFlow graph."""
        return f"a {self.kind} tokenizer (WordPiece is supported)"

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
            self._lazy["engine"] = self._fast_engine(ReferenceEngine(self._reference))
        return self._lazy["engine"]

    def _fast_engine(self, reference):
        """The fastest engine that agrees with the reference; nanotoken knows WordPiece only."""
        return reference

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
        check_choice(type(self).__name__, "padding", padding, ("longest", "max_length"))
        if padding == "max_length" and max_length is None:
            raise ValueError(
                f'{type(self).__name__}: padding="max_length" needs max_length. Received: max_length=None. '
                'Pass max_length, or padding="longest".'
            )
        if pad_to_multiple_of is not None:
            check_positive_int(type(self).__name__, pad_to_multiple_of=pad_to_multiple_of)
        length = max_length if padding == "max_length" else None
        texts, pairs = self._checked(texts, pairs)
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
        return self._encode(*self._checked(texts, pairs), max_length, truncation)[0]

    def tokenize(self, text):
        """The pieces of one text, without special tokens around it.

        Args:
            text: str.
        Returns:
            list of str.
        """
        self._checked([text], None)
        return self._reference.encode(text, add_special_tokens=False).tokens

    def _checked(self, texts, pairs):
        return _checked_texts(type(self).__name__, texts, pairs)

    def _encode(self, texts, pairs, max_length, truncation, return_offsets=False):
        """A `Ragged`, and int32 `(N, 2)` offsets or None, of checked texts."""
        budget = self._budget(max_length, truncation, pairs is not None)
        encode = self._encode_with_offsets if return_offsets else self._engine.encode
        sides, spans = [], []
        for name, column in (("texts", texts), ("pairs", pairs)):
            if column is not None:
                token_ids, offsets, *span = _explained(type(self).__name__, encode, column, name)
                sides.append((token_ids, offsets))
                spans.extend((one, offsets) for one in span)
        kept = [np.diff(offsets) for _, offsets in sides]
        if budget is not None and truncation is None:
            _check_fits(type(self).__name__, sum(kept) + self.frame.size(len(sides) == 2), max_length)
        elif budget is not None:
            kept = kept_lengths(kept, budget, truncation)
        ragged = self.frame.build(sides, kept, self.pad_token_id)
        if not return_offsets:
            return ragged, None
        return ragged, np.stack([self._framed_spans(spans, kept, axis) for axis in (0, 1)], axis=-1)

    def _budget(self, max_length, truncation, pair):
        """Tokens left for text once the special tokens are in, or None without limit."""
        if truncation is not None:
            check_choice(type(self).__name__, "truncation", truncation, (*STRATEGIES, None))
        return None if max_length is None else self.frame.room(type(self).__name__, max_length, pair)

    def encode_with_offsets(self, texts):
        """Encode texts alone, without special tokens, and say where each token stands.

        Args:
            texts: list of str.
        Returns:
            `(token_ids, offsets, spans)`: int32 `(N,)`; int64 `(B + 1,)`, text `i`
            has the tokens from `offsets[i]` to `offsets[i + 1]`; int32 `(N, 2)`,
            first and last-plus-one character of each token in its text.
        Raises:
            TypeError: if an item is not a str.
            ValueError: if a text is not valid Unicode.
        """
        texts, _ = self._checked(texts, None)
        return _explained(type(self).__name__, self._encode_with_offsets, texts, "texts")

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

        Writes `tokenizer.json`, `tokenizer_config.json` and the vocabulary in
        the form of its kind. `transformers` opens them and gives the same ids.

        Args:
            directory: str or path. Made when absent; other files in it stay.
        """
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        self._write_vocabulary(directory)
        with replaced_file(directory / "tokenizer.json") as file:
            file.write(json.dumps(self.definition.content, ensure_ascii=False, indent=2))
        with replaced_file(directory / "tokenizer_config.json") as file:
            file.write(json.dumps(self._settings(), ensure_ascii=False, indent=2) + "\n")

    def _write_vocabulary(self, directory):
        """Write the vocabulary as the originals of this kind have it."""

    def _settings(self):
        """What `tokenizer_config.json` says, so that `transformers` rebuilds this very tokenizer."""
        names = ["input_ids", "token_type_ids", "attention_mask"]
        return {
            # The class that takes tokenizer.json as it stands.
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": self.max_length or int(1e30),
            "model_input_names": names if self.frame.second_from is not None else [names[0], names[2]],
            "clean_up_tokenization_spaces": False,
            **{
                name: None if self._special_id(name) is None else token
                for name, token in self.definition.special_tokens.items()
            },
            **(
                {"additional_special_tokens": list(self.definition.extra_special_tokens)}
                if self.definition.extra_special_tokens
                else {}
            ),
            "added_tokens_decoder": {
                str(token["id"]): {name: value for name, value in token.items() if name != "id"}
                for token in self.added_tokens
            },
        }


def _checked_texts(subject, texts, pairs):
    """Lists of str of one length, or an error that names the row."""
    texts = _checked_column(subject, texts, "texts")
    if pairs is None:
        return texts, None
    pairs = _checked_column(subject, pairs, "pairs")
    if len(texts) != len(pairs):
        raise ValueError(
            f"{subject}: texts and pairs must have the same length. "
            f"Received: {len(texts)} texts and {len(pairs)} pairs. Give every text its pair, or none."
        )
    return texts, pairs


def _checked_column(subject, texts, name):
    if isinstance(texts, bytes | dict) or not hasattr(texts, "__iter__"):
        raise TypeError(
            f"{subject}: {name} must be a list of str. Received: {type(texts).__name__}. "
            "Pass the texts as a list, an array or a column."
        )
    texts = [texts] if isinstance(texts, str) else list(texts)
    if set(map(type, texts)) <= {str}:
        return texts
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(
                f"{subject}: {name} must be str. Received: {type(text).__name__} ({text!r:.60}) in row {row}. "
                "Drop missing values, decode bytes, and pass pairs apart as pairs=."
            )
    return list(map(str, texts))


def _explained(subject, encode, texts, name):
    """Run an engine; where it refuses a text that is no valid Unicode, say which row."""
    try:
        return encode(texts)
    except (UnicodeEncodeError, TypeError):
        for row, text in enumerate(texts):
            try:
                text.encode("utf-8")
            except UnicodeEncodeError as error:
                raise ValueError(
                    f"{subject}: {name} must be valid Unicode. Received: the lone surrogate "
                    f"U+{ord(text[error.start]):04X} at character {error.start} of row {row}. "
                    'Read the text as UTF-8 with errors="replace".'
                ) from error
        raise


def _check_fits(subject, lengths, max_length):
    if (lengths > max_length).any():
        row = int(np.argmax(lengths > max_length))
        raise ValueError(
            f"{subject}: rows must fit max_length when truncation is None. Received: row {row} of "
            f"{int(lengths[row])} tokens, max_length={max_length}. "
            'Use truncation="longest_first" or a larger max_length.'
        )

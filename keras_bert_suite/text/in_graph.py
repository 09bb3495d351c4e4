"""The tokenizer as TensorFlow operations, for a SavedModel that takes raw strings.

Gives the ids of the host's `WordPieceTokenizer`, all of them, using only
kernels that TensorFlow Serving links: core string operations and
tensorflow-text's `FastWordpieceTokenizer`, which is handed finished words and
so brings no Unicode version of its own. TensorFlow is imported when a
tokenizer is built.
"""

import itertools
import re

import numpy as np

from keras_bert_suite.errors import check_positive_int, require
from keras_bert_suite.text.code_points import PAGE, SELF, bert_table
from keras_bert_suite.text.engines import PROBE

__all__ = ["build_in_graph_tokenizer", "obstacles"]

#: Letters of the stand-ins for special tokens: characters that BERT's normalizer
#: deletes, so that no text can spell a stand-in.
LETTERS = [chr(code) for code in range(0x0E, 0x1C)]
#: What a `RESERVED` character of the text is changed to first: another deleted character.
DELETED = "\x02"
#: The letters, and the characters at which TensorFlow would part words while the normalizer deletes them.
RESERVED = f"[\x0b\x0c{LETTERS[0]}-{LETTERS[-1]}]"
#: Words of these bytes need no table: printable ASCII, the white space that is kept, and stand-ins.
SIMPLE = f"[ -~\\t\\n\\r{LETTERS[0]}-{LETTERS[-1]}]*"
ASCII_PUNCTUATION = r"([!-/:-@\[-`{-~])"


def build_in_graph_tokenizer(tokenizer, max_length):
    """Build the in-graph twin of a host tokenizer.

    The result is a `tf.Module`. Its `encode_texts(texts)` and
    `encode_pairs(texts, pairs)` are `tf.function`s of string tensors `(B,)`;
    `module(texts, pairs=None)` calls the one that fits. Each returns a dict of
    int32 `(B, T)` tensors `token_ids`, `segment_ids` and `padding_mask`, T
    being the longest row of the batch, at most `max_length`; longer rows are
    truncated `"longest_first"`. Bytes that are not UTF-8 count as U+FFFD,
    which BERT's normalizer deletes.

    Args:
        tokenizer: `WordPieceTokenizer` with BERT's normalizer and pre-tokenizer.
        max_length: int. Tokens a row may have, special ones included.
    Returns:
        `tf.Module`, ready for `tf.saved_model.save`.
    Raises:
        ImportError: if TensorFlow or tensorflow-text is not installed.
        ValueError: if the tokenizer has a part that this form cannot follow exactly; the part is named.
    """
    check_positive_int("build_in_graph_tokenizer", max_length=max_length)
    if max_length < tokenizer.frame.size(pair=True):
        raise ValueError(
            f"build_in_graph_tokenizer: max_length must hold the {tokenizer.frame.size(pair=True)} special tokens "
            f"of a pair. Received: max_length={max_length}. Use a larger one."
        )
    if tokenizer.in_graph_obstacle:
        raise ValueError(
            "build_in_graph_tokenizer: the graph form must equal the host's on every text. "
            f"Received: {tokenizer.in_graph_obstacle}. "
            "Export without string input, and tokenize with the host tokenizer."
        )
    tf = require("tensorflow", "a tokenizer in the graph")
    with tf.init_scope():
        module = _module_class(tf)(tokenizer, max_length)
        _check_agreement(tokenizer, module, max_length)
    return module


def obstacles(tokenizer):
    """list of str: every part of a WordPiece tokenizer that has no exact form here."""
    content = tokenizer.definition.content
    normalizer = tokenizer.normalizer
    reasons = []
    if normalizer.get("type") != "BertNormalizer":
        reasons.append(f"the normalizer {normalizer.get('type')} (BertNormalizer is supported)")
    elif not normalizer.get("clean_text"):
        reasons.append("BertNormalizer without clean_text")
    pre_tokenizer = (content.get("pre_tokenizer") or {}).get("type")
    if pre_tokenizer != "BertPreTokenizer":
        reasons.append(f"the pre-tokenizer {pre_tokenizer} (BertPreTokenizer is supported)")
    if not content["model"].get("continuing_subword_prefix", "##"):
        reasons.append("an empty continuing_subword_prefix")
    tokens = tokenizer.added_tokens
    for flag in ("normalized", "single_word"):
        reasons.extend(f"the added token {token['content']!r} with {flag}=true" for token in tokens if token[flag])
    contents = [token["content"] for token in tokens]
    reasons.extend(
        f"the added token {content!r}, which holds white space at an end or a control character"
        for content in contents
        if content != content.strip() or any(char < " " for char in content)
    )
    reasons.extend(
        f"the added tokens {first!r} and {second!r}, which can overlap in a text"
        for first, second in _overlapping(contents)
    )
    return reasons


def _overlapping(contents):
    """Pairs of tokens of which the first may end in the second's beginning."""
    beginnings = {}
    for content in contents:
        for length in range(1, len(content)):
            beginnings.setdefault(content[:length], []).append(content)
    for first in contents:
        for cut in range(1, len(first)):
            yield from ((first, second) for second in beginnings.get(first[cut:], ()) if second != first)


def _check_agreement(tokenizer, module, max_length):
    """Compare both forms on hard strings before anything is shipped."""
    probes = [*PROBE, *(f"a{token['content']}B {token['content'].lower()}" for token in tokenizer.added_tokens)]
    probes = [probe for probe in probes if probe]
    ours, host = module(probes), tokenizer(probes, max_length=max_length)
    for name, expected in host.items():
        if ours[name].shape != expected.shape or not (ours[name].numpy() == expected).all():
            raise ValueError(
                f"build_in_graph_tokenizer: {name} differ from the host tokenizer's on a probe text. "
                "Export without string input, and report this tokenizer."
            )


def _module_class(tf):
    """The module's class; made here because its base needs TensorFlow."""
    strings = [tf.TensorSpec([None], tf.string)]

    class InGraphTokenizer(tf.Module):
        """Strings to padded ids, in the graph."""

        def __init__(self, tokenizer, max_length):
            super().__init__(name="tokenizer")
            self._normalize = _build_normalize(tf, tokenizer)
            self._pieces = _build_pieces(tf, tokenizer)
            self._frame = tokenizer.frame
            self._pad_token_id = tokenizer.pad_token_id
            self._max_length = max_length

        def __call__(self, texts, pairs=None):
            return self.encode_texts(texts) if pairs is None else self.encode_pairs(texts, pairs)

        @tf.function(input_signature=strings)
        def encode_texts(self, texts):
            ids = self._pieces(self._normalize(texts))  # (B, None)
            budget = self._max_length - self._frame.size(pair=False)
            kept = tf.minimum(ids.row_lengths(), budget)
            return self._framed([_leading(tf, ids, kept)], self._frame.single)

        @tf.function(input_signature=strings * 2)
        def encode_pairs(self, texts, pairs):
            same = tf.debugging.assert_equal(tf.shape(texts), tf.shape(pairs), "texts and pairs must be of one length")
            with tf.control_dependencies([same]):
                texts = tf.identity(texts)
            sides = [self._pieces(self._normalize(column)) for column in (texts, pairs)]
            budget = self._max_length - self._frame.size(pair=True)
            kept = _longest_first(tf, *[ids.row_lengths() for ids in sides], budget)
            sides = [_leading(tf, ids, side) for ids, side in zip(sides, kept, strict=True)]
            return self._framed(sides, self._frame.pair)

        def _framed(self, sides, parts):
            """Special tokens around the sides, then padding."""
            rows = sides[0].nrows()
            columns = []
            for part, side in zip(parts, [*sides, None], strict=True):
                special = tf.tile(tf.constant([part], tf.int32, [1, len(part)]), [rows, 1])
                columns.append(tf.RaggedTensor.from_tensor(special))
                columns.extend([] if side is None else [side])
            ids = tf.concat(columns, axis=1)
            token_ids = ids.to_tensor(self._pad_token_id)  # (B, T)
            positions = tf.range(tf.shape(token_ids)[1])
            mask = positions < tf.cast(ids.row_lengths(), tf.int32)[:, tf.newaxis]
            segment_ids = tf.zeros_like(token_ids)
            if len(sides) == 2 and self._frame.second_from is not None:
                second_starts = sides[0].row_lengths() + len(parts[0]) + self._frame.second_from
                second = positions >= tf.cast(second_starts, tf.int32)[:, tf.newaxis]
                segment_ids = tf.cast(mask & second, tf.int32)
            return {"token_ids": token_ids, "segment_ids": segment_ids, "padding_mask": tf.cast(mask, tf.int32)}

    return InGraphTokenizer


def _build_normalize(tf, tokenizer):
    """Strings `(B,)` to strings `(B,)` in which spaces part the words and special tokens are stand-ins."""
    stand_ins = _stand_ins(tokenizer)
    longest_first = sorted(stand_ins, key=len, reverse=True)
    any_special = "|".join(map(re.escape, longest_first))
    lowercase = tokenizer.normalizer["lowercase"]
    normalize_unicode = _build_normalize_unicode(tf, tokenizer)

    def normalize(texts):
        texts = tf.strings.regex_replace(texts, RESERVED, DELETED)
        if stand_ins:
            found = tf.reduce_any(texts != tf.strings.regex_replace(texts, any_special, ""))
            texts = tf.cond(found, lambda: replace_special(texts), lambda: texts)
        texts = tf.strings.lower(texts) if lowercase else texts  # of ASCII letters
        texts = tf.strings.regex_replace(texts, ASCII_PUNCTUATION, r" \1 ")
        simple = tf.reduce_all(tf.strings.regex_full_match(texts, SIMPLE))
        return tf.cond(simple, lambda: texts, lambda: replace_rest(texts))

    def replace_special(texts):
        for token in longest_first:
            texts = tf.strings.regex_replace(texts, re.escape(token), f" {stand_ins[token]} ")
        return texts

    def replace_rest(texts):
        """Look up the words that need it; no step looks across a space."""
        rows = tf.strings.split(texts)
        words = rows.flat_values
        rest = tf.where(~tf.strings.regex_full_match(words, SIMPLE))
        words = tf.tensor_scatter_nd_update(words, rest, normalize_unicode(tf.gather_nd(words, rest)))
        return tf.strings.reduce_join(rows.with_flat_values(words), axis=-1, separator=" ")

    return normalize


def _build_normalize_unicode(tf, tokenizer):
    """The general form of the normalization: every code point looked up in the table."""
    options = tokenizer.normalizer
    table = bert_table(options["lowercase"], options["strip_accents"], options["handle_chinese_chars"])
    entries = table.entries.copy()
    entries[table.pages[0] * PAGE + np.array(list(map(ord, LETTERS)))] = entries[table.pages[0] * PAGE + ord("a")]
    pages, entries = tf.constant(table.pages), tf.constant(entries)
    replacements = tf.RaggedTensor.from_row_splits(tf.constant(table.values), tf.constant(table.splits))
    starts_run = tf.constant(table.starts_run)
    marks, mark_orders = tf.constant(table.marks), tf.constant(table.mark_orders)

    def normalize_unicode(texts):
        rows = tf.strings.unicode_decode(texts, "UTF-8", errors="replace")  # (R, None)
        code_points = rows.flat_values
        first = tf.gather(pages, tf.bitwise.right_shift(code_points, PAGE.bit_length() - 1)) * PAGE
        numbers = tf.gather(entries, first + tf.bitwise.bitwise_and(code_points, PAGE - 1))
        replaced = tf.gather(replacements, numbers)  # (N, None)
        kept = tf.boolean_mask(code_points, numbers < table.num_with_self)
        values = tf.tensor_scatter_nd_update(replaced.flat_values, tf.where(replaced.flat_values == SELF), kept)
        if len(table.marks):
            values = tf.cond(
                tf.reduce_any(numbers >= table.first_marked),
                lambda: reorder(values, tf.gather(runs(numbers, rows), replaced.value_rowids())),
                lambda: values,
            )
        splits = tf.gather(replaced.row_splits, rows.row_splits)
        return tf.strings.unicode_encode(tf.RaggedTensor.from_row_splits(values, splits, validate=False), "UTF-8")

    def runs(numbers, rows):
        """The number of the run each code point belongs to; runs end with their row."""
        return tf.cumsum(tf.cast(tf.gather(starts_run, numbers), tf.int64)) + rows.value_rowids()

    def reorder(values, run):
        """Canonical order within each run; letters have order 0 and stay in front."""
        place = tf.minimum(tf.searchsorted(marks, values), len(table.marks) - 1)
        order = tf.where(tf.gather(marks, place) == values, tf.gather(mark_orders, place), 0)
        keys = run * (len(table.marks) + 2) + tf.cast(order, tf.int64)
        return tf.gather(values, tf.argsort(keys, stable=True))

    return normalize_unicode


def _build_pieces(tf, tokenizer):
    """Strings of words `(B,)` to ids `(B, None)`."""
    text = require("tensorflow_text", "a tokenizer in the graph")
    model = tokenizer.definition.content["model"]
    stand_ins = _stand_ins(tokenizer)
    unspellable = LETTERS[0]
    ids = {token: token_id for token, token_id in model["vocab"].items() if token and min(token) > "\x1b"}
    ids.update((stand_in, tokenizer.token_to_id(token)) for token, stand_in in stand_ins.items())
    id_table = tf.constant(list(ids.values()), tf.int32)
    longest_word = model.get("max_input_chars_per_word", 100)
    word_piece = text.FastWordpieceTokenizer(
        list(ids),
        suffix_indicator=model.get("continuing_subword_prefix", "##"),
        max_bytes_per_word=2**31 - 1,  # words are measured in characters, below
        token_out_type=tf.int32,
        unknown_token=model["unk_token"],
        no_pretokenization=True,
    )

    def pieces(texts):
        rows = tf.strings.split(texts)  # (B, None)
        words = rows.flat_values
        too_long = tf.strings.length(words, "UTF8_CHAR") > longest_word
        found = word_piece.tokenize(tf.where(too_long, unspellable, words))  # (words, None)
        splits = tf.gather(found.row_splits, rows.row_splits)
        return tf.RaggedTensor.from_row_splits(tf.gather(id_table, found.flat_values), splits, validate=False)

    return pieces


def _stand_ins(tokenizer):
    """One word of `LETTERS`, all of the same length above 1, for each token that is matched whole."""
    tokens = [token["content"] for token in tokenizer.added_tokens]
    length = 2
    while len(LETTERS) ** length < len(tokens):
        length += 1
    words = itertools.product(LETTERS, repeat=length)
    return {token: "".join(word) for token, word in zip(tokens, words, strict=False)}


def _leading(tf, ids, kept):
    """The first `kept` ids of each row."""
    positions = tf.ragged.range(ids.row_starts(), ids.row_starts() + kept)
    return positions.with_flat_values(tf.gather(ids.flat_values, positions.flat_values))


def _longest_first(tf, first, second, budget):
    """`kept_lengths` of `truncation`, for its `"longest_first"`, in the graph."""
    shorter, longer = tf.minimum(first, second), tf.maximum(first, second)
    half = tf.constant(budget // 2, tf.int64)
    kept_shorter = tf.where(first + second <= budget, shorter, tf.minimum(shorter, half))
    kept_longer = tf.minimum(longer, budget - kept_shorter)
    swapped = first > second
    return tf.where(swapped, kept_longer, kept_shorter), tf.where(swapped, kept_shorter, kept_longer)

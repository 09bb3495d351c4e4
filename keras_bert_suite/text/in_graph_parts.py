"""The steps that every form of a WordPiece tokenizer in a TensorFlow graph is made of.

Functions here take TensorFlow as their first argument, so that importing this
file does not import it.
"""

import itertools
import re
from typing import Any, NamedTuple

import numpy as np

from keras_bert_suite.errors import require
from keras_bert_suite.text.code_points import PAGE, SELF, bert_table
from keras_bert_suite.text.in_graph_marks import stripped_marks

__all__ = [
    "LETTERS",
    "CodePointLookup",
    "Side",
    "build_mark_special",
    "build_paged_lookup",
    "build_word_pieces",
    "check_exact_form",
    "frame_rows",
    "row_ids",
    "search",
    "stand_ins",
    "table_options",
]

#: Letters of the stand-ins for special tokens: characters that BERT's normalizer
#: deletes, so that no text can spell a stand-in.
LETTERS = [chr(code) for code in range(0x0E, 0x1C)]
#: What a `RESERVED` character of the text is changed to first: another deleted character.
DELETED = "\x02"
#: The letters, and the characters at which TensorFlow would part words while the normalizer deletes them.
RESERVED = f"[\x0b\x0c{LETTERS[0]}-{LETTERS[-1]}]"


def check_exact_form(subject, obstacle):
    """Raise `ValueError` if there is an obstacle, a str; `subject` begins the message."""
    if obstacle:
        raise ValueError(
            f"{subject}: the graph form must equal the host's on every text. "
            f"Received: {obstacle}. "
            "Tokenize with the host tokenizer, and give the model ids."
        )


def table_options(tokenizer):
    """list: what `bert_table` takes."""
    return [tokenizer.normalizer[name] for name in ("lowercase", "strip_accents", "handle_chinese_chars")]


def stand_ins(tokenizer):
    """Return one word of `LETTERS`, all of the same length above 1, for each token that is matched whole.

    The word of token number `i` is `i` in digits of base `len(LETTERS)`.
    """
    tokens = [token["content"] for token in tokenizer.added_tokens]
    length = 2
    while len(LETTERS) ** length < len(tokens):
        length += 1
    words = itertools.product(LETTERS, repeat=length)
    return {token: "".join(word) for token, word in zip(tokens, words, strict=False)}


def build_paged_lookup(tf, values):
    """Return a function from code points int32 `(N,)` to integers that belong to them, int32 `(N,)`.

    Args:
        tf: TensorFlow.
        values: int `(LAST,)`, one for each code point. Equal pages of it are stored once.
    """
    entries, pages = np.unique(values.reshape(-1, PAGE), axis=0, return_inverse=True)
    entries, pages = tf.constant(entries.reshape(-1), tf.int32), tf.constant(pages.reshape(-1), tf.int32)
    return lambda code_points: _gather_paged(tf, pages, entries, code_points)


def _gather_paged(tf, pages, entries, code_points):
    first = tf.gather(pages, tf.bitwise.right_shift(code_points, PAGE.bit_length() - 1)) * PAGE
    return tf.gather(entries, first + tf.bitwise.bitwise_and(code_points, PAGE - 1))


class CodePointLookup:
    """BERT's normalization, code point by code point, through the table of `bert_table`.

    Args:
        tf: TensorFlow.
        tokenizer: `WordPieceTokenizer`.
    """

    def __init__(self, tf, tokenizer):
        options = table_options(tokenizer)
        table = bert_table(*options)
        entries = table.entries.copy()
        first = table.pages[0] * PAGE
        entries[first + np.array(list(map(ord, LETTERS)))] = entries[first + ord("a")]
        self._tf, self._table = tf, table
        self._pages, self._entries = tf.constant(table.pages), tf.constant(entries)
        self._replacements = tf.RaggedTensor.from_row_splits(tf.constant(table.values), tf.constant(table.splits))
        self._starts_run = tf.constant(table.starts_run)
        if len(table.marks):
            self._marks, self._orders, self._stripped = map(tf.constant, stripped_marks(*options))

    def __call__(self, code_points):
        """Replace code points int32 `(N,)`.

        Returns:
            `(numbers, splits, values)`: the number of each replacement, int32
            `(N,)`; int64 `(N + 1,)`, code point `i` became `values[splits[i]:splits[i + 1]]`;
            int32 `(M,)`, marks not yet in order.
        """
        tf = self._tf
        numbers = _gather_paged(tf, self._pages, self._entries, code_points)
        replaced = tf.gather(self._replacements, numbers)  # (N, None)
        kept = tf.boolean_mask(code_points, numbers < self._table.num_with_self)
        values = tf.tensor_scatter_nd_update(replaced.flat_values, tf.where(replaced.flat_values == SELF), kept)
        return numbers, replaced.row_splits, values

    def has_marks(self, numbers):
        """Return whether some replacements have marks that must be put in order: a bool tensor, or False."""
        return bool(len(self._table.marks)) and self._tf.reduce_any(numbers >= self._table.first_marked)

    def arrange(self, code_points, rows, numbers, splits, values):
        """Put marks into canonical order, and say which code point each value is counted to.

        What the normalizer calls the source of a mark is its place after the
        ordering, stripped marks included.

        Args:
            code_points: int32 `(N,)`.
            rows: int64 `(N,)`. The row of each, ascending.
            numbers, splits, values: as `__call__` returns them.
        Returns:
            `(values, sources)`: int32 and int64 `(M,)`; sources are indices of code points.
        """
        tf = self._tf
        starts_run = tf.cast(tf.gather(self._starts_run, numbers), tf.int64)
        run = tf.cumsum(starts_run) + rows  # runs end with their row
        place = tf.minimum(search(tf, self._stripped, code_points), len(self._stripped) - 1)
        stripped = tf.where((tf.gather(self._stripped, place) == code_points) & (splits[1:] == splits[:-1]))[:, 0]
        spelled = tf.concat([values, tf.gather(code_points, stripped)], axis=0)
        kept = tf.concat([tf.ones_like(values, tf.bool), tf.zeros_like(stripped, tf.bool)], axis=0)
        sources = tf.concat([row_ids(tf, splits), stripped], axis=0)
        in_text = tf.argsort(sources, stable=True)
        spelled, kept, sources = (tf.gather(found, in_text) for found in (spelled, kept, sources))
        place = tf.minimum(search(tf, self._marks, spelled), len(self._marks) - 1)
        order = tf.where(tf.gather(self._marks, place) == spelled, tf.gather(self._orders, place), 0)
        largest = tf.reduce_max(self._orders)
        keys = tf.gather(run, sources) * tf.cast(largest + 1, tf.int64) + tf.cast(order, tf.int64)
        in_order = tf.argsort(keys, stable=True)
        first = tf.concat([[True], sources[1:] != sources[:-1]], axis=0)[: tf.size(sources)]
        counted = tf.cumsum(tf.cast(tf.gather(first, in_order), tf.int64)) - 1
        sources = tf.gather(tf.boolean_mask(sources, first), counted)
        kept = tf.gather(kept, in_order)
        return tf.boolean_mask(tf.gather(spelled, in_order), kept), tf.boolean_mask(sources, kept)


def build_mark_special(tf, tokenizer, space=""):
    """Return a function from strings `(B,)` to strings `(B,)` in which special tokens are stand-ins.

    Args:
        tf: TensorFlow.
        tokenizer: `WordPieceTokenizer`.
        space: str, put before and after each stand-in.
    """
    spelled = stand_ins(tokenizer)
    longest_first = sorted(spelled, key=len, reverse=True)
    any_special = "|".join(map(re.escape, longest_first))

    def mark_special(texts):
        texts = tf.strings.regex_replace(texts, RESERVED, DELETED)
        if not spelled:
            return texts
        found = tf.reduce_any(texts != tf.strings.regex_replace(texts, any_special, ""))
        return tf.cond(found, lambda: replace(texts), lambda: texts)

    def replace(texts):
        for token in longest_first:
            texts = tf.strings.regex_replace(texts, re.escape(token), space + spelled[token] + space)
        return texts

    return mark_special


def build_word_pieces(tf, tokenizer):
    """Return a function from words `(N,)` to `(ids, starts, ends)`, each ragged `(N, None)`.

    `starts` and `ends` count the bytes of the word.
    """
    text = require("tensorflow_text", "a tokenizer in the graph")
    model = tokenizer.definition.content["model"]
    unspellable = LETTERS[0]
    ids = {token: token_id for token, token_id in model["vocab"].items() if token and min(token) > "\x1b"}
    ids.update((stand_in, tokenizer.token_to_id(token)) for token, stand_in in stand_ins(tokenizer).items())
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

    def word_pieces(words):
        too_long = tf.strings.length(words, "UTF8_CHAR") > longest_word
        found, starts, ends = word_piece.tokenize_with_offsets(tf.where(too_long, unspellable, words))
        whole = tf.cast(tf.strings.length(tf.boolean_mask(words, too_long)), ends.dtype)
        only_piece = tf.boolean_mask(found.row_starts(), too_long)[:, tf.newaxis]
        ends = ends.with_flat_values(tf.tensor_scatter_nd_update(ends.flat_values, only_piece, whole))
        return found.with_flat_values(tf.gather(id_table, found.flat_values)), starts, ends

    return word_pieces


class Side(NamedTuple):
    """One text of each row, as a part of an array.

    Args:
        values: int32 `(N,)`.
        starts, lengths: int64 `(B,)`. Where a row's values begin, and how many they are.
    """

    values: Any
    starts: Any
    lengths: Any

    @classmethod
    def leading(cls, ids, kept):
        """The first `kept` ids, int64 `(B,)`, of each row of a ragged `(B, None)`."""
        return cls(ids.flat_values, ids.row_starts(), kept)


def frame_rows(tf, frame, sides, pad_token_id):
    """Put special tokens around one or two sides and pad: `Frame.build` and `Ragged.pad` in the graph.

    Each place of the result is computed, as ragged tensors are of many small operations.

    Args:
        tf: TensorFlow.
        frame: `text.frame.Frame`.
        sides: list of one or two `Side`, already short enough.
        pad_token_id: int.
    Returns:
        dict of int32 `(B, T)`: `token_ids`, `segment_ids` and `padding_mask`.
    """
    pair = len(sides) == 2
    row_lengths = sum(side.lengths for side in sides) + frame.size(pair)
    positions = tf.range(tf.maximum(tf.reduce_max(row_lengths), 0))  # (T,)
    mask = positions < row_lengths[:, tf.newaxis]
    token_ids = tf.fill(tf.shape(mask), pad_token_id)
    begin = tf.zeros_like(row_lengths)[:, tf.newaxis]
    segment_ids = tf.zeros_like(token_ids)
    for part, side in zip(frame.pair if pair else frame.single, [*sides, None], strict=True):
        for token_id in part:
            token_ids = tf.where(positions == begin, token_id, token_ids)
            begin += 1
        if side is not None:
            places, lengths = positions - begin, side.lengths[:, tf.newaxis]
            inside = (places >= 0) & (places < lengths)
            index = tf.where(inside, places + side.starts[:, tf.newaxis], 0)
            values = tf.concat([side.values, [pad_token_id]], axis=0)  # there may be none
            token_ids = tf.where(inside, tf.gather(values, index), token_ids)
            begin += lengths
            if pair and side is sides[0] and frame.second_from is not None:
                segment_ids = tf.cast(mask & (positions >= begin + frame.second_from), tf.int32)
    return {"token_ids": token_ids, "segment_ids": segment_ids, "padding_mask": tf.cast(mask, tf.int32)}


def row_ids(tf, splits):
    """Return the row of each value, int64 `(N,)`, of rows that begin and end at `splits`.

    `RaggedTensor.value_rowids` would take memory of the rows times the longest one.
    """
    return search(tf, splits[1:], tf.range(splits[-1]), side="right")


def search(tf, ascending, values, side="left"):
    """Return where each value belongs, int64 `(N,)`: `tf.searchsorted` of vectors, which may be empty here."""
    kernel = tf.raw_ops.LowerBound if side == "left" else tf.raw_ops.UpperBound
    return kernel(sorted_inputs=ascending[tf.newaxis], values=values[tf.newaxis], out_type=tf.int64)[0]

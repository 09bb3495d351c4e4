"""The tokenizer as TensorFlow operations, for a SavedModel that takes raw strings.

Gives the ids of the host's `WordPieceTokenizer`, all of them, using only
kernels that TensorFlow Serving links: core string operations and
tensorflow-text's `FastWordpieceTokenizer`, which is handed finished words and
so brings no Unicode version of its own. TensorFlow is imported when a
tokenizer is built.
"""

import re

from keras_bert_suite.errors import require
from keras_bert_suite.text.engines import probe_texts
from keras_bert_suite.text.in_graph_parts import (
    LETTERS,
    CodePointLookup,
    Side,
    build_mark_special,
    build_word_pieces,
    check_exact_form,
    frame_rows,
    row_ids,
    search,
)

__all__ = ["build_in_graph_tokenizer", "obstacles"]

#: Printable ASCII and the white space that is kept, which need no table.
PLAIN = [*map(chr, range(ord(" "), ord("~") + 1)), "\t", "\n", "\r"]
ASCII_PUNCTUATION = r"([!-/:-@\[-`{-~])"


def build_in_graph_tokenizer(tokenizer, max_length):
    """Build the in-graph twin of a host tokenizer.

    The result is a `tf.Module`. Its `encode_texts(texts)` and
    `encode_pairs(texts, pairs)` are `tf.function`s of string tensors `(B,)`;
    `module(texts, pairs=None)` calls the one that fits. Each returns a dict of
    int32 `(B, T)` tensors `token_ids`, `segment_ids` and `padding_mask`, T
    being the longest row of the batch, at most `max_length`; longer rows are
    truncated `"longest_first"`, or by `encode_around(texts, token_ids)`, to be
    called where a graph is traced, around some of their tokens. Bytes that are
    not UTF-8 count as U+FFFD, which BERT's normalizer deletes.

    Args:
        tokenizer: `WordPieceTokenizer` with BERT's normalizer and pre-tokenizer.
        max_length: int. Tokens a row may have, special ones included.
    Returns:
        `tf.Module`, ready for `tf.saved_model.save`.
    Raises:
        ImportError: if TensorFlow or tensorflow-text is not installed.
        ValueError: if the tokenizer has a part that this form cannot follow exactly; the part is named.
    """
    tokenizer.frame.room("build_in_graph_tokenizer", max_length, pair=True)
    check_exact_form("build_in_graph_tokenizer", tokenizer.in_graph_obstacle)
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
    probes = probe_texts(tokenizer)
    probes = [probe for probe in probes if probe]
    ours, host = module(probes), tokenizer(probes, max_length=max_length)
    for name, expected in host.items():
        if ours[name].shape != expected.shape or not (ours[name].numpy() == expected).all():
            raise ValueError(
                f"build_in_graph_tokenizer: {name} differ from the host tokenizer's on a probe text. "
                "Tokenize with the host tokenizer, give the model ids, and report this tokenizer."
            )


def _module_class(tf):
    """The module's class; made here because its base needs TensorFlow."""
    strings = [tf.TensorSpec([None], tf.string)]

    class InGraphTokenizer(tf.Module):
        """Strings to padded ids, in the graph."""

        def __init__(self, tokenizer, max_length):
            super().__init__(name="tokenizer")
            self._normalize = _build_normalize(tf, tokenizer)
            self._word_pieces = build_word_pieces(tf, tokenizer)
            self._frame = tokenizer.frame
            self._pad_token_id = tokenizer.pad_token_id
            self._max_length = max_length

        def __call__(self, texts, pairs=None):
            return self.encode_texts(texts) if pairs is None else self.encode_pairs(texts, pairs)

        @tf.function(input_signature=strings)
        def encode_texts(self, texts):
            return self._single(self._encode(texts))

        def encode_around(self, texts, token_ids):
            """`encode_texts`, but rows that are too long are cut around these tokens: `truncation.cut_around`."""
            budget = self._max_length - self._frame.size(pair=False)
            return self._single(_cut_around(tf, self._encode(texts), token_ids, budget))

        @tf.function(input_signature=strings * 2)
        def encode_pairs(self, texts, pairs):
            same = tf.debugging.assert_equal(tf.shape(texts), tf.shape(pairs), "texts and pairs must be of one length")
            with tf.control_dependencies([same]):
                texts = tf.identity(texts)
            sides = [self._encode(column) for column in (texts, pairs)]
            budget = self._max_length - self._frame.size(pair=True)
            kept = _longest_first(tf, *[ids.row_lengths() for ids in sides], budget)
            sides = list(map(Side.leading, sides, kept))
            return frame_rows(tf, self._frame, sides, self._pad_token_id)

        def _single(self, ids):
            budget = self._max_length - self._frame.size(pair=False)
            sides = [Side.leading(ids, tf.minimum(ids.row_lengths(), budget))]
            return frame_rows(tf, self._frame, sides, self._pad_token_id)

        def _encode(self, texts):
            """Strings `(B,)` to ids `(B, None)`, without special tokens around them."""
            places, words, shape = tf.raw_ops.StringSplitV2(input=self._normalize(texts), sep="")
            ids, _, _ = self._word_pieces(words)  # (words, None)
            splits = tf.gather(ids.row_splits, search(tf, places[:, 0], tf.range(shape[0] + 1)))
            return tf.RaggedTensor.from_row_splits(ids.flat_values, splits, validate=False)

    return InGraphTokenizer


def _build_normalize(tf, tokenizer):
    """Strings `(B,)` to strings `(B,)` in which spaces part the words and special tokens are stand-ins."""
    mark_special = build_mark_special(tf, tokenizer, space=" ")
    normalize_unicode = _build_normalize_unicode(tf, tokenizer)
    lowercase = tokenizer.normalizer["lowercase"]
    beginnings = {token["content"][0] for token in tokenizer.added_tokens}
    plain = _only([char for char in PLAIN if char not in beginnings])
    simple = _only([*PLAIN, *LETTERS])

    def normalize(texts):
        all_plain = tf.reduce_all(tf.strings.regex_full_match(texts, plain))
        return tf.cond(all_plain, lambda: part(texts), lambda: normalize_any(part(mark_special(texts))))

    def part(texts):
        texts = tf.strings.lower(texts) if lowercase else texts  # of ASCII letters
        return tf.strings.regex_replace(texts, ASCII_PUNCTUATION, r" \1 ")

    def normalize_any(texts):
        all_simple = tf.reduce_all(tf.strings.regex_full_match(texts, simple))
        return tf.cond(all_simple, lambda: texts, lambda: replace_rest(texts))

    def replace_rest(texts):
        """Look up the words that need it; no step looks across a space."""
        rows = tf.strings.split(texts)
        words = rows.flat_values
        rest = tf.where(~tf.strings.regex_full_match(words, simple))
        words = tf.tensor_scatter_nd_update(words, rest, normalize_unicode(tf.gather_nd(words, rest)))
        return tf.strings.reduce_join(rows.with_flat_values(words), axis=-1, separator=" ")

    return normalize


def _only(chars):
    """A regular expression of strings that have no other characters."""
    return f"[{''.join(map(re.escape, chars))}]*"


def _build_normalize_unicode(tf, tokenizer):
    """The general form of the normalization: every code point looked up in the table."""
    look_up = CodePointLookup(tf, tokenizer)

    def normalize_unicode(texts):
        rows = tf.strings.unicode_decode(texts, "UTF-8", errors="replace")  # (R, None)
        code_points = rows.flat_values
        numbers, splits, values = look_up(code_points)
        marked = look_up.has_marks(numbers)
        if marked is not False:
            values = tf.cond(
                marked,
                lambda: look_up.arrange(code_points, row_ids(tf, rows.row_splits), numbers, splits, values)[0],
                lambda: values,
            )
        splits = tf.gather(splits, rows.row_splits)
        return tf.strings.unicode_encode(tf.RaggedTensor.from_row_splits(values, splits, validate=False), "UTF-8")

    return normalize_unicode


def _longest_first(tf, first, second, budget):
    """`kept_lengths` of `truncation`, for its `"longest_first"`, in the graph."""
    shorter, longer = tf.minimum(first, second), tf.maximum(first, second)
    half = tf.constant(budget // 2, tf.int64)
    kept_shorter = tf.where(first + second <= budget, shorter, tf.minimum(shorter, half))
    kept_longer = tf.minimum(longer, budget - kept_shorter)
    swapped = first > second
    return tf.where(swapped, kept_longer, kept_shorter), tf.where(swapped, kept_shorter, kept_longer)


def _cut_around(tf, ids, around, budget):
    """`cut_around` of `truncation` in the graph, of the rows of ragged int32 `(B, None)` that are too long."""
    rows, lengths = row_ids(tf, ids.row_splits), ids.row_lengths()
    places = tf.range(tf.size(rows, tf.int64)) - tf.gather(ids.row_starts(), rows)
    found = tf.reduce_any(ids.flat_values[:, tf.newaxis] == tf.constant(around, tf.int32), axis=1)
    last = tf.maximum(tf.math.unsorted_segment_max(tf.where(found, places, 0), rows, ids.nrows()), 0)
    first = tf.math.unsorted_segment_min(tf.where(found, places, places.dtype.max), rows, ids.nrows())
    first = tf.minimum(first, last)  # of a row without any of the tokens, 0
    start = tf.maximum(tf.minimum(tf.maximum((first + last + 1 - budget) // 2, 0), lengths - budget), 0)
    near = tf.gather(last - first < budget, rows)
    start, first, last = (tf.gather(of_row, rows) for of_row in (start, first, last))
    half = budget // 2
    follows, precedes = (places >= first) & (places < first + budget - half), (places > last - half) & (places <= last)
    kept = tf.where(near, (places >= start) & (places < start + budget), follows | precedes)
    counts = tf.minimum(lengths, budget)
    return tf.RaggedTensor.from_row_lengths(tf.boolean_mask(ids.flat_values, kept), counts, validate=False)

"""The tokenizer as TensorFlow operations that also say where each piece stands in the text.

For models that answer with parts of a text. Slower than `text.in_graph`, as
every code point goes through the table, with its place.
"""

from typing import Any, NamedTuple

import numpy as np

from keras_bert_suite.errors import require
from keras_bert_suite.text.engines import probe_texts
from keras_bert_suite.text.in_graph_parts import (
    LETTERS,
    CodePointLookup,
    build_mark_special,
    build_word_pieces,
    check_exact_form,
    row_ids,
    search,
    stand_ins,
)

__all__ = ["Pieces", "build_in_graph_offsets"]

SPACE = ord(" ")


class Pieces(NamedTuple):
    """Texts, and the pieces of them, in the graph.

    Args:
        token_ids: ragged int32 `(B, None)`, without special tokens around a text.
        starts, ends: int64 `(N,)`. First and last-plus-one character of each of
            those pieces in its text, in code points.
        code_points: ragged int32 `(B, None)`, the texts; U+FFFD where bytes are not UTF-8.
    """

    token_ids: Any
    starts: Any
    ends: Any
    code_points: Any


def build_in_graph_offsets(tokenizer):
    """Build the in-graph twin of `tokenizer.encode_with_offsets`.

    Args:
        tokenizer: `WordPieceTokenizer` with BERT's normalizer and pre-tokenizer.
    Returns:
        A function from a string tensor `(B,)` to `Pieces`, to be called where a graph is traced.
    Raises:
        ImportError: if TensorFlow or tensorflow-text is not installed.
        ValueError: if the tokenizer has a part that this form cannot follow exactly; the part is named.
    """
    check_exact_form("build_in_graph_offsets", tokenizer.in_graph_obstacle or _obstacle(tokenizer))
    tf = require("tensorflow", "a tokenizer in the graph")
    with tf.init_scope():
        encode = _build_encode(tf, tokenizer)
        _check_agreement(tf, tokenizer, encode)
    return encode


def _obstacle(tokenizer):
    """What the graph form of ids can follow and this one cannot, or None."""
    for token in tokenizer.added_tokens:
        if token["lstrip"] or token["rstrip"]:
            return f"the added token {token['content']!r} with lstrip or rstrip, whose offsets hold spaces"
    return None


def _check_agreement(tf, tokenizer, encode):
    """Compare both forms on hard strings before anything is shipped."""
    probes = probe_texts(tokenizer)
    pieces = encode(tf.constant(probes))
    token_ids, offsets, spans = tokenizer.encode_with_offsets(probes)
    ours = (pieces.token_ids.flat_values, pieces.token_ids.row_splits, pieces.starts, pieces.ends)
    for found, expected in zip(ours, (token_ids, offsets, spans[:, 0], spans[:, 1]), strict=True):
        if not np.array_equal(found, expected):
            raise ValueError(
                "build_in_graph_offsets: pieces differ from the host tokenizer's on a probe text. "
                "Tokenize with the host tokenizer, give the model ids, and report this tokenizer."
            )


def _build_encode(tf, tokenizer):
    read = _build_read(tf, tokenizer)
    look_up = CodePointLookup(tf, tokenizer)
    word_pieces = build_word_pieces(tf, tokenizer)

    def encode(texts):
        rows, widths, is_special, begins_special = read(texts)
        code_points = rows.flat_values
        row_of = row_ids(tf, rows.row_splits)
        values, sources = normalize(code_points, row_of)
        # Words are runs of values without a space, and special tokens.
        inside = values != SPACE
        values, sources = tf.boolean_mask(values, inside), tf.boolean_mask(sources, inside)
        place = tf.where(inside)[:, 0]  # among all values; a gap is a space
        special = tf.gather(is_special, sources)
        row = tf.gather(row_of, sources)
        goes_on = (place[1:] == place[:-1] + 1) & (row[1:] == row[:-1]) & (special[1:] == special[:-1])
        begins = ~tf.concat([[False], goes_on], axis=0)[: tf.size(values)] | tf.gather(begins_special, sources)
        firsts = tf.where(begins)[:, 0]
        word_splits = tf.concat([firsts, [tf.size(values, tf.int64)]], axis=0)
        words = tf.RaggedTensor.from_row_splits(values, word_splits, validate=False)
        ids, starts, ends = word_pieces(tf.strings.unicode_encode(words, "UTF-8"))
        # Bytes of words to values, values to code points, code points to those of the text.
        byte_ends = tf.cumsum(_num_bytes(values))
        byte_base = tf.gather(tf.concat([[0], byte_ends], axis=0), tf.gather(firsts, row_ids(tf, ids.row_splits)))
        first = search(tf, byte_ends, byte_base + tf.cast(starts.flat_values, tf.int64), side="right")
        last = search(tf, byte_ends, byte_base + tf.cast(ends.flat_values, tf.int64), side="left")
        source_ends = tf.cumsum(widths)
        text_splits = tf.gather(tf.concat([[0], source_ends], axis=0), rows.row_splits)
        source_ends -= tf.gather(text_splits, row_of)
        starts = tf.gather(source_ends - widths, tf.gather(sources, first))
        ends = tf.gather(source_ends, tf.gather(sources, last))
        words_of_rows = search(tf, tf.gather(row, firsts), tf.range(rows.nrows() + 1))
        splits = tf.gather(ids.row_splits, words_of_rows)
        token_ids = tf.RaggedTensor.from_row_splits(ids.flat_values, splits, validate=False)
        return Pieces(token_ids, starts, ends, tf.strings.unicode_decode(texts, "UTF-8", errors="replace"))

    def normalize(code_points, row_of):
        """Code points `(N,)` to what the table makes of them, and which one each value comes from."""
        numbers, splits, values = look_up(code_points)
        marked = look_up.has_marks(numbers)
        if marked is False:
            return values, row_ids(tf, splits)
        return tf.cond(
            marked,
            lambda: look_up.arrange(code_points, row_of, numbers, splits, values),
            lambda: (values, row_ids(tf, splits)),
        )

    def _num_bytes(code_points):
        """How many bytes of UTF-8 each code point takes, int64."""
        return 1 + sum(tf.cast(code_points >= least, tf.int64) for least in (0x80, 0x800, 0x10000))

    return encode


def _build_read(tf, tokenizer):
    """Return a function from strings `(B,)` to code points, ragged `(B, None)`, in which special tokens are stand-ins.

    With each code point it tells how many of the text's it stands for, int64;
    whether it is of a stand-in; and whether it is the first letter of one.
    """
    mark_special = build_mark_special(tf, tokenizer)
    spelled = stand_ins(tokenizer)
    lengths = tf.constant([len(token) for token in spelled], tf.int64)
    num_letters = len(next(iter(spelled.values()), LETTERS[:2]))
    powers = tf.constant([len(LETTERS) ** power for power in reversed(range(num_letters))], tf.int32)
    first_letter, last_letter = ord(LETTERS[0]), ord(LETTERS[-1])

    def read(texts):
        rows = tf.strings.unicode_decode(mark_special(texts), "UTF-8", errors="replace")
        code_points = rows.flat_values
        is_special = (code_points >= first_letter) & (code_points <= last_letter)
        places = tf.reshape(tf.where(is_special), [-1, num_letters])
        tokens = tf.reduce_sum((tf.gather(code_points, places) - first_letter) * powers, axis=-1)
        # The first letter stands for the whole token, the others for nothing.
        found = tf.gather(lengths, tokens)[:, tf.newaxis]
        found = tf.concat([found, tf.zeros_like(places[:, 1:])], axis=1)
        one_each = tf.ones_like(code_points, tf.int64)
        widths = tf.tensor_scatter_nd_update(one_each, places[..., tf.newaxis], found)
        begins = tf.scatter_nd(places[:, :1], tf.ones_like(tokens, tf.bool), tf.shape(code_points, tf.int64))
        return rows, widths, is_special, begins

    return read

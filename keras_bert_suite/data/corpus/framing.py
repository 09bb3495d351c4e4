"""Planned rows put into the frame of a tokenizer, and masked where that is wanted."""

import dataclasses

import numpy as np

from keras_bert_suite.data.corpus.shard import Shard
from keras_bert_suite.data.masking import mask_tokens
from keras_bert_suite.text.ragged import row_offsets, row_positions

__all__ = ["build_shard", "mask_shard"]

#: Rows that are masked at a time, so that the arrays stay small.
MASKED_ROWS = 2048


def build_shard(tokens, rows, tokenizer):
    """Put rows into the frame of a tokenizer.

    Args:
        tokens: `DocumentTokens`.
        rows: `Rows` in its token ids.
        tokenizer: `text.Tokenizer`.
    Returns:
        `Shard`.
    """
    starts, lengths = np.atleast_2d(rows.starts), np.atleast_2d(rows.lengths)
    frame, pair = tokenizer.frame, len(starts) == 2
    specials = frame.pair if pair else frame.single
    dtype = np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32
    token_ids = np.concatenate([tokens.token_ids, *specials]).astype(dtype)
    # A row is special tokens, a text, special tokens, ...: spans of `token_ids`, where the special ones come last.
    places = len(tokens.token_ids) + row_offsets([len(ids) for ids in specials])
    spans = np.empty((2, starts.shape[1], 2 * len(starts) + 1), np.int64)  # (start and length, R, spans of a row)
    spans[0, :, ::2], spans[1, :, ::2] = places[:-1], np.diff(places)
    spans[0, :, 1::2], spans[1, :, 1::2] = starts.T, lengths.T
    row_lengths = spans[1].sum(axis=1)
    second_starts = row_lengths
    if pair and frame.second_from is not None:
        second_starts = spans[1, :, :2].sum(axis=1) + frame.second_from
    begins = None
    if tokens.continues is not None:
        begins = ~np.append(tokens.continues, np.zeros(places[-1] - places[0], bool))
        begins = np.packbits(_gathered(begins, *spans.reshape(2, -1)))
    return Shard(
        _gathered(token_ids, *spans.reshape(2, -1)),
        row_offsets(row_lengths),
        second_starts.astype(np.int32),
        rows.labels,
        begins,
    )


def _gathered(values, starts, lengths, size=4096):
    """The values of spans, one after the other; done for some spans at a time, which fit into a cache."""
    parts = [slice(first, first + size) for first in range(0, len(starts), size)]
    return np.concatenate([values[:0], *(values[row_positions(starts[part], lengths[part])] for part in parts)])


def mask_shard(shard, vocabulary, masking, seed):
    """Mask the tokens of a shard once and for all.

    Args:
        shard: `Shard`.
        vocabulary: `data.masking.MaskingVocabulary`.
        masking: `data.masking.Masking`.
        seed: sequence of ints.
    Returns:
        `Shard`, with the masked places and what stood there.
    """
    begins = shard.begins_word()
    token_ids, places, masked_ids = [], [], []
    for number, first in enumerate(range(0, len(shard), MASKED_ROWS)):
        offsets = shard.offsets[first : first + MASKED_ROWS + 1]
        part = slice(offsets[0], offsets[-1])
        masked = mask_tokens(
            shard.token_ids[part],
            offsets - offsets[0],
            vocabulary,
            [*seed, number],
            masking,
            None if begins is None else begins[part],
        )
        token_ids.append(masked.token_ids.astype(shard.token_ids.dtype))
        places.append((masked.places + offsets[0]).astype(np.int32))
        masked_ids.append(masked.original_ids.astype(shard.token_ids.dtype))
    return dataclasses.replace(
        shard,
        token_ids=np.concatenate(token_ids),
        masked_positions=np.concatenate(places),
        masked_ids=np.concatenate(masked_ids),
    )

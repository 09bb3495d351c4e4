"""The special tokens around one text or a pair, read from a tokenizer's post-processor."""

import dataclasses

import numpy as np

from keras_bert_suite.errors import check_positive_int
from keras_bert_suite.text import pipeline
from keras_bert_suite.text.ragged import Ragged, row_positions

__all__ = ["Frame"]


@dataclasses.dataclass(frozen=True)
class Frame:
    """Ids put before, between and after the texts of a row, and where segment 1 begins.

    BERT's is `[CLS] A [SEP]` and `[CLS] A [SEP] B [SEP]`, segment 1 from `B` on.

    Args:
        single: pair of int tuples: before and after a lone text.
        pair: triple of int tuples: before, between and after two texts.
        second_from: optional int. How many of the ids between the texts belong
            to segment 0; None when segment 1 is not used.
    """

    single: tuple
    pair: tuple
    second_from: int | None

    @classmethod
    def bert(cls, cls_id, sep_id):
        """BERT's own frame."""
        return cls(((cls_id,), (sep_id,)), ((cls_id,), (sep_id,), (sep_id,)), 1)

    @classmethod
    def from_post_processor(cls, spec):
        """Read the `post_processor` section of a `tokenizer.json`.

        Args:
            spec: dict with `type` `TemplateProcessing`, `BertProcessing`,
                `RobertaProcessing` or `ByteLevel` (no special tokens), a
                `Sequence` of which at most one adds tokens; or None.
        Raises:
            ValueError: if the section has another form.
        """
        framing = [part for part in pipeline.parts(spec) if part.get("type") != "ByteLevel"]
        if not framing:
            return cls(((), ()), ((), (), ()), 0)
        if len(framing) > 1:
            raise ValueError(f"post_processor must add special tokens once, not {len(framing)} times")
        spec = framing[0]
        kind = spec.get("type")
        if kind in ("BertProcessing", "RobertaProcessing"):
            cls_id, sep_id = spec["cls"][1], spec["sep"][1]
            if kind == "BertProcessing":
                return cls.bert(cls_id, sep_id)
            return cls(((cls_id,), (sep_id,)), ((cls_id,), (sep_id, sep_id), (sep_id,)), None)
        if kind != "TemplateProcessing":
            raise ValueError(
                f"post_processor of type {kind!r} is not one of Template, Bert or RobertaProcessing or ByteLevel"
            )
        single, single_types = _parts(spec["single"], spec["special_tokens"], ["A"])
        pair, pair_types = _parts(spec["pair"], spec["special_tokens"], ["A", "B"])
        if any(single_types) or sorted(pair_types) != pair_types or not set(pair_types) <= {0, 1}:
            raise ValueError("post_processor template must number the segments 0, then 1")
        ones = sum(pair_types)
        zeros = len(pair_types) - ones
        second_from = zeros - len(pair[0]) - 1 if ones else None
        if ones and not 0 <= second_from <= len(pair[1]):
            raise ValueError("post_processor template must begin segment 1 between the two texts")
        return cls(tuple(single), tuple(pair), second_from)

    def size(self, pair):
        """Special tokens that one row gets."""
        return sum(map(len, self.pair if pair else self.single))

    def room(self, subject, max_length, pair):
        """Return the tokens of text that a row of `max_length` has room for, at least 0.

        Args:
            subject: str, which begins messages.
            max_length: int. Tokens a row may have, special ones included.
            pair: bool. Whether the row has two texts.
        Raises:
            ValueError: if `max_length` is no positive int, or below `size(pair)`.
        """
        check_positive_int(subject, max_length=max_length)
        room = max_length - self.size(pair)
        if room < 0:
            raise ValueError(
                f"{subject}: max_length must hold the {self.size(pair)} special tokens of a "
                f"{'pair' if pair else 'text'}. Received: max_length={max_length}. Use at least {self.size(pair) + 1}."
            )
        return room

    def build(self, sides, kept, pad_token_id):
        """Put the ids of one or two sides into this frame.

        Args:
            sides: list of one or two `(token_ids, offsets)`, flat int32 and int64 `(B + 1,)`.
            kept: list of int `(B,)`: how many leading tokens of each row to use.
            pad_token_id: int, handed on to the result.
        Returns:
            `Ragged`.
        """
        parts = self.single if len(sides) == 1 else self.pair
        lengths = sum(kept) + sum(map(len, parts))
        offsets = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        token_ids = np.empty(offsets[-1], np.int32)
        is_text = np.ones(len(token_ids), bool) if len(sides) == 1 else None
        position = offsets[:-1].copy()
        for index, part in enumerate(parts):
            for token_id in part:
                token_ids[position] = token_id
                if is_text is not None:
                    is_text[position] = False
                position += 1
            if index == len(sides):
                break
            if is_text is None:
                token_ids[row_positions(position, kept[index])] = _leading(*sides[index], kept[index])
            if index == 0:
                second_starts = position + kept[0] + (self.second_from or 0) - offsets[:-1]
            position += kept[index]
        if is_text is not None:
            token_ids[is_text] = _leading(*sides[0], kept[0])
        if len(sides) == 1 or self.second_from is None:
            second_starts = lengths
        return Ragged(token_ids, offsets, second_starts.astype(np.int32), pad_token_id)


def _leading(token_ids, offsets, kept):
    """The first `kept` ids of each row, flat; the very array when nothing is cut."""
    if kept.sum() == len(token_ids):
        return token_ids
    return token_ids[row_positions(offsets[:-1], kept)]


def _parts(template, special_tokens, names):
    """Split a template at its sequences: the special ids before, between and after, and every item's segment."""
    parts, types, seen = [[]], [], []
    for item in template:
        ((kind, value),) = item.items()
        if kind == "Sequence":
            seen.append(value["id"])
            parts.append([])
            types.append(value["type_id"])
        else:
            ids = special_tokens[value["id"]]["ids"]
            parts[-1].extend(ids)
            types.extend([value["type_id"]] * len(ids))
    if seen != names:
        raise ValueError(f"post_processor template must hold the texts {names} in this order, received {seen}")
    return [tuple(part) for part in parts], types

"""Which sentences make a row: pairs as in BERT and ALBERT, or pieces of a document as in RoBERTa.

Everything is computed for all sentences at once, as if a row began at each of
them. Which of those rows are taken follows by going from each to the next.
"""

from typing import NamedTuple

import numpy as np

__all__ = ["Rows", "plan_rows"]

#: The length aimed at is drawn for a document, of a long one anew after this many sentences.
STRETCH = 256


class Rows(NamedTuple):
    """Where the texts of each row stand in flat token ids.

    Args:
        starts: int64 `(R,)`, or `(2, R)` for pairs. First token.
        lengths: as `starts`. Tokens, at least 1.
        labels: optional uint8 `(R,)`. Of pairs, 1 where the second text does not follow the first.
    """

    starts: np.ndarray
    lengths: np.ndarray
    labels: np.ndarray | None = None

    def shuffled(self, rng):
        """Return the rows in random order."""
        order = rng.permutation(self.starts.shape[-1])
        labels = None if self.labels is None else self.labels[order]
        return Rows(self.starts[..., order], self.lengths[..., order], labels)


def plan_rows(kind, tokens, budget, short_rate, rng):
    """Plan the rows of some documents.

    Args:
        kind: `"next_sentence"`, `"sentence_order"` or `"documents"`.
        tokens: `DocumentTokens`.
        budget: int. Tokens of a row at most, special tokens apart; at least 2.
        short_rate: float in [0, 1). How often shorter rows are aimed at, of a
            random length from 2 tokens on.
        rng: `numpy.random.Generator`.
    Returns:
        `Rows`, in the order of the text.
    Source: Devlin et al. 2018, appendix A.2; Lan et al. 2019, section 3.1; Liu et al. 2019, section 4.2.
    """
    if kind == "documents":
        return _pieces(_Chunks(tokens.with_sentences_up_to(budget, budget), budget, short_rate, rng))
    # Sentences longer than a row in pieces of half a row, so that two of them fill it and nothing is cut off.
    tokens = tokens.with_sentences_up_to(budget, budget // 2)
    if kind == "sentence_order":
        return _sentence_order(_Chunks(tokens, budget, short_rate, rng), budget, rng)
    return _next_sentence(_Chunks(tokens.with_several_documents(), budget, short_rate, rng), budget, rng)


class _Chunks:
    """What a row that begins at each sentence would hold.

    Attributes, all int64 `(S,)`, for the sentences of the documents that become rows:
        first: the sentence.
        target: tokens aimed at.
        end: the sentence after the last of its document.
        begins: tokens before it; `bounds`, `(S' + 1,)`, has them for all documents, and their sum.
    """

    def __init__(self, tokens, budget, short_rate, rng):
        self.bounds = tokens.sentences
        self.documents = tokens.documents
        counts = np.diff(tokens.documents[: tokens.own + 1])
        self.of_document = np.repeat(np.arange(tokens.own), counts)
        self.first = np.arange(len(self.of_document))
        self.begins = self.bounds[self.first]
        self.end = np.repeat(tokens.documents[1 : tokens.own + 1], counts)
        in_document = self.first - tokens.documents[self.of_document]
        of_stretch = np.cumsum(in_document % STRETCH == 0) - 1
        stretches = of_stretch[-1] + 1 if len(of_stretch) else 0
        shorter = rng.integers(2, budget + 1, stretches)
        self.target = np.where(rng.random(stretches) < short_rate, shorter, budget)[of_stretch]

    def reaching_target(self):
        """The sentence after the one with which a row is as long as aimed at, or its document ends."""
        reached = np.searchsorted(self.bounds, self.begins + self.target)
        return np.clip(reached, self.first + 1, self.end)

    def within_target(self):
        """The sentence before which a row is as long as it may be."""
        last = np.searchsorted(self.bounds, self.begins + self.target, side="right") - 1
        return np.clip(last, self.first + 1, self.end)

    def taken(self, following):
        """The sentences at which rows begin, when the row from each is followed by the row from `following`."""
        following, taken, sentence = following.tolist(), [], 0
        while sentence < len(following):
            taken.append(sentence)
            sentence = following[sentence]
        return np.array(taken, np.int64)


def _pieces(chunks):
    following = chunks.within_target()
    taken = chunks.taken(following)
    starts = chunks.begins[taken]
    return Rows(starts, chunks.bounds[following[taken]] - starts)


def _next_sentence(chunks, budget, rng):
    last = chunks.reaching_target()
    sentences = last - chunks.first
    # The first text is 1 to all but one of the sentences; a lone one goes with a random text.
    split = chunks.first + 1 + (rng.random(len(last)) * (sentences - 1)).astype(np.int64)
    at_random = (sentences == 1) | (rng.random(len(last)) < 0.5)
    if len(chunks.documents) < 3:  # There is no other document.
        return Rows(np.zeros((2, 0), np.int64), np.zeros((2, 0), np.int64), np.zeros(0, np.uint8))
    # What a random text stands for is not used, and comes again in the next row.
    taken = chunks.taken(np.where(at_random, split, last))
    split, last, at_random = split[taken], last[taken], at_random[taken]
    starts = chunks.begins[taken]
    lengths = chunks.bounds[split] - starts
    other, other_end = _random_sentences(chunks, chunks.of_document[taken], rng)
    wanted = np.maximum(chunks.target[taken] - lengths, 1)
    other_last = np.clip(np.searchsorted(chunks.bounds, chunks.bounds[other] + wanted), other + 1, other_end)
    second = np.where(at_random, other, split)
    second_last = np.where(at_random, other_last, last)
    second_starts = chunks.bounds[second]
    second_lengths = chunks.bounds[second_last] - second_starts
    starts, lengths = np.stack([starts, second_starts]), np.stack([lengths, second_lengths])
    return Rows(*_truncated(starts, lengths, budget, rng), at_random.astype(np.uint8))


def _random_sentences(chunks, of_document, rng):
    """A random sentence of a random document that is not the given one, and where that document ends."""
    count = len(chunks.documents) - 1
    other = rng.integers(0, count - 1, len(of_document))
    other += other >= of_document
    first, end = chunks.documents[other], chunks.documents[other + 1]
    return first + (rng.random(len(other)) * (end - first)).astype(np.int64), end


def _sentence_order(chunks, budget, rng):
    last = np.minimum(np.maximum(chunks.reaching_target(), chunks.first + 2), chunks.end)
    last = np.where(chunks.end - last == 1, chunks.end, last)  # A sentence alone would make no pair.
    sentences = last - chunks.first
    split = chunks.first + 1 + (rng.random(len(last)) * (sentences - 1)).astype(np.int64)
    taken = chunks.taken(last)
    taken = taken[sentences[taken] > 1]  # Others are documents of one sentence.
    starts = np.stack([chunks.begins[taken], chunks.bounds[split[taken]]])
    lengths = np.stack([starts[1], chunks.bounds[last[taken]]]) - starts
    starts, lengths = _truncated(starts, lengths, budget, rng)
    swapped = rng.random(len(taken)) < 0.5
    return Rows(
        np.where(swapped, starts[::-1], starts), np.where(swapped, lengths[::-1], lengths), swapped.astype(np.uint8)
    )


def _truncated(starts, lengths, budget, rng):
    """Shorten the longer text of each pair token by token, at its start or its end at random, until both fit."""
    first, second = lengths
    excess = np.maximum(first + second - budget, 0)
    from_longer = np.minimum(excess, np.abs(first - second))
    from_each, odd = np.divmod(excess - from_longer, 2)  # of texts of one length the second comes first
    cut = np.stack([
        from_each + np.where(first > second, from_longer, 0),
        from_each + odd + np.where(first > second, 0, from_longer),
    ])  # fmt: skip
    some = cut > 0
    starts[some] += rng.binomial(cut[some], 0.5)
    return starts, lengths - cut

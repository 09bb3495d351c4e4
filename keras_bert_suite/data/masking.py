"""Which tokens a masked language model has to guess, drawn anew for every batch without a loop over tokens."""

import dataclasses
from typing import NamedTuple

import numpy as np

from keras_bert_suite.errors import check_choice, check_positive_int, check_rate
from keras_bert_suite.text.ragged import row_offsets, row_positions

__all__ = ["Masked", "Masking", "MaskingVocabulary", "mask_tokens", "place_predictions"]

STRATEGIES = ("token", "word", "ngram", "span")
#: How a token at the beginning of a word is spelled by byte-level BPE and by SentencePiece.
WORD_MARKS = ("\u0120", "\u2581")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Masking:
    """How tokens are chosen, and what stands in their place.

    Args:
        strategy: str. What is chosen together: one `"token"`; all tokens of a
            `"word"`; an `"ngram"` of 1 to `max_ngram` words, n of them with a
            probability in proportion to 1/n; or a `"span"` of 1 to `max_span`
            words, whose length is geometric.
        rate: float in (0, 1). Share of a row's tokens to choose, special ones not counted.
        mask_rate: float in [0, 1]. Share of the chosen that become the mask token.
        random_rate: float in [0, 1]. Share that become a random token. The rest stay as they are.
        max_ngram: int. In words.
        stop_rate: float in (0, 1). Of a span, the probability to end after each word.
        max_span: int. In words.
        max_predictions: optional int. Tokens chosen of a row at most. Defaults to no limit but `rate`.
    Source: Devlin et al. 2018, section 3.1; Cui et al. 2019 for whole words; Lan et al. 2019, section 3.1, for
        n-grams; Joshi et al. 2020, section 3.1, for spans.
    """

    strategy: str = "token"
    rate: float = 0.15
    mask_rate: float = 0.8
    random_rate: float = 0.1
    max_ngram: int = 3
    stop_rate: float = 0.2
    max_span: int = 10
    max_predictions: int | None = None

    def __post_init__(self):
        check_choice("Masking", "strategy", self.strategy, STRATEGIES)
        check_rate("Masking", rate=self.rate, stop_rate=self.stop_rate)
        if not self.rate or not self.stop_rate:
            raise ValueError(
                f"Masking: rate and stop_rate must be above 0. Received: rate={self.rate}, stop_rate={self.stop_rate}."
            )
        if min(self.mask_rate, self.random_rate) < 0 or self.mask_rate + self.random_rate > 1 + 1e-9:
            raise ValueError(
                "Masking: mask_rate and random_rate must be 0 or above and together at most 1. Received: "
                f"mask_rate={self.mask_rate}, random_rate={self.random_rate}."
            )
        limit = {} if self.max_predictions is None else {"max_predictions": self.max_predictions}
        check_positive_int("Masking", max_ngram=self.max_ngram, max_span=self.max_span, **limit)

    def num_predictions(self, length):
        """Return how many tokens are chosen at most of a row of `length` tokens.

        Example:
        >>> Masking().num_predictions(128), Masking(max_predictions=16).num_predictions(128)
        (20, 16)
        """
        number = max(1, int(np.ceil(self.rate * length - 1e-9)))
        return number if self.max_predictions is None else min(number, self.max_predictions)

    def _run_chances(self):
        """float `(n,)`: how likely runs of 1, 2, ... words are."""
        if self.strategy == "ngram":
            chances = 1 / np.arange(1, self.max_ngram + 1)
        else:
            chances = (1 - self.stop_rate) ** np.arange(self.max_span)
        return chances / chances.sum()


@dataclasses.dataclass(frozen=True, eq=False)
class MaskingVocabulary:
    """What has to be known of a vocabulary.

    Args:
        mask_id: int. The id of the mask token.
        maskable: bool `(V,)`. False for special tokens.
        begins_word: bool `(V,)`. False for a piece that goes on with the word before it.
        replacements: int32 `(K,)`. The ids that a random token is drawn from.
    """

    mask_id: int
    maskable: np.ndarray
    begins_word: np.ndarray
    replacements: np.ndarray

    @classmethod
    def from_tokenizer(cls, tokenizer):
        """Read it off a `text.Tokenizer`.

        Raises:
            ValueError: if there is no mask token.
        """
        if tokenizer.mask_token_id is None:
            raise ValueError(
                f"masking needs a mask token. Received: a vocabulary of {tokenizer.vocab_size} tokens without one."
            )
        tokens = tokenizer.vocabulary
        special = {token for token in tokenizer.special_tokens.values() if token is not None}
        special |= {token["content"] for token in tokenizer.added_tokens if token.get("special")}
        maskable = np.array([token not in special for token in tokens])
        unused = np.array([not token or (token.startswith("[unused") and token.endswith("]")) for token in tokens])
        prefix = tokenizer.definition.content["model"].get("continuing_subword_prefix")
        if tokenizer.kind == "WordPiece":
            begins = [not token.startswith(prefix or "##") for token in tokens]
        else:
            begins = [token.startswith(WORD_MARKS) for token in tokens]
        replacements = np.flatnonzero(maskable & ~unused).astype("int32")
        return cls(tokenizer.mask_token_id, maskable, np.array(begins), replacements)


class Masked(NamedTuple):
    """Rows with some tokens masked.

    Args:
        token_ids: int32 `(N,)`. What the model is shown.
        places: int64 `(M,)`. Where tokens were chosen, ascending.
        original_ids: int32 `(M,)`. What stood there.
    """

    token_ids: np.ndarray
    places: np.ndarray
    original_ids: np.ndarray


def mask_tokens(token_ids, offsets, vocabulary, seed, masking=None, word_starts=None):
    """Choose tokens of some rows, and put something else in their place.

    The result depends on the arguments alone. Special tokens are never chosen,
    and never put in. Of each row `rate` of the others are chosen, rounded, and
    one at least; a word of several tokens is left out where it would be too
    many, and an n-gram or a span then ends before that word.

    Args:
        token_ids: int `(N,)`. The ids of every row, one row after the other.
        offsets: int `(R + 1,)`. Row `i` is `token_ids[offsets[i]:offsets[i + 1]]`.
        vocabulary: `MaskingVocabulary`.
        seed: int or sequence of ints, at least 0: `(seed, epoch, batch)`, say.
        masking: optional `Masking`. Defaults to BERT's.
        word_starts: optional bool `(N,)`: whether a token begins a word. Defaults to what the vocabulary tells.
    Returns:
        `Masked`.
    Example:
    >>> vocabulary = MaskingVocabulary(1, np.arange(9) > 2, np.ones(9, bool), np.arange(3, 9))
    >>> masked = mask_tokens(np.array([0, 4, 5, 6, 7, 2]), [0, 6], vocabulary, seed=0, masking=Masking(mask_rate=1.0,
    ...     random_rate=0.0, rate=0.5))
    >>> masked.token_ids.tolist(), masked.places.tolist(), masked.original_ids.tolist()
    ([0, 4, 5, 1, 1, 2], [3, 4], [6, 7])

    Source: Devlin et al. 2018, section 3.1.
    """
    masking = masking or Masking()
    rng = np.random.default_rng(seed)
    token_ids = np.array(token_ids, "int32")
    offsets = np.asarray(offsets, "int64")
    maskable = vocabulary.maskable[token_ids]
    tokens = np.flatnonzero(maskable)
    rows = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))[tokens]
    counts = np.bincount(rows, minlength=len(offsets) - 1)
    budgets = np.where(counts, np.maximum(1, np.rint(counts * masking.rate)), 0).astype("int64")
    if masking.max_predictions is not None:
        budgets = np.minimum(budgets, masking.max_predictions)
    if not len(tokens):
        return Masked(token_ids, tokens, token_ids[tokens])
    if masking.strategy == "token":
        # A row's tokens in random order, of which the first are chosen.
        order = np.argsort(rows + rng.random(len(tokens)))
        firsts = row_offsets(counts)[:-1]
        chosen = np.sort(tokens[order[row_positions(firsts, budgets)]])
        draws = rng.random(len(chosen))
    else:
        begins = vocabulary.begins_word[token_ids[tokens]] if word_starts is None else np.asarray(word_starts)[tokens]
        chosen, draws = _choose_words(tokens, rows, begins, budgets, masking, rng)
    original_ids = token_ids[chosen]
    shown = np.where(draws < masking.mask_rate, vocabulary.mask_id, original_ids)
    if masking.random_rate:
        replaced = np.flatnonzero((draws >= masking.mask_rate) & (draws < masking.mask_rate + masking.random_rate))
        drawn = rng.integers(len(vocabulary.replacements), size=len(replaced))
        shown[replaced] = vocabulary.replacements[drawn]
    token_ids[chosen] = shown
    return Masked(token_ids, chosen, original_ids)


def _choose_words(tokens, rows, begins, budgets, masking, rng):
    """Return the places that are chosen, and a number in [0, 1) for each, which decides what is put there.

    Args:
        tokens: int `(M,)`. Places of the tokens that may be chosen.
        rows, begins: `(M,)`. Their rows, and whether they begin a word.
        budgets: int `(R,)`. How many to choose of each row at most.
    """
    # A run of tokens is ended by a special token, or the row; so is a word.
    new_run = np.ones(len(tokens), bool)
    new_run[1:] = (np.diff(tokens) > 1) | (np.diff(rows) > 0)
    firsts = np.flatnonzero(new_run | begins)  # (W,): the first token of each word
    lengths = np.diff(np.append(firsts, len(tokens)))
    units = np.arange(len(firsts))
    if masking.strategy != "word":
        units = _join_words(new_run[firsts], masking, rng)
    rows = rows[firsts]
    order = np.argsort(rows + rng.random(units[-1] + 1)[units], kind="stable")  # the words of a unit stay together
    taken = order[_fitting(rows[order], units[order], lengths[order], budgets)]
    places = row_positions(firsts[taken], lengths[taken])
    if masking.strategy == "span":  # a span is masked, replaced or kept as a whole
        draws = np.repeat(rng.random(units[-1] + 1)[units[taken]], lengths[taken])
    else:
        draws = rng.random(len(places))
    ascending = np.argsort(places)
    return tokens[places[ascending]], draws[ascending]


def _join_words(new_run, masking, rng):
    """Return int `(W,)`: the number of the n-gram or span that each word belongs to, which runs are parted into."""
    chances = masking._run_chances()
    drawn = 1 + np.searchsorted(np.cumsum(chances)[:-1], rng.random(len(new_run)), side="right")
    starts = np.flatnonzero(new_run)
    sizes = np.diff(np.append(starts, len(new_run)))
    # In each run, the lengths drawn add up to where the units begin.
    sums = np.cumsum(drawn)
    before = np.repeat(sums[starts] - drawn[starts], sizes)
    nexts = np.repeat(starts, sizes) + sums - before
    inside = nexts < np.repeat(starts + sizes, sizes)
    begins = new_run.copy()
    begins[nexts[inside]] = True
    return np.cumsum(begins) - 1


def _fitting(rows, units, lengths, budgets):
    """Return which words, taken in order, fit into what is left of their row's budget, as bool `(W,)`.

    Of a unit, words are taken that follow one another: what comes after one
    that is too long stays out where one before it is in.

    Args:
        rows, units: int `(W,)`, equal ones together.
    """
    left = budgets.copy()
    taken = np.zeros(len(rows), bool)
    begun = np.zeros(len(rows), bool)  # by unit
    waiting = np.arange(len(rows))
    while True:
        too_long, unit = lengths[waiting] > left[rows[waiting]], units[waiting]
        before = _sums_within(unit, ~too_long) + begun[unit]
        ended = _sums_within(unit, too_long & (before > 0)) > 0
        waiting = waiting[~(too_long | ended)]
        if not len(waiting):
            return taken
        row = rows[waiting]
        fits = _sums_within(row, lengths[waiting]) <= left[row]  # all up to the first that is too long
        taken[waiting[fits]] = begun[units[waiting[fits]]] = True
        left -= np.bincount(row[fits], lengths[waiting][fits], minlength=len(left)).astype("int64")
        waiting = waiting[~fits]


def _sums_within(groups, values):
    """Return the cumulative sums of `values` in each run of equal `groups`, int `(W,)`."""
    sums = np.cumsum(values, dtype="int64")
    first = np.flatnonzero(np.append(True, np.diff(groups) != 0)) if len(groups) else np.arange(0)
    return sums - np.repeat(sums[first] - values[first], np.diff(np.append(first, len(groups))))


def place_predictions(masked, offsets, num_predictions, pad_token_id=0):
    """Lay out what was chosen as a model takes it.

    Args:
        masked: `Masked`.
        offsets: int `(R + 1,)`, of the rows.
        num_predictions: int, P.
        pad_token_id: int. Fills the targets of short rows.
    Returns:
        `(positions, targets, weights)`, each `(R, P)`: int32 positions in the
        row, 0 where there is none; int32 ids to guess; float32, 1 where there is one.
    Raises:
        ValueError: if more than `num_predictions` are chosen of a row.
    Example:
    >>> masked = Masked(np.array([0, 4, 1, 6, 1, 2]), np.array([2, 4]), np.array([5, 7]))
    >>> [array.tolist() for array in place_predictions(masked, np.array([0, 6]), 3)]
    [[[2, 4, 0]], [[5, 7, 0]], [[1.0, 1.0, 0.0]]]
    """
    offsets = np.asarray(offsets, "int64")
    firsts = np.searchsorted(masked.places, offsets)
    counts = np.diff(firsts)
    if counts.max(initial=0) > num_predictions:
        raise ValueError(
            f"place_predictions: num_predictions must hold those of each row. Received: "
            f"num_predictions={num_predictions}, a row with {int(counts.max())}."
        )
    shape = (len(counts), num_predictions)
    there = np.arange(num_predictions) < counts[:, None]
    positions, weights = np.zeros(shape, "int32"), there.astype("float32")
    targets = np.full(shape, pad_token_id, "int32")
    positions[there] = masked.places - np.repeat(offsets[:-1], counts)
    targets[there] = masked.original_ids
    return positions, targets, weights

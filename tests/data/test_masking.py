"""Which tokens are masked, how many, and with what, held against what the papers say."""

import time

import numpy as np
import pytest

import keras_bert_suite as kbs
from keras_bert_suite.data import masking as masking_module
from keras_bert_suite.data.masking import Masking, MaskingVocabulary, mask_tokens, place_predictions

STRATEGIES = ("token", "word", "ngram", "span")
SIZE = 1000
CLS, SEP, MASK = 1, 2, 3
MASKABLE = np.arange(SIZE) > 3
#: A third of the tokens go on with a word.
BEGINS = np.arange(SIZE) % 3 != 0
VOCABULARY = MaskingVocabulary(MASK, MASKABLE, BEGINS, np.arange(10, SIZE, dtype="int32"))
EVERY = {"mask_rate": 1.0, "random_rate": 0.0}


def rows_of(lengths, seed=0):
    """Rows of random tokens, with special ones at both ends and in the middle; and their offsets."""
    rng = np.random.default_rng(seed)
    rows = []
    for length in lengths:
        row = rng.integers(10, SIZE, length)
        row[[0, length // 2, -1]] = CLS, SEP, SEP
        rows.append(row)
    return np.concatenate(rows), np.cumsum([0, *lengths])


def counts_of(masked, offsets):
    return np.diff(np.searchsorted(masked.places, offsets))


def units_of(ids, offsets):
    """Number of the word of each token, which a loop finds; -1 for special tokens."""
    units, last = np.full(len(ids), -1), -1
    for place, token in enumerate(ids):
        if not MASKABLE[token]:
            continue
        if BEGINS[token] or place in offsets or units[place - 1] == -1:
            last += 1
        units[place] = last
    return units


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_share_of_each_row_is_chosen_and_never_a_special_token(strategy):
    ids, offsets = rows_of([128] * 400)
    masked = mask_tokens(ids, offsets, VOCABULARY, 0, Masking(strategy=strategy))
    counts = counts_of(masked, offsets)
    assert counts.max() == round(0.15 * 125)
    # Words that do not fit leave a place empty now and then.
    assert counts.mean() > 18.9 if strategy == "token" else counts.mean() > 18.5
    assert MASKABLE[ids[masked.places]].all()
    assert (masked.original_ids == ids[masked.places]).all()
    assert (np.diff(masked.places) > 0).all()
    untouched = np.ones(len(ids), bool)
    untouched[masked.places] = False
    assert (masked.token_ids[untouched] == ids[untouched]).all()
    new = masked.token_ids[masked.places]
    assert (new[new != masked.original_ids] == MASK).mean() > 0.8
    assert set(new[(new != MASK) & (new != masked.original_ids)]) <= set(VOCABULARY.replacements)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_of_the_chosen_80_percent_are_masked_10_replaced_and_10_kept(strategy):
    ids, offsets = rows_of([128] * 2000)
    masked = mask_tokens(ids, offsets, VOCABULARY, 1, Masking(strategy=strategy))
    new = masked.token_ids[masked.places]
    kept = (new == masked.original_ids).mean()
    shares = [(new == MASK).mean(), 1 - (new == MASK).mean() - kept, kept]
    # Spans are drawn for as wholes: fewer draws, and a random token may be the token itself.
    draws = len(new) / (4 if strategy == "span" else 1)
    for share, expected in zip(shares, (0.8, 0.1, 0.1), strict=True):
        assert abs(share - expected) < 5 * np.sqrt(expected * (1 - expected) / draws) + 1e-3


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_place_is_chosen_equally_often(strategy):
    ids = np.full(60, 11)  # each a word of its own
    ids[[0, -1]] = CLS, SEP
    rounds = 3000
    masked = mask_tokens(np.tile(ids, rounds), np.arange(rounds + 1) * 60, VOCABULARY, 2, Masking(strategy=strategy))
    counts = np.bincount(masked.places % 60, minlength=60)
    assert not counts[[0, -1]].any()
    expected = len(masked.places) / 58
    statistic = ((counts[1:-1] - expected) ** 2 / expected).sum()
    # 57 degrees of freedom; n-grams and spans choose neighbours together, and begin at the beginning of a row.
    assert statistic < 110 if strategy in ("token", "word") else abs(counts[1:-1] / expected - 1).max() < 0.25


def test_random_tokens_are_drawn_equally_often():
    ids, offsets = rows_of([512] * 400)
    masked = mask_tokens(ids, offsets, VOCABULARY, 3, Masking(mask_rate=0.0, random_rate=1.0))
    counts = np.bincount(masked.token_ids[masked.places], minlength=SIZE)
    assert not counts[:10].any()
    expected = len(masked.places) / 990
    statistic = ((counts[10:] - expected) ** 2 / expected).sum()
    assert abs(statistic - 989) < 5 * np.sqrt(2 * 989)


@pytest.mark.parametrize("strategy", ["ngram", "span"])
def test_a_run_ends_before_a_word_that_is_too_long(strategy, monkeypatch):
    ids = np.array([10] * 300)
    starts = np.arange(300) % 10 != 9  # of ten tokens the last two are one word
    rows = np.arange(0, 301, 10)
    starts[rows[:-1] + 4] = False  # and so are the fourth and the fifth, for which three leave no room
    monkeypatch.setattr(masking_module, "_join_words", lambda *_: np.repeat(np.arange(30), 8))  # a row is a run
    masked = mask_tokens(ids, rows, VOCABULARY, 1, Masking(strategy=strategy, rate=0.4), word_starts=starts)
    assert [(masked.places[masked.places // 10 == row] % 10).tolist() for row in range(30)] == [[0, 1, 2]] * 30


@pytest.mark.parametrize("strategy", ["word", "ngram", "span"])
def test_words_are_masked_whole(strategy):
    ids, offsets = rows_of([97, 30, 128, 5] * 20)
    masked = mask_tokens(ids, offsets, VOCABULARY, 4, Masking(strategy=strategy, rate=0.3))
    units = units_of(ids, set(offsets.tolist()))
    chosen = np.zeros(len(ids), bool)
    chosen[masked.places] = True
    for unit in np.unique(units[units >= 0]):
        assert len(set(chosen[units == unit])) == 1


def test_starts_of_words_may_be_given():
    ids = np.full(40, 11)
    starts = np.arange(40) % 4 == 0
    masked = mask_tokens(ids, [0, 40], VOCABULARY, 5, Masking(strategy="word", rate=0.4), word_starts=starts)
    assert len(masked.places) == 16
    assert (masked.places.reshape(4, 4) - masked.places[::4, None] == np.arange(4)).all()


@pytest.mark.parametrize(
    ("strategy", "chances"),
    [("ngram", np.array([1, 1 / 2, 1 / 3]) / (11 / 6)), ("span", 0.2 * 0.8 ** np.arange(10) / (1 - 0.8**10))],
)
def test_lengths_of_runs_are_distributed_as_in_the_papers(strategy, chances):
    # Few runs in long rows, so that they hardly ever touch, and few ends of rows.
    ids = np.full(4000, 11)
    rounds = 300
    masking = Masking(strategy=strategy, rate=0.01, **EVERY)
    masked = mask_tokens(np.tile(ids, rounds), np.arange(rounds + 1) * 4000, VOCABULARY, 6, masking)
    runs = np.split(masked.places, np.flatnonzero(np.diff(masked.places) > 1) + 1)
    lengths = np.array([len(run) for run in runs])
    counts = np.bincount(lengths, minlength=len(chances) + 1)[1:]
    shares = counts[: len(chances)] / counts.sum()
    # The last run of a row ends with the budget: of 9 to 22 runs one is short.
    np.testing.assert_allclose(shares, chances, atol=0.03)
    assert lengths.mean() == pytest.approx((np.arange(1, len(chances) + 1) * chances).sum(), rel=0.08)


def test_a_span_is_masked_or_replaced_or_kept_as_a_whole():
    ids = np.full(4000, 11)
    masked = mask_tokens(ids, [0, 4000], VOCABULARY, 7, Masking(strategy="span", rate=0.05))
    runs = np.split(masked.token_ids[masked.places], np.flatnonzero(np.diff(masked.places) > 1) + 1)
    assert sum(len(set((run == MASK).tolist())) == 1 for run in runs) > 0.85 * len(runs)  # some touch


def test_masks_depend_on_the_seed_alone():
    ids, offsets = rows_of([64] * 8)
    first, again, other = (mask_tokens(ids, offsets, VOCABULARY, seed) for seed in ((0, 1, 2), (0, 1, 2), (0, 1, 3)))
    assert first.places.tolist() == again.places.tolist()
    assert first.token_ids.tolist() == again.token_ids.tolist()
    assert first.places.tolist() != other.places.tolist()


def test_rows_of_special_tokens_and_no_rows_at_all():
    ids = np.array([CLS, SEP, CLS, 20, SEP])
    masked = mask_tokens(ids, [0, 2, 2, 5], VOCABULARY, 0, Masking(strategy="word", **EVERY))
    assert masked.places.tolist() == [3]
    for strategy in STRATEGIES:
        assert not len(mask_tokens(np.array([CLS, SEP]), [0, 2], VOCABULARY, 0, Masking(strategy=strategy)).places)
        assert not len(mask_tokens(np.zeros(0, int), [0], VOCABULARY, 0, Masking(strategy=strategy)).places)


def test_a_limit_of_predictions_and_their_places():
    ids, offsets = rows_of([128, 20])
    masking = Masking(max_predictions=5)
    masked = mask_tokens(ids, offsets, VOCABULARY, 0, masking)
    assert counts_of(masked, offsets).tolist() == [5, 3]
    positions, targets, weights = place_predictions(masked, offsets, masking.num_predictions(128))
    assert positions.shape == targets.shape == weights.shape == (2, 5)
    assert weights.tolist() == [[1.0] * 5, [1.0] * 3 + [0.0] * 2]
    assert ids[positions[0]].tolist() == targets[0].tolist()
    assert ids[128:][positions[1, :3]].tolist() == targets[1, :3].tolist()
    with pytest.raises(ValueError, match="num_predictions=4, a row with 5"):
        place_predictions(masked, offsets, 4)


def test_what_a_vocabulary_tells():
    tokenizer = kbs.WordPieceTokenizer(["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##b", "[x]"])
    found = MaskingVocabulary.from_tokenizer(tokenizer)
    assert found.mask_id == 5
    assert found.maskable.tolist() == [False, True, False, False, False, False, True, True, True]
    assert found.begins_word.tolist() == [True] * 7 + [False, True]
    assert found.replacements.tolist() == [6, 7, 8]
    with pytest.raises(ValueError, match="needs a mask token"):
        MaskingVocabulary.from_tokenizer(kbs.WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a"]))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"strategy": "words"}, "strategy must be one of"),
        ({"rate": 0.0}, "rate and stop_rate must be above 0"),
        ({"rate": 1.5}, "rate must be in"),
        ({"mask_rate": 0.9, "random_rate": 0.2}, "together at most 1"),
        ({"max_span": 0}, "max_span must be above 0"),
        ({"max_predictions": 0}, "max_predictions must be above 0"),
    ],
)
def test_values_are_checked(values, message):
    with pytest.raises(ValueError, match=message):
        Masking(**values)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_two_million_tokens_a_second(strategy):
    ids, offsets = rows_of([128] * 64)
    began, rounds = time.process_time(), 30
    for seed in range(rounds):
        masked = mask_tokens(ids, offsets, VOCABULARY, seed, Masking(strategy=strategy))
        place_predictions(masked, offsets, 20)
    assert rounds * len(ids) / (time.process_time() - began) > 2e6

"""Plans of packed batches: every example once, none over another, and little room left."""

import time

import numpy as np
import pytest

from keras_bert_suite.data import packed_places, packed_row_length, plan_packed_batches, row_counts

RANDOM_LENGTHS = np.random.default_rng(0).integers(3, 65, 203)


def plan_of(lengths, batch_size=16, row_length=64, seed=0, **options):
    return plan_packed_batches(lengths, batch_size, row_length, np.random.default_rng(seed), **options)


@pytest.mark.parametrize("granularity", ["coarse", "exact"])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(
    "lengths", [RANDOM_LENGTHS, [64] * 20, [1] * 70, [5], [40, 3]], ids=["random", "full", "shortest", "one", "two"]
)
def test_every_example_has_a_place_of_its_own(lengths, shuffle, granularity):
    lengths = np.asarray(lengths)
    plan = plan_of(lengths, shuffle=shuffle, granularity=granularity)
    assert sorted(np.concatenate([batch.examples for batch in plan]).tolist()) == list(range(len(lengths)))
    assert [len(batch.examples) for batch in plan[:-1]] == [16] * (len(plan) - 1)
    for batch in plan:
        taken = np.zeros((batch.size, batch.length), int)
        for example, row, start in zip(batch.examples, batch.rows, batch.starts, strict=True):
            assert start + lengths[example] <= batch.length
            taken[row, start : start + lengths[example]] += 1
        assert taken.max() == 1
        for row in range(batch.size):  # from the left, without holes, numbered from 0
            here = batch.rows == row
            assert taken[row].sum() == (np.flatnonzero(taken[row]).max(initial=-1) + 1)
            assert sorted(batch.places[here].tolist()) == list(range(here.sum()))
            assert batch.places[here].max(initial=0) < packed_places(lengths, 64)


def test_batches_are_those_of_the_permutation():
    """Packing puts nothing but chance together: a batch is what it would be without."""
    plan = plan_of(RANDOM_LENGTHS)
    order = np.random.default_rng(0).permutation(203)
    for number, batch in enumerate(plan):
        assert set(batch.examples) == set(order[16 * number : 16 * (number + 1)])
    in_order = plan_of(RANDOM_LENGTHS, shuffle=False)
    assert [set(batch.examples) for batch in in_order] == [set(range(n, min(n + 16, 203))) for n in range(0, 203, 16)]


def test_the_plan_depends_on_the_generator_alone():
    def flat(plan):
        return [np.concatenate(batch[:4]).tolist() for batch in plan]

    assert flat(plan_of(RANDOM_LENGTHS)) == flat(plan_of(RANDOM_LENGTHS)) != flat(plan_of(RANDOM_LENGTHS, seed=1))


def test_first_fit_decreasing():
    """Against the textbook's loop."""
    for batch in plan_of(RANDOM_LENGTHS, places=50):
        filled = []
        for length in sorted(RANDOM_LENGTHS[batch.examples], reverse=True):
            row = next((row for row, tokens in enumerate(filled) if tokens + length <= 64), None)
            if row is None:
                filled.append(0)
                row = len(filled) - 1
            filled[row] += length
        assert np.bincount(batch.rows, RANDOM_LENGTHS[batch.examples]).tolist() == filled


def test_numbers_of_rows_come_from_a_small_set():
    assert row_counts(40) == (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40)
    assert row_counts(6, "exact") == (1, 2, 3, 4, 5, 6)
    plan = plan_of(RANDOM_LENGTHS.repeat(20), batch_size=32)
    assert {batch.size for batch in plan} <= set(row_counts(40))
    assert len({batch.size for batch in plan}) <= 5
    assert plan[-1].size >= min(batch.size for batch in plan[:-1])


def test_short_examples_leave_little_padding():
    lengths = np.random.default_rng(1).gamma(3, 9, 5000).astype(int).clip(3, 128)
    plan = plan_of(lengths, batch_size=32, row_length=128)
    assert 1 - lengths.sum() / sum(batch.size * batch.length for batch in plan) < 0.15


def test_a_hundred_thousand_examples_are_planned_in_no_time():
    lengths = np.random.default_rng(0).integers(3, 129, 100_000)
    started = time.perf_counter()
    plan_of(lengths, batch_size=32, row_length=128)
    assert time.perf_counter() - started < 5


def test_no_examples():
    assert plan_of([]) == []
    assert packed_row_length([]) == 128
    assert packed_places([], 128) == 1


def test_rows_hold_the_longest_example():
    assert [packed_row_length([3, longest]) for longest in (5, 128, 129, 512)] == [128, 128, 192, 512]


def test_an_example_longer_than_a_row():
    with pytest.raises(ValueError, match="no example may be longer than a row, 64 tokens. Received: example 1 of 65"):
        plan_of([3, 65])
    with pytest.raises(ValueError, match=r"one number an example. Received: shape \(1, 2\)"):
        plan_of([[3, 4]])

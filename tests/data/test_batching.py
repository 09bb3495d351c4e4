"""Every row is planned exactly once, in few shapes, with little padding, and deterministically."""

from itertools import pairwise

import numpy as np
import pytest

from keras_bert_suite.data import bucket_lengths, padding_share, plan_prediction_batches, plan_training_batches


def sentence_lengths(count, seed=0):
    return np.clip(np.random.default_rng(seed).lognormal(3.2, 0.6, count), 3, 128).astype(int)


def check_plan(plan, lengths, buckets):
    """Assert what holds for every plan: each row once, padded to the smallest bucket of its longest row."""
    rows = np.concatenate([batch.rows for batch in plan])
    assert np.array_equal(np.sort(rows), np.arange(len(lengths)))
    for batch in plan:
        assert 0 < len(batch.rows) <= batch.size
        longest = np.asarray(lengths)[batch.rows].max()
        assert batch.length == min(bucket for bucket in buckets if bucket >= longest)


def shapes(plan):
    return {(batch.length, batch.size) for batch in plan}


@pytest.mark.parametrize("max_length", [1, 7, 8, 16, 17, 48, 100, 128, 130, 512, 4096])
def test_bucket_lengths(max_length):
    coarse, exact = bucket_lengths(max_length), bucket_lengths(max_length, "exact")
    for buckets in (coarse, exact):
        assert buckets[-1] == max_length
        assert list(buckets) == sorted(set(buckets))
    assert all(length % 8 == 0 for length in coarse[:-1])
    assert all(longer <= 1.5 * shorter for shorter, longer in pairwise(coarse))
    assert exact == tuple(range(1, max_length + 1))


def test_coarse_buckets_are_few():
    assert bucket_lengths(512) == (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("fixed_shapes", [True, False])
def test_prediction_plans(seed, fixed_shapes):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 129, size=rng.integers(1, 3000))
    buckets = bucket_lengths(128, ("coarse", "exact")[seed % 2])
    tokens = int(rng.integers(1, 5000))
    plan = plan_prediction_batches(lengths, buckets, tokens, fixed_shapes)
    check_plan(plan, lengths, buckets)
    assert all(batch.length * batch.size <= tokens or batch.size == 1 for batch in plan)
    if fixed_shapes:
        assert all(len(batch.rows) == batch.size for batch in plan[:-1])
        assert len(shapes(plan[:-1])) <= len(buckets)
    else:
        assert all(len(batch.rows) == batch.size for batch in plan)


def test_answers_return_to_the_callers_order():
    lengths = sentence_lengths(1000)
    answers = np.zeros(1000, int)
    for batch in plan_prediction_batches(lengths, bucket_lengths(128), 2048):
        answers[batch.rows] = lengths[batch.rows]
    assert np.array_equal(answers, lengths)


def test_a_small_request_is_not_computed_as_a_large_one():
    (batch,) = plan_prediction_batches([5, 9, 7], bucket_lengths(128), 8192)
    assert (batch.rows.tolist(), batch.length, batch.size) == ([1, 2, 0], 16, 4)


def test_longest_first_so_that_memory_runs_out_at_once_or_never():
    plan = plan_prediction_batches(sentence_lengths(5000), bucket_lengths(128), 4096)
    assert [batch.length for batch in plan] == sorted((batch.length for batch in plan), reverse=True)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("shuffle", [True, False])
def test_training_plans(seed, shuffle):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 129, size=rng.integers(1, 3000))
    buckets = bucket_lengths(128)
    batch_size = int(rng.integers(1, 70))
    plan = plan_training_batches(lengths, batch_size, buckets, rng, shuffle)
    check_plan(plan, lengths, buckets)
    assert all(len(batch.rows) == batch_size for batch in plan[:-1])
    assert {batch.size for batch in plan} == {batch_size}
    if not shuffle:
        assert np.array_equal(np.concatenate([batch.rows for batch in plan]), np.arange(len(lengths)))


def test_training_plans_depend_on_the_generator_only():
    lengths, buckets = sentence_lengths(1000), bucket_lengths(128)

    def rows(seed):
        plan = plan_training_batches(lengths, 32, buckets, np.random.default_rng(seed))
        return np.concatenate([batch.rows for batch in plan]).tolist()

    assert rows(1) == rows(1)
    assert rows(1) != rows(2)


def test_epochs_differ_even_when_rows_are_few():
    lengths, buckets = np.arange(1, 101), bucket_lengths(128)
    rng = np.random.default_rng(0)
    first, second = (
        {frozenset(batch.rows.tolist()) for batch in plan_training_batches(lengths, 8, buckets, rng)} for _ in range(2)
    )
    assert len(first & second) == 0


def test_the_partial_batch_and_the_order_of_batches_do_not_depend_on_length():
    lengths, buckets = np.arange(1, 129), bucket_lengths(128)
    last_rows, first_rows = [], []
    for seed in range(300):
        plan = plan_training_batches(lengths, 10, buckets, np.random.default_rng(seed))
        last_rows.append(lengths[plan[-1].rows].mean())
        first_rows.append(lengths[plan[0].rows].mean())
    assert abs(np.mean(last_rows) - 64.5) < 5
    assert abs(np.mean(first_rows) - 64.5) < 5


def test_padding_is_little():
    lengths, coarse, exact = sentence_lengths(100_000), bucket_lengths(128), bucket_lengths(128, "exact")
    rng = np.random.default_rng(0)
    assert padding_share(plan_prediction_batches(lengths, coarse, 4096), lengths) < 0.20
    assert padding_share(plan_prediction_batches(lengths, exact, 4096, fixed_shapes=False), lengths) < 0.01
    assert padding_share(plan_training_batches(lengths, 32, coarse, rng), lengths) < 0.21
    unsorted = padding_share(plan_training_batches(lengths, 32, coarse, rng, window=1), lengths)
    assert unsorted > 0.6


def test_padding_share_is_counted_by_hand():
    lengths = [3, 5, 9]
    plan = plan_training_batches(lengths, 2, (8, 16), np.random.default_rng(0), shuffle=False)
    assert padding_share(plan, lengths) == pytest.approx(1 - 17 / (2 * 8 + 2 * 16))
    assert padding_share([], []) == 0.0


def test_no_rows():
    assert plan_prediction_batches([], (8,), 64) == []
    assert plan_training_batches([], 2, (8,), np.random.default_rng(0)) == []


@pytest.mark.parametrize("plan", [plan_prediction_batches, lambda *args: plan_training_batches(*args, None)])
def test_faulty_arguments_of_plans(plan):
    def call(lengths, buckets, number=8):
        arguments = (lengths, buckets, number) if plan is plan_prediction_batches else (lengths, number, buckets)
        return plan(*arguments)

    with pytest.raises(
        ValueError, match=r"no row may be longer than the last bucket, 16. Received: row 1 of 17 tokens."
    ):
        call([3, 17], (8, 16))
    with pytest.raises(ValueError, match=r"buckets must be ascending lengths above 0. Received: \[16, 8\]."):
        call([3], (16, 8))
    with pytest.raises(ValueError, match=r"buckets must be .* Received: \[\]. Use bucket_lengths."):
        call([3], ())
    with pytest.raises(ValueError, match=r"lengths must be one number a row. Received: shape \(1, 1\)."):
        call([[3]], (8,))
    with pytest.raises(ValueError, match=r"must be above 0"):
        call([3], (8,), 0)


def test_faulty_arguments_of_buckets():
    with pytest.raises(ValueError, match=r"bucket_lengths: max_length must be above 0. Received: max_length=0."):
        bucket_lengths(0)
    with pytest.raises(ValueError, match=r"granularity must be one of 'coarse', 'exact'. Received: granularity='x'."):
        bucket_lengths(8, "x")

"""Warm-up and decay, at the steps where they turn, and inside an optimizer."""

import json

import keras
import numpy as np
import pytest

from keras_bert_suite.training.schedules import LinearWarmupDecay, PerUpdate, build_schedule


def rates(schedule, steps):
    return [float(schedule(step)) for step in steps]


def test_rises_to_the_peak_and_falls_to_zero():
    schedule = LinearWarmupDecay(2e-4, total_steps=100, warmup_steps=20)
    expected = [0, 1e-5, 1e-4, 1.9e-4, 2e-4, 1e-4, 2.5e-6, 0, 0]
    np.testing.assert_allclose(rates(schedule, [0, 1, 10, 19, 20, 60, 99, 100, 250]), expected, atol=1e-10)


def test_without_warm_up_it_starts_at_the_peak():
    np.testing.assert_allclose(rates(LinearWarmupDecay(1.0, 4), range(6)), [1, 0.75, 0.5, 0.25, 0, 0])


def test_nothing_but_warm_up():
    np.testing.assert_allclose(rates(LinearWarmupDecay(1.0, 2, warmup_steps=2), range(4)), [0, 0.5, 0, 0])


@pytest.mark.parametrize("total_steps", [0, 1])
def test_hardly_any_steps(total_steps):
    assert np.isfinite(rates(LinearWarmupDecay(1.0, total_steps), range(4))).all()


@pytest.mark.parametrize("warmup_steps", [0, 7])
@pytest.mark.parametrize("name", ["linear", "cosine", "constant"])
def test_equal_to_the_schedule_of_transformers(name, warmup_steps):
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=3e-5)
    build = getattr(transformers, f"get_{name}_schedule_with_warmup")
    total = {} if name == "constant" else {"num_training_steps": 50}
    theirs = build(optimizer, num_warmup_steps=warmup_steps, **total)
    ours = build_schedule(name, 3e-5, total_steps=50, warmup_steps=warmup_steps)
    for number in range(51):  # beyond the last step a cosine of transformers rises again
        rate = ours if isinstance(ours, float) else float(ours(number))
        assert rate == pytest.approx(theirs.get_last_lr()[0], abs=1e-11)
        optimizer.step()
        theirs.step()


@pytest.mark.parametrize("name", ["linear", "cosine"])
@pytest.mark.parametrize(("total_steps", "warmup_steps"), [(0, 0), (1, 1), (10, 10), (10, 0), (10, 3)])
def test_the_rate_is_never_above_the_peak_and_ends_at_0(name, total_steps, warmup_steps):
    found = rates(build_schedule(name, 1.0, total_steps, warmup_steps), range(30))
    assert all(0 <= rate <= 1 for rate in found)
    assert found[max(total_steps, 1) + 1 :] == [pytest.approx(0, abs=1e-6)] * (29 - max(total_steps, 1))


def test_a_schedule_over_updates_moves_once_for_all_batches_of_an_update():
    inside = build_schedule("cosine", 1.0, total_steps=4, warmup_steps=1)
    schedule = PerUpdate(inside, accumulation_steps=3)
    assert rates(schedule, range(15)) == [rate for rate in rates(inside, range(5)) for _ in range(3)]
    again = keras.optimizers.schedules.deserialize(
        json.loads(json.dumps(keras.optimizers.schedules.serialize(schedule)))
    )
    assert rates(again, range(15)) == rates(schedule, range(15))


def test_config_survives_json():
    schedule = LinearWarmupDecay(2e-4, total_steps=100, warmup_steps=20)
    again = LinearWarmupDecay.from_config(json.loads(json.dumps(schedule.get_config())))
    assert again.get_config() == schedule.get_config()
    optimizer = keras.optimizers.deserialize(keras.optimizers.serialize(keras.optimizers.SGD(schedule)))
    assert optimizer.get_config()["learning_rate"] == keras.optimizers.SGD(schedule).get_config()["learning_rate"]


@pytest.mark.parametrize(("warmup_steps", "total_steps"), [(11, 10), (-1, 10), (0, -1)])
def test_steps_that_cannot_be(warmup_steps, total_steps):
    with pytest.raises(ValueError, match=f"warmup_steps={warmup_steps}, total_steps={total_steps}"):
        LinearWarmupDecay(1.0, total_steps, warmup_steps)

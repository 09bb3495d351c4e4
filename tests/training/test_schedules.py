"""Warm-up and decay, at the steps where they turn, and inside an optimizer."""

import json

import keras
import numpy as np
import pytest

from keras_bert_suite.training import LinearWarmupDecay


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


def test_equal_to_the_schedule_of_transformers():
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=3e-5)
    theirs = transformers.get_linear_schedule_with_warmup(optimizer, num_warmup_steps=7, num_training_steps=50)
    ours = LinearWarmupDecay(3e-5, total_steps=50, warmup_steps=7)
    for step in range(55):
        assert float(ours(step)) == pytest.approx(theirs.get_last_lr()[0], abs=1e-11)
        optimizer.step()
        theirs.step()


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

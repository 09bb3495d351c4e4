"""What is printed of a training and put into its logs, held against clocks and schedules of the test's own."""

import io
import re
import sys
import time

import keras
import numpy as np
import pytest

from keras_bert_suite.training import LinearWarmupDecay
from keras_bert_suite.training.progress import ProgressBar, current_learning_rate


class Terminal(io.StringIO):
    def isatty(self):
        return True


def make_model(**options):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    options = {"optimizer": keras.optimizers.SGD(1e-3), "loss": "mse", "metrics": ["mae"], **options}
    model.compile(**options)
    return model


def fit(model, callbacks, rows=12, **options):
    x = np.random.default_rng(0).normal(size=(rows, 3)).astype("float32")
    return model.fit(x, x.sum(-1), batch_size=2, verbose=0, callbacks=callbacks, **options)


def test_each_epoch_gives_one_plain_line_where_there_is_no_terminal(capsys):
    fit(make_model(), [ProgressBar(batch_size=2)], epochs=3, validation_split=0.5)
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert captured.out == ""
    assert len(lines) == 3
    for number, line in enumerate(lines, 1):
        assert line.startswith(f"epoch {number}/3, 3 steps in 0:0")
        found = re.findall(r"(loss|mae|val_loss|val_mae) \d+\.\d{4}\b", line)
        assert found == ["loss", "mae", "val_loss", "val_mae"]
        assert "learning rate 1.00e-03" in line
        assert re.search(r"[\d,.]+ examples/s", line)
        assert (" left" in line) == (number < 3)


def test_the_line_tells_the_losses_of_the_history(capsys):
    history = fit(make_model(), [ProgressBar(batch_size=2)], epochs=2).history
    printed = [float(value) for value in re.findall(r", loss ([\d.]+)", capsys.readouterr().err)]
    np.testing.assert_allclose(printed, history["loss"], atol=6e-5)


def test_speed_and_learning_rate_reach_the_history():
    schedule = LinearWarmupDecay(0.5, total_steps=10)
    model = make_model(optimizer=keras.optimizers.SGD(schedule))
    callback = ProgressBar(num_examples=12)
    began = time.monotonic()
    history = fit(model, [callback], epochs=1).history
    assert history["examples_per_second"][0] > 12 / (time.monotonic() - began)
    np.testing.assert_allclose(history["learning_rate"], [0.5 * (10 - 6) / 10], rtol=1e-6)


def test_a_data_set_says_how_many_examples_it_has():
    class Data:
        num_examples = 7

    assert ProgressBar(Data()).num_examples == 7
    by_epoch = ProgressBar(lambda epoch: 10**epoch)
    assert "examples_per_second" in fit(make_model(), [by_epoch], epochs=2).history
    assert by_epoch.num_examples == 10
    with pytest.raises(ValueError, match=r"ProgressBar: batch_size must be above 0. Received: batch_size=0"):
        ProgressBar(batch_size=0)


def test_without_a_size_the_speed_is_in_steps(capsys):
    history = fit(make_model(), [ProgressBar()]).history
    assert " steps/s" in capsys.readouterr().err
    assert "examples_per_second" not in history


def test_a_terminal_shows_a_bar_and_keeps_one_line_an_epoch(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("keras_bert_suite.training.progress.REDRAW", 0)
    schedule = LinearWarmupDecay(0.5, total_steps=12)
    model = make_model(optimizer=keras.optimizers.SGD(schedule))
    fit(model, [ProgressBar(batch_size=2)], epochs=2, validation_data=(np.ones((2, 3)), np.ones(2)))
    text = terminal.getvalue()
    drawn = [part for part in text.split("\r") if part.startswith("epoch 1/2") and "6/6" in part]
    assert re.search(r"epoch 1/2(, validating)? 100%\|#+\| 6/6, [\d:]+ left, loss [\d.e-]+, mae", drawn[0])
    assert "learning rate 2.50e-01" in drawn[0]  # after 6 of 12 steps, without asking the optimizer
    assert "epoch 1/2, validating" in text
    kept = [line for line in re.sub(r"[^\n]*\r", "", text).splitlines() if line.strip()]
    assert [line.partition(",")[0] for line in kept] == ["epoch 1/2", "epoch 2/2"]


def test_the_learning_rate_on_the_bar_follows_gradient_accumulation(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("keras_bert_suite.training.progress.REDRAW", 0)
    optimizer = keras.optimizers.SGD(LinearWarmupDecay(0.5, total_steps=24), gradient_accumulation_steps=2)
    fit(make_model(optimizer=optimizer), [ProgressBar(batch_size=2)], epochs=2)
    drawn = [part for part in terminal.getvalue().split("\r") if part.startswith("epoch 2/2") and "6/6" in part]
    assert f"learning rate {current_learning_rate(optimizer):.2e}" in drawn[0]


def drive(callback, model, first, steps, epochs=1, seconds=0.0):
    """Call the hooks of `callback` as `fit` does for an epoch that starts at step `first`."""
    callback.set_model(model)
    callback.set_params({"epochs": epochs, "steps": steps, "verbose": 0})
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    for batch in range(first, steps):
        callback.on_train_batch_begin(batch)
        time.sleep(seconds)
        callback.on_train_batch_end(batch, {"loss": 1.0})
    logs = {"loss": 1.0}
    callback.on_epoch_end(0, logs)
    return logs


def test_an_epoch_entered_in_its_middle_is_timed_from_there(capsys):
    logs = drive(ProgressBar(num_examples=100), make_model(), first=7, steps=10, seconds=0.05)
    assert capsys.readouterr().err.startswith("epoch 1/1, 3 steps in 0:00, loss 1.0000")
    assert 30 / 0.6 < logs["examples_per_second"] <= 30 / 0.15  # 30 examples, not 100


def test_time_left_is_that_of_the_whole_training(capsys):
    drive(ProgressBar(batch_size=2), make_model(), first=0, steps=10, epochs=41, seconds=0.02)
    minutes, seconds = map(int, re.search(r"(\d+):(\d+) left", capsys.readouterr().err).groups())
    assert 8 <= 60 * minutes + seconds < 30  # 400 steps of at least 0.02 s


def test_batches_may_end_in_any_order():
    callback = ProgressBar(batch_size=1)
    callback.set_model(make_model())
    callback.set_params({"epochs": 1, "steps": 3})
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    callback.on_train_batch_begin(0)
    for batch in (1, 0, 2):
        callback.on_train_batch_end(batch, {"loss": 1.0})
    logs = {}
    callback.on_epoch_end(0, logs)
    assert callback._done == 3


def test_the_model_is_left_alone_while_batches_run(monkeypatch):
    """On JAX, `Callback.model` copies the whole state back into the model's variables."""
    reads = []
    original = keras.callbacks.Callback.model.fget
    hook = []

    class Watched(ProgressBar):
        @property
        def model(self):
            reads.append(bool(hook))
            return original(self)

        def on_train_batch_begin(self, batch, logs=None):
            hook.append(batch)
            super().on_train_batch_begin(batch, logs)
            hook.pop()

        def on_train_batch_end(self, batch, logs=None):
            hook.append(batch)
            super().on_train_batch_end(batch, logs)
            hook.pop()

    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr("keras_bert_suite.training.progress.REDRAW", 0)
    fit(make_model(), [Watched(batch_size=2)])
    assert reads
    assert not any(reads)


def test_it_does_not_make_keras_wait_for_each_batch():
    callbacks = keras.callbacks.CallbackList([ProgressBar()], model=make_model(), epochs=1, steps=1)
    without = keras.callbacks.CallbackList([], model=make_model(), epochs=1, steps=1)
    assert callbacks._async_train == without._async_train


def test_a_data_set_of_unknown_length_is_counted(capsys):
    def batches():
        for _ in range(5):
            yield np.ones((2, 3), "float32"), np.ones(2, "float32")

    make_model().fit(batches(), epochs=1, verbose=0, callbacks=[ProgressBar(batch_size=2)])
    assert "epoch 1/1, 5 steps in" in capsys.readouterr().err

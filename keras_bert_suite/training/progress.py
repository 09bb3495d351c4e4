"""One line for each epoch of a training: what it reached, how fast it goes, how long it will still take."""

import sys
import threading
import time

import keras
from tqdm import tqdm

from keras_bert_suite.errors import check_positive_int

__all__ = ["ProgressBar", "current_learning_rate", "learning_rate_by_batch", "num_updates"]

#: Seconds between two drawings of the bar.
REDRAW = 0.1
#: Entries of the epoch logs that this callback adds, which its line shows in its own words.
ADDED = ("examples_per_second", "learning_rate")


def current_learning_rate(optimizer):
    """Return the rate of the next step of a `keras.optimizers.Optimizer` as float, or `None` where it has none."""
    rate = getattr(optimizer, "learning_rate", None)
    return None if rate is None else float(keras.ops.convert_to_numpy(rate))


def num_updates(optimizer):
    """Return how often an optimizer has updated its variables: int, where `int(variable)` fails if it is mirrored."""
    return int(keras.ops.convert_to_numpy(optimizer.iterations))


def learning_rate_by_batch(optimizer):
    """Return a function from batches trained from now on to the learning rate then.

    It reads no variable of the optimizer later on: on JAX that waits for the
    step under way and copies the whole state.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # inside a LossScaleOptimizer
    # The public property hides the schedule and gives only its value for the present step.
    schedule = getattr(optimizer, "_learning_rate", None)
    if not isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
        rate = current_learning_rate(optimizer)
        return lambda batches: rate
    # Keras counts batches for the schedule, and updates in `iterations`.
    trained = num_updates(optimizer) * (optimizer.gradient_accumulation_steps or 1)
    return lambda batches: float(keras.ops.convert_to_numpy(schedule(trained + batches)))


def _duration(seconds):
    """Write seconds as `0:07`, `12:40` or `3:02:01`."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _number(value):
    if not isinstance(value, (int, float)):
        return str(value)
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{value:.2e}"


def _rate(value):
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


class ProgressBar(keras.callbacks.Callback):
    """Show a training on standard error, and put its speed and learning rate into the epoch logs.

    On a terminal a bar moves while an epoch lasts. Each epoch ends with one
    plain line, also where standard error is a file. Pass `verbose=0` to `fit`,
    and this callback before those that read `examples_per_second` or
    `learning_rate` (the rate after the epoch) from the logs.

    A training that starts within an epoch is timed from there. Time left is
    that of the whole training, validation included.

    Args:
        num_examples: optional int. Examples of one epoch, a data set with an
            attribute of this name, or a function of the epoch, from 0.
            Defaults to steps times `batch_size`.
        batch_size: optional int. Examples of one step. Without either, the
            speed is given in steps.
    Example:
    >>> import keras
    >>> model = keras.Sequential([keras.layers.Dense(1)])
    >>> model.compile(optimizer="sgd", loss="mse")
    >>> history = model.fit(np.ones((6, 2)), np.ones(6), 2, verbose=0, callbacks=[ProgressBar(batch_size=2)])
    >>> sorted(history.history)
    ['examples_per_second', 'learning_rate', 'loss']
    """

    #: Keras may then call `on_train_batch_end` off the thread that trains: reading a loss waits for its step.
    async_safe = True

    def __init__(self, num_examples=None, batch_size=None):
        super().__init__()
        self._examples_of = num_examples if callable(num_examples) else None
        self.num_examples = None if callable(num_examples) else getattr(num_examples, "num_examples", num_examples)
        self.batch_size = batch_size
        given = {"num_examples": self.num_examples, "batch_size": batch_size}
        check_positive_int("ProgressBar", **{name: value for name, value in given.items() if value is not None})
        self._lock = threading.Lock()

    def on_train_begin(self, logs=None):
        self._steps = self.params.get("steps")
        self._timed_before = (0, 0.0)
        self._validation_seconds = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        if self._examples_of is not None:
            self.num_examples = self._examples_of(epoch)
        self._first = None
        self._done = 0
        self._drawn = self._validation_began = None
        self._bar = None
        self._shown = sys.stderr.isatty()
        self._learning_rate = learning_rate_by_batch(self.model.optimizer) if self._shown else None

    def on_train_batch_begin(self, batch, logs=None):
        if self._first is None:
            self._first = self._done = batch
            self._began = self._ended = self._warmed = time.monotonic()
            self._warm_steps = 0
            if self._shown:
                self._bar = tqdm(
                    desc=self._name(), total=self._steps, initial=batch, file=sys.stderr, leave=False,
                    dynamic_ncols=True, bar_format="{desc} {percentage:3.0f}%|{bar:10}| {n_fmt}/{total_fmt}{postfix}",
                )  # fmt: skip

    def on_train_batch_end(self, batch, logs=None):
        with self._lock:  # Keras does not promise the order of asynchronous calls.
            now = time.monotonic()
            if batch < self._done:
                return
            if self._done == self._first:
                self._warmed, self._warm_steps = now, batch + 1 - self._first
            self._done, self._ended = batch + 1, now
            if self._bar is not None and (self._drawn is None or now - self._drawn >= REDRAW):
                self._drawn = now
                self._draw(logs or {})

    def on_test_begin(self, logs=None):
        if getattr(self, "_bar", None) is not None:
            self._bar.set_description_str(f"{self._name()}, validating")
        self._validation_began = time.monotonic()

    def on_test_end(self, logs=None):
        if self._validation_began is not None:
            self._validation_seconds = time.monotonic() - self._validation_began

    def on_epoch_end(self, epoch, logs=None):
        logs = {} if logs is None else logs
        if self._first is None:
            return  # An epoch without a batch.
        steps, timed = self._done - self._first, self._timed()
        self._steps = max(self._steps or 0, self._done)
        speed = self._speed()
        rate = current_learning_rate(self.model.optimizer)
        if self.num_examples or self.batch_size:
            logs["examples_per_second"] = speed
        if rate is not None:
            logs["learning_rate"] = rate
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        seconds = self._ended - self._began + (self._validation_seconds if self._validation_began else 0.0)
        facts = [self._name(), f"{steps} steps in {_duration(seconds)}", *self._facts(logs, rate, speed)]
        tqdm.write(", ".join([*facts, *self._left(timed, ended=True)]), file=sys.stderr)
        self._timed_before = timed

    def _name(self):
        return f"epoch {self._epoch + 1}/{self.params['epochs']}"

    def _speed(self):
        """Examples a second of this epoch; steps, where nothing says how many examples a step has."""
        steps = self._done - self._first
        if self.num_examples and self._steps:
            steps *= self.num_examples / self._steps
        else:
            steps *= self.batch_size or 1
        return steps / max(self._ended - self._began, 1e-9)

    def _timed(self):
        """Steps so far and the seconds they took, without an epoch's first where there are more: it may compile."""
        steps, seconds = self._done - self._first, self._ended - self._began
        if steps > self._warm_steps:
            steps, seconds = steps - self._warm_steps, self._ended - self._warmed
        return self._timed_before[0] + steps, self._timed_before[1] + seconds

    def _facts(self, logs, rate, speed):
        names = [name for name in logs if name not in ADDED]
        names.sort(key=lambda name: (name.startswith("val_"), name.removeprefix("val_") != "loss"))
        facts = [f"{name} {_number(logs[name])}" for name in names]
        if rate is not None:
            facts.append(f"learning rate {rate:.2e}")
        unit = "examples" if self.num_examples or self.batch_size else "steps"
        return [*facts, f"{_rate(speed)} {unit}/s"]

    def _left(self, timed, ended=False):
        """What is left of the whole training, as a list of one fact, or of none where it cannot be known."""
        steps, seconds = timed
        if not steps or not self._steps:
            return []
        epochs = self.params["epochs"] - self._epoch - 1
        left = epochs * self._steps + (0 if ended else max(self._steps - self._done, 0))
        validations = epochs + (0 if ended else 1)
        return [f"{_duration(left * seconds / steps + validations * self._validation_seconds)} left"] if left else []

    def _draw(self, logs):
        speed = self._speed()
        facts = self._facts(logs, self._learning_rate(self._done - self._first), speed)
        self._bar.set_postfix_str(", ".join([*self._left(self._timed()), *facts]), refresh=False)
        self._bar.n = self._done
        self._bar.refresh()

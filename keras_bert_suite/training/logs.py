"""What each epoch of a training reached, as a CSV file and for TensorBoard, going on rightly when it is resumed."""

import csv
import itertools
import os
import socket
import threading
import time
from pathlib import Path

import keras

from keras_bert_suite.errors import require
from keras_bert_suite.files import replaced_file
from keras_bert_suite.training.progress import current_learning_rate, num_updates

__all__ = ["CSVLog", "TensorBoardLog", "read_csv_log"]

#: Parts the event files of one process that were opened within the same second.
_opened = itertools.count()
#: Seconds for which values of batches are held back: Keras may report batches out of order, readers want order.
WAIT = 1.0


def read_csv_log(path):
    """Read the file of `CSVLog` or of `keras.callbacks.CSVLogger`.

    Args:
        path: str or path. A last line that was cut off is passed over.
    Returns:
        dict from column to list of values, one an epoch, `None` where there is
        none: `epoch`, ints from 0, and the rest as in `History.history`.
    Raises:
        ValueError: if the file is not such a log.
    """
    rows = _read_rows(path)
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {name: [row.get(name) for row in rows] for name in names}


def _read_rows(path):
    """Return one dict for each epoch, the last of it that the file has, in order."""
    with open(path, encoding="utf-8", errors="replace", newline="") as file:
        text = file.read()
    lines = list(csv.reader(text.splitlines(keepends=True)))
    if text and not text.endswith(("\n", "\r")):
        lines.pop()  # cut off: its last value may be the beginning of another number
    if lines and lines[0][:1] != ["epoch"]:
        raise ValueError(f"{path} is not a log of epochs: its first column must be 'epoch'. Choose another path.")
    rows = {}
    for line in lines[1:]:
        if line[:1] and line[0].isdecimal() and len(line) == len(lines[0]):
            values = {name: _value(cell) for name, cell in zip(lines[0][1:], line[1:], strict=True)}
            rows[int(line[0])] = {"epoch": int(line[0]), **values}
    return [rows[epoch] for epoch in sorted(rows)]


def _value(cell):
    if cell in ("", "NA"):
        return None
    try:
        return float(cell)
    except ValueError:
        return cell


class CSVLog(keras.callbacks.Callback):
    """Write the logs of every epoch to a CSV file: columns `epoch`, from 0, and the names of the logs, sorted.

    `keras.callbacks.CSVLogger` appends: a training that was killed and repeats
    an epoch has it twice, and a line that was cut off runs into the next. Here
    the file is replaced as a whole after each epoch. A training that starts at
    a later epoch keeps the rows of those before; one that starts at 0 starts anew.

    Args:
        path: str or path.
    Raises:
        ValueError: when training starts, if `path` holds anything but such a log.
    Example:
    >>> import keras, pathlib, tempfile
    >>> model = keras.Sequential([keras.layers.Dense(1)])
    >>> model.compile(optimizer="sgd", loss="mse")
    >>> path = pathlib.Path(tempfile.mkdtemp(), "log.csv")
    >>> for first, last in ((0, 2), (1, 3)):
    ...     history = model.fit(
    ...         np.ones((4, 2)), np.ones(4), initial_epoch=first, epochs=last, verbose=0, callbacks=[CSVLog(path)])
    >>> read_csv_log(path)["epoch"]
    [0, 1, 2]
    """

    def __init__(self, path):
        super().__init__()
        self.path = Path(path)

    def on_train_begin(self, logs=None):
        self._rows = _read_rows(self.path) if self.path.exists() else []

    def on_epoch_end(self, epoch, logs=None):
        self._rows = [row for row in self._rows if row["epoch"] < epoch]
        self._rows.append({"epoch": epoch, **(logs or {})})
        names = sorted({name for row in self._rows for name in row} - {"epoch"})
        with replaced_file(self.path) as file:
            writer = csv.DictWriter(file, ["epoch", *names], restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(self._rows)


class TensorBoardLog(keras.callbacks.Callback):
    """Write scalars for TensorBoard, on any backend and without TensorFlow.

    The runs `train` and `validation` get `epoch_loss` and so on for every entry
    of the epoch logs, and `train` gets `batch_loss`, the mean of its epoch so
    far as Keras reports it. Steps are optimizer updates, so that a resumed
    training goes on where it was. What an earlier one had written beyond that
    point is withdrawn, so give each training a directory of its own.

    Args:
        directory: str or path. On a local disk.
        every_steps: optional int. Updates between two values of `batch_loss`;
            `None` writes none. Defaults to 100.
    Raises:
        ImportError: if the package `tensorboard` is not installed.
    """

    async_safe = True

    def __init__(self, directory, every_steps=100):
        super().__init__()
        require("tensorboard", "TensorBoardLog")
        self.directory = Path(directory)
        self.every_steps = every_steps
        self._writers = {}
        self._lock = threading.Lock()

    def on_train_begin(self, logs=None):
        self._close()
        self._started = None

    def on_epoch_begin(self, epoch, logs=None):
        optimizer = self.model.optimizer
        self._accumulation = getattr(optimizer, "gradient_accumulation_steps", None) or 1
        self._execution = self.model.steps_per_execution
        self._updates = num_updates(optimizer)
        if self._started is None:
            self._started = self._updates
        self._first, self._done = None, 0
        self._waiting, self._written_at = {}, time.monotonic()

    def on_train_batch_begin(self, batch, logs=None):
        if self._first is None:
            self._first = batch  # above 0 where the training starts within an epoch

    def on_train_batch_end(self, batch, logs=None):
        done = batch + 1 - self._first
        with self._lock:
            self._done = max(self._done, done)
            if not self.every_steps or "loss" not in (logs or {}):
                return
            before, after = self._step(done - self._execution), self._step(done)
            if before // self.every_steps < after // self.every_steps:
                self._waiting[after] = logs["loss"]
            if time.monotonic() - self._written_at >= WAIT:
                self._write_waiting()

    def _step(self, done):
        """The number of updates when `done` batches of this epoch are trained."""
        return self._updates + done // self._accumulation

    def _write_waiting(self):
        for step, loss in sorted(self._waiting.items()):
            self._write("train", step, {"batch_loss": loss})
        self._waiting, self._written_at = {}, time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        logs = dict(logs or {})
        rate = current_learning_rate(self.model.optimizer)
        if rate is not None:
            logs.setdefault("learning_rate", rate)
        self._write_waiting()
        for run, starts in (("train", False), ("validation", True)):
            values = {
                f"epoch_{name.removeprefix('val_')}": value
                for name, value in logs.items()
                if name.startswith("val_") == starts and isinstance(value, (int, float))
            }
            if values:
                self._write(run, self._step(self._done), values)

    def on_train_end(self, logs=None):
        self._close()

    def _close(self):
        for file, _ in self._writers.values():
            file.close()
        self._writers = {}

    def _write(self, run, step, values):
        from tensorboard.compat.proto import event_pb2, summary_pb2

        if run not in self._writers:
            self._writers[run] = self._open(run)
        scalars = [summary_pb2.Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        file, records = self._writers[run]
        event = event_pb2.Event(wall_time=time.time(), step=step, summary=summary_pb2.Summary(value=scalars))
        records.write(event.SerializeToString())
        file.flush()

    def _open(self, run):
        """Start an event file. TensorBoard reads those of a directory one after the other, as one run."""
        # EventFileWriter would do, but it imports TensorFlow wherever that is installed.
        from tensorboard.compat.proto import event_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter

        directory = self.directory / run
        directory.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time()):010}.{socket.gethostname()}.{os.getpid()}.{next(_opened)}"
        file = open(directory / name, "ab")  # noqa: SIM115  closed when training ends
        records = RecordWriter(file)
        records.write(event_pb2.Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        event = event_pb2.Event(wall_time=time.time(), step=self._started + 1, session_log=start)
        records.write(event.SerializeToString())
        return file, records

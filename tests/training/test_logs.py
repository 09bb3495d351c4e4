"""CSV and TensorBoard logs of whole, killed and resumed trainings, read back by other programs' readers."""

import csv
import subprocess
import sys
import types

import keras
import numpy as np
import pytest

from keras_bert_suite.training.logs import CSVLog, TensorBoardLog, read_csv_log
from keras_bert_suite.training.progress import ProgressBar

X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
Y = X.sum(-1)


def make_model(**options):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(1e-2, **options), loss="mse", metrics=["mae"])
    return model


def fit(callbacks, model=None, **options):
    return (model or make_model()).fit(X, Y, batch_size=2, verbose=0, callbacks=callbacks, **options)


class Killed(Exception):
    pass


class KillAt(keras.callbacks.Callback):
    """Stop a training as a signal would, within an epoch: no `on_epoch_end`, no `on_train_end`."""

    def __init__(self, epoch, batch=1):
        super().__init__()
        self.at = (epoch, batch)

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.at:
            raise Killed


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_csv_file_holds_the_history(tmp_path):
    history = fit([ProgressBar(batch_size=2), CSVLog(tmp_path / "log.csv")], epochs=3, validation_split=0.5).history
    rows = rows_of(tmp_path / "log.csv")
    assert list(rows[0]) == ["epoch", *sorted(history)]
    assert {"examples_per_second", "learning_rate", "val_mae"} <= set(history)
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    for name, values in history.items():
        assert [float(row[name]) for row in rows] == values
    assert read_csv_log(tmp_path / "log.csv") == {"epoch": [0, 1, 2], **{name: history[name] for name in history}}


def test_the_file_looks_like_that_of_keras(tmp_path):
    fit(
        [CSVLog(tmp_path / "ours.csv"), keras.callbacks.CSVLogger(tmp_path / "keras.csv")],
        epochs=2,
        validation_split=0.5,
    )
    ours, theirs = rows_of(tmp_path / "ours.csv"), rows_of(tmp_path / "keras.csv")
    assert [{name: float(value) for name, value in row.items()} for row in ours] == [
        {name: float(value) for name, value in row.items()} for row in theirs
    ]
    assert read_csv_log(tmp_path / "keras.csv") == read_csv_log(tmp_path / "ours.csv")


def test_an_epoch_that_is_repeated_after_a_kill_is_there_once(tmp_path):
    path = tmp_path / "log.csv"
    with pytest.raises(Killed):
        fit([CSVLog(path), KillAt(epoch=2)], epochs=5)
    assert [row["epoch"] for row in rows_of(path)] == ["0", "1"]
    kept = rows_of(path)[0]
    fit([CSVLog(path)], epochs=4, initial_epoch=1)  # from a checkpoint older than the last row
    assert [row["epoch"] for row in rows_of(path)] == ["0", "1", "2", "3"]
    assert rows_of(path)[0] == kept


def test_a_new_training_starts_a_new_file(tmp_path):
    fit([CSVLog(tmp_path / "log.csv")], epochs=3)
    fit([CSVLog(tmp_path / "log.csv")], epochs=1)
    assert len(rows_of(tmp_path / "log.csv")) == 1


def test_a_line_that_was_cut_off_is_passed_over(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("epoch,loss\n0,1.5\n1,1.25\n1,1.0\n2,0.7", encoding="utf-8")
    assert read_csv_log(path) == {"epoch": [0, 1], "loss": [1.5, 1.0]}
    fit([CSVLog(path)], epochs=3, initial_epoch=2)
    assert [row["epoch"] for row in rows_of(path)] == ["0", "1", "2"]
    assert rows_of(path)[1]["mae"] == ""  # a column that came later


def test_epochs_without_validation_are_empty_cells(tmp_path):
    fit([CSVLog(tmp_path / "log.csv")], epochs=4, validation_data=(X, Y), validation_freq=2)
    found = read_csv_log(tmp_path / "log.csv")["val_loss"]
    assert [value is None for value in found] == [True, False, True, False]


def test_a_number_that_is_none_survives(tmp_path):
    callback = CSVLog(tmp_path / "log.csv")
    callback.on_train_begin()
    callback.on_epoch_end(0, {"loss": float("nan")})
    assert np.isnan(read_csv_log(tmp_path / "log.csv")["loss"][0])


def test_a_file_that_is_no_log_is_not_replaced(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text("text,label\ngood,pos\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"train\.csv is not a log of epochs: its first column must be 'epoch'"):
        fit([CSVLog(path)])
    assert path.read_text(encoding="utf-8") == "text,label\ngood,pos\n"


def scalars(directory, run, tag):
    """`(step, value)` of one tag, as TensorBoard shows it."""
    loading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = loading.EventAccumulator(str(directory / run)).Reload()
    return [(event.step, event.value) for event in found.Scalars(tag)]


@pytest.fixture
def tensorboard(monkeypatch):
    pytest.importorskip("tensorboard")
    monkeypatch.setitem(sys.modules, "tensorboard.compat.notf", types.ModuleType("notf"))  # its reader, without it


@pytest.mark.usefixtures("tensorboard")
def test_tensorboard_reads_the_scalars_of_both_runs(tmp_path):
    callbacks = [ProgressBar(batch_size=2), TensorBoardLog(tmp_path, every_steps=2)]
    history = fit(callbacks, epochs=3, validation_data=(X, Y)).history
    for run, prefix in (("train", ""), ("validation", "val_")):
        for name in ("loss", "mae"):
            steps, values = zip(*scalars(tmp_path, run, f"epoch_{name}"), strict=True)
            assert steps == (4, 8, 12)
            np.testing.assert_allclose(values, history[prefix + name], rtol=1e-6)
    np.testing.assert_allclose(scalars(tmp_path, "train", "epoch_learning_rate"), [(4, 0.01), (8, 0.01), (12, 0.01)])
    steps, values = zip(*scalars(tmp_path, "train", "batch_loss"), strict=True)
    assert steps == (2, 4, 6, 8, 10, 12)
    np.testing.assert_allclose(values[1::2], history["loss"], rtol=1e-5)


@pytest.mark.usefixtures("tensorboard")
def test_a_resumed_training_goes_on_in_the_same_run(tmp_path):
    model = make_model()
    fit([TensorBoardLog(tmp_path, every_steps=1)], model, epochs=1)
    weights = [np.array(variable) for variable in map(keras.ops.convert_to_numpy, model.optimizer.variables)]
    with pytest.raises(Killed):
        fit([TensorBoardLog(tmp_path, every_steps=1), KillAt(epoch=1, batch=2)], model, initial_epoch=1, epochs=3)
    for variable, value in zip(model.optimizer.variables, weights, strict=True):
        variable.assign(value)  # back to the checkpoint
    fit([TensorBoardLog(tmp_path, every_steps=1)], model, initial_epoch=1, epochs=3)
    assert [step for step, _ in scalars(tmp_path, "train", "batch_loss")] == list(range(1, 13))
    assert [step for step, _ in scalars(tmp_path, "train", "epoch_loss")] == [4, 8, 12]


@pytest.mark.usefixtures("tensorboard")
def test_steps_are_updates_under_gradient_accumulation(tmp_path):
    fit([TensorBoardLog(tmp_path, every_steps=1)], make_model(gradient_accumulation_steps=2), epochs=2)
    assert [step for step, _ in scalars(tmp_path, "train", "epoch_loss")] == [2, 4]
    assert [step for step, _ in scalars(tmp_path, "train", "batch_loss")] == [1, 2, 3, 4]


@pytest.mark.usefixtures("tensorboard")
def test_tensorflow_stays_out(tmp_path):
    if keras.backend.backend() == "tensorflow":
        pytest.skip("TensorFlow is the backend")
    code = (
        "import sys, keras, numpy as np\n"
        "from keras_bert_suite.training.logs import TensorBoardLog\n"
        "model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])\n"
        "model.compile(optimizer='sgd', loss='mse')\n"
        f"log = TensorBoardLog({str(tmp_path)!r}, every_steps=1)\n"
        "model.fit(np.ones((4, 3)), np.ones(4), verbose=0, callbacks=[log])\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
    assert list((tmp_path / "train").iterdir())


def test_a_missing_tensorboard_is_named_with_its_remedy(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    remedy = r'TensorBoardLog needs the module tensorboard.*pip install "keras_bert_suite\[tensorboard\]"'
    with pytest.raises(ImportError, match=remedy):
        TensorBoardLog(tmp_path)

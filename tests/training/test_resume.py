"""A training that is killed and goes on ends with the same bits as one that is not."""

import importlib.util
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import ml_dtypes
import numpy as np
import pytest

from keras_bert_suite.errors import CheckpointError, TrainingInterrupted
from keras_bert_suite.training.early_stopping import EarlyStopping
from keras_bert_suite.training.resume import fit_resumable
from keras_bert_suite.training.training_state import find_state, load_state, save_state

SCRIPT = Path(__file__).with_name("small_training.py")
spec = importlib.util.spec_from_file_location("small_training", SCRIPT)
small = importlib.util.module_from_spec(spec)
spec.loader.exec_module(small)


class Killed(Exception):
    pass


class Record(keras.callbacks.Callback):
    """Write down what callbacks are told, and at one event do something."""

    def __init__(self, event=None, action=None):
        super().__init__()
        self.event, self.action, self.seen = event, action, []

    def _tell(self, *event):
        if event == self.event:
            self.action()

    def on_train_begin(self, logs=None):
        self._tell("begin")

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        self._tell("batch", self.epoch, batch)

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append((self.epoch, batch, *logs.values(), random.random(), np.random.random()))

    def on_test_begin(self, logs=None):
        self._tell("validation", self.epoch)

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append((epoch, *logs.values()))

    def on_train_end(self, logs=None):
        self._tell("end")


def die():
    raise Killed


def send(number):
    return lambda: os.kill(os.getpid(), number)


def train(directory, record, **changes):
    """Train a new model, going on in `directory`."""
    random.seed(1)
    model = small.build_model(**small.EVERYTHING)
    random.seed(2)
    np.random.seed(3)
    arguments = {"callbacks": [EarlyStopping(patience=2), record], "save_every_steps": 1, **small.fit_options()}
    return model, fit_resumable(model, small.Batches(), directory=directory, **{**arguments, **changes})


@pytest.fixture(scope="module", autouse=True)
def _compiled_once(tmp_path_factory):
    """On JAX, keep compiled programs: every training here compiles the same."""
    if keras.backend.backend() != "jax":
        yield
        return
    import jax

    with pytest.MonkeyPatch.context() as patch:
        for name, value in (
            ("jax_compilation_cache_dir", str(tmp_path_factory.mktemp("programs"))),
            ("jax_persistent_cache_min_compile_time_secs", 0.0),
            ("jax_persistent_cache_min_entry_size_bytes", -1),
        ):
            patch.setenv(name.upper(), str(value))  # for the processes that are killed
            jax.config.update(name, value)
        yield
    jax.config.update("jax_compilation_cache_dir", None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A training that nothing disturbs: directory, model, history, record."""
    directory = tmp_path_factory.mktemp("whole")
    record = Record()
    return directory, *train(directory, record), record


#: Where a training breaks off, one after the other: within an epoch, before its last batch, after it, between two
#: epochs, on signals in the middle and at the last batch, and when all batches are trained.
BREAKS = [
    (("batch", 0, 1), die, Killed),
    (("batch", 0, 5), die, Killed),
    (("validation", 0), die, Killed),
    (("batch", 1, 0), die, Killed),
    (("batch", 1, 2), send(signal.SIGTERM), TrainingInterrupted),
    (("batch", 1, 5), send(signal.SIGINT), TrainingInterrupted),
    (("batch", 2, 3), die, Killed),
    (("end",), die, Killed),
]


def test_every_bit_is_that_of_an_undisturbed_training(whole, tmp_path):
    _, model, history, undisturbed = whole
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    seen = []
    for event, action, error in BREAKS:
        record = Record(event, action)
        with pytest.raises(error):
            train(tmp_path, record)
        seen += record.seen
        assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == handlers
    record = Record()
    resumed_model, resumed_history = train(tmp_path, record)
    seen += record.seen
    assert small.digest(resumed_model) == small.digest(model)
    assert resumed_history.history == history.history
    assert resumed_history.epoch == history.epoch
    assert 3 <= len(history.epoch) < 5  # stopped early
    assert seen == undisturbed.seen
    assert resumed_model.history is resumed_history


def test_a_training_that_has_ended_only_gives_its_result(whole):
    directory, model, history, _ = whole
    before = sorted(os.listdir(directory))
    again, same = train(directory, Record(("begin",), die))
    assert small.digest(again) == small.digest(model)
    assert same.history == history.history
    assert sorted(os.listdir(directory)) == before == ["step-00000017.safetensors", "step-00000018.safetensors"]


class InOrder(keras.utils.PyDataset):
    """The same batches for `fit`, which announces the end of an epoch once before it trains."""

    def __init__(self):
        super().__init__()
        self.epoch = -1

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return small.Batches(max(self.epoch, 0))[index]

    def on_epoch_end(self):
        self.epoch += 1


def test_undisturbed_it_is_the_training_of_keras(tmp_path):
    # On PyTorch this dropout draws from the generator that Keras' own iterators draw from too.
    rate = 0.0 if keras.backend.backend() == "torch" else 0.2
    results = []
    for resumable in (False, True):
        model = small.build_model(dropout_rate=rate, **small.EVERYTHING)
        stopping = EarlyStopping(patience=2)
        if resumable:
            history = fit_resumable(
                model, small.Batches(), directory=tmp_path, callbacks=[stopping], **small.fit_options()
            )
        else:
            history = model.fit(InOrder(), shuffle=False, callbacks=[stopping], **small.fit_options())
        results.append((small.digest(model), history.history))
    assert results[0] == results[1]


def break_off(directory, event=("batch", 1, 3), **changes):
    with pytest.raises(Killed):
        train(directory, Record(event, die), **changes)


def test_a_damaged_state_is_passed_over_with_a_warning(whole, tmp_path, caplog):
    break_off(tmp_path)
    newest = tmp_path / "step-00000009.safetensors"
    newest.write_bytes(newest.read_bytes()[:-100])
    (tmp_path / ".step-00000010.safetensors.x.partial").mkdir()
    record = Record()
    model, history = train(tmp_path, record)
    assert re.search("step-00000009.safetensors .*The state before it is used", caplog.text)
    assert record.seen[0][:2] == (1, 2)
    assert small.digest(model) == small.digest(whole[1])
    assert history.history == whole[2].history
    assert sorted(os.listdir(tmp_path)) == ["step-00000017.safetensors", "step-00000018.safetensors"]


def test_without_a_whole_state_training_starts_anew(whole, tmp_path, caplog):
    (tmp_path / "step-00000009.safetensors").write_bytes(b"")
    model, _ = train(tmp_path, Record())
    assert "not a whole state" in caplog.text
    assert small.digest(model) == small.digest(whole[1])


def test_a_state_is_read_as_it_was_written_or_not_at_all(tmp_path):
    path = tmp_path / "step-00000001.safetensors"
    rng = np.random.default_rng(0)
    arrays = {
        "a": rng.normal(size=(2, 3)).astype("float32"),
        "b": np.array(7, "int64"),
        "c": rng.normal(size=5).astype(ml_dtypes.bfloat16),
        "d": np.zeros((0, 2), "uint8"),
        "e": np.array([True, False]),
    }
    values = {"number": 0.1 + 0.2, "nothing": None, "nan": float("inf"), "array": np.float32(0.5)}
    save_state(path, arrays, values)
    read, read_values = load_state(path)
    assert read_values == {**values, "array": 0.5}
    assert {name: (array.dtype, array.shape, array.tobytes()) for name, array in read.items()} == {
        name: (array.dtype, array.shape, array.tobytes()) for name, array in arrays.items()
    }
    content = path.read_bytes()
    for place in rng.choice(len(content), 150, replace=False):
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match="step-00000001"):
            load_state(path)
    for length in rng.choice(len(content), 20, replace=False):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match="step-00000001"):
            load_state(path)
    assert not [name for name in os.listdir(tmp_path) if name != path.name]


@pytest.mark.parametrize(
    ("build", "data", "changes", "message"),
    [
        (
            {"units": 7},
            {},
            {},
            r"another model.*model/00000/dense/kernel \(1, 6\);.*model/00000/dense/kernel \(1, 7\);",
        ),
        (
            {"metrics": ()},
            {},
            {},
            "model, optimizer or metrics.* metrics/00002/accuracy/total .*this training: nothing",
        ),
        (
            {"rate": 0.1},
            {},
            {},
            r"optimizer\.learning_rate was 0.05\d* and is 0.1\d*; .*schedule\.initial_learning_rate was 0.05 ",
        ),
        ({"use_ema": False}, {}, {}, r"optimizer\.use_ema was True and is False"),
        ({}, {"seed": 4}, {}, "other data, whose fingerprint was 'random numbers 0' and is 'random numbers 4'"),
        ({}, {}, {"epochs": 6}, "epochs was 5 and is 6"),
        ({}, {}, {"settings": {"batch": {"size": 8}}}, r"batch\.size was None and is 8"),
        ({}, {}, {"callbacks": []}, r"callbacks was \['EarlyStopping'\] and is \[\]"),
    ],
)
def test_a_state_of_something_else_is_refused(whole, tmp_path, build, data, changes, message):
    directory = tmp_path / "state"
    shutil.copytree(whole[0], directory)
    model = small.build_model(**{**small.EVERYTHING, **build})
    arguments = {**small.fit_options(), "callbacks": [EarlyStopping(patience=2)], **changes}
    with pytest.raises(ValueError, match=f"cannot go on from .*{message}.* Train with the same, choose another"):
        fit_resumable(model, small.Batches(**data), directory=directory, **arguments)


def test_arguments_are_checked(tmp_path):
    model = small.build_model()
    with pytest.raises(ValueError, match="must be compiled"):
        fit_resumable(keras.Model(model.inputs, model.outputs), small.Batches(), directory=tmp_path)
    with pytest.raises(TypeError, match=r"a method starting_at.* Received: ndarray"):
        fit_resumable(model, np.ones(3), directory=tmp_path)
    with pytest.raises(TypeError, match="Received: initial_epoch, steps_per_epoch"):
        fit_resumable(model, small.Batches(), directory=tmp_path, initial_epoch=1, steps_per_epoch=2)
    with pytest.raises(TypeError, match="must be JSON values"):
        fit_resumable(model, small.Batches(), directory=tmp_path, settings={"a": object()})


def test_stopping_by_a_score_that_nothing_has():
    stopping = EarlyStopping("val_f1", mode="max")
    with pytest.raises(ValueError, match=r"monitor must be one of .*val_loss.* Received: val_f1"):
        small.build_model().fit(small.Batches(), validation_data=small.Batches(), callbacks=[stopping], verbose=0)


def test_only_so_many_states_are_kept_and_seconds_say_when(tmp_path):
    break_off(tmp_path, ("batch", 2, 3), keep=3, save_every_steps=None, save_every=1000.0)
    assert sorted(os.listdir(tmp_path)) == ["step-00000006.safetensors", "step-00000012.safetensors"]
    break_off(tmp_path, ("batch", 2, 3), keep=3, save_every_steps=None, save_every=0.0)
    assert sorted(os.listdir(tmp_path)) == [f"step-000000{number}.safetensors" for number in (13, 14, 15)]


def test_the_callbacks_of_keras_remember_their_best(tmp_path):
    def callbacks():
        return [
            keras.callbacks.ReduceLROnPlateau("val_loss", patience=1, factor=0.5, min_delta=10.0),
            keras.callbacks.ModelCheckpoint(tmp_path / "best.weights.h5", save_best_only=True, save_weights_only=True),
        ]

    def fit(directory, *more):
        model = small.build_model()
        model.compile(keras.optimizers.SGD(0.1), model.loss, jit_compile=model.jit_compile)
        reducing, checkpoint = callbacks()
        fit_resumable(
            model,
            small.Batches(),
            directory=tmp_path / directory,
            callbacks=[reducing, checkpoint, *more],
            **small.fit_options(),
        )
        return small.digest(model), float(model.optimizer.learning_rate), reducing.best, checkpoint.best

    with pytest.raises(Killed):
        fit("broken", Record(("batch", 3, 2), die))
    assert fit("broken") == fit("whole")


def kill_until_it_ends(directory, kills, seed):
    """Run the script, killing it at random moments so many times; return what it prints in the end."""
    rng = np.random.default_rng(seed)
    log = directory.with_suffix(".log")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    for _ in range(kills):
        before = log.stat().st_size if log.exists() else 0
        process = subprocess.Popen([sys.executable, str(SCRIPT), str(directory)], env=environment)
        while process.poll() is None and (not log.exists() or log.stat().st_size <= before):
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.1 / kills))  # Now it trains, saves, or validates.
        process.kill()
        process.wait()
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(directory)], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.split()[-1]


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_random_moments_it_ends_with_the_same_bits(whole, tmp_path, kills):
    assert kill_until_it_ends(tmp_path / "states", kills, seed=kills) == small.digest(whole[1])


def test_find_state_finds_nothing_where_nothing_is(tmp_path):
    assert find_state(tmp_path / "absent") is None


def test_a_state_counts_when_it_is_whole_in_all_processes(tmp_path, caplog):
    folders = [tmp_path / "process-0", tmp_path / "process-1"]
    for folder in folders:
        for batches in (3, 6):
            save_state(
                folder / f"step-{batches:08}.safetensors", {"a": np.zeros(9)}, {"epoch": batches // 3, "step": 0}
            )
    newest = folders[1] / "step-00000006.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1])
    for own, peer in (folders, folders[::-1]):
        caplog.clear()
        path, _, values = find_state(own, [peer])
        assert "process-1/step-00000006.safetensors is not a whole state" in caplog.text
        assert (path.parent, values["epoch"]) == (own, 1)
    # One was saved before, and one after the validation that follows the last batch.
    save_state(newest, {"a": np.zeros(9)}, {"epoch": 1, "step": 3})
    assert find_state(folders[0], folders[1:])[2]["epoch"] == 1
    shutil.rmtree(folders[1])
    assert find_state(folders[0], folders[1:]) is None
    assert "training begins anew" in caplog.text

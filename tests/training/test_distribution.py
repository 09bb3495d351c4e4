"""Two and four devices, and two processes, train to the same weights as one; what cannot be is refused or ends."""

import json
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_bert_suite.training import BucketedDataset
from keras_bert_suite.training.distribution import current_distribution, distribute
from keras_bert_suite.training.distribution.base import Distribution, GoOnTogether
from keras_bert_suite.training.distribution.shares import SharedDataset, check_same_data, share_rows
from tests.support.tiny import tiny_classifier, tiny_texts, tiny_tokenizer
from tests.training.launching import BACKEND, finish, free_ports, on_devices, start, two_processes

SCRIPT = Path(__file__).with_name("distributed_fits.py")
COMMANDS = Path(__file__).with_name("distributed_commands.py")
not_torch = pytest.mark.skipif(BACKEND == "torch", reason="PyTorch has one device a process")


def results(cases):
    """Run named cases; on TensorFlow, which cannot change it, one process for each number of devices."""
    groups = {}
    for name, case in cases.items():
        count = len(case.get("options", {}).get("devices", "1"))
        groups.setdefault(count if BACKEND == "tensorflow" else None, []).append(name)
    ended = finish([start(SCRIPT, [cases[name] for name in names]) for names in groups.values()])
    for _, status, err in ended:
        assert status == 0, err[-3000:]
    return {
        name: one
        for names, (found, *_) in zip(groups.values(), ended, strict=True)
        for name, one in zip(names, found, strict=True)
    }


def assert_equal_training(found, expected):
    for name, values in found["history"].items():
        np.testing.assert_allclose(values, expected["history"][name], rtol=0, atol=1e-5, err_msg=name)
    np.testing.assert_allclose(found["weights"], expected["weights"], rtol=0, atol=1e-5)


# Several devices of one process


@pytest.fixture(scope="module")
def on_logical_devices(tmp_path_factory):
    directory = tmp_path_factory.mktemp("saved") / "classifier"
    tiny_classifier(
        ["neg", "pos"], num_heads=4, num_layers=1, dropout_rate=0.0, attention_dropout_rate=0.0
    ).save_pretrained(directory)
    refused = {"refused": True, "epochs": 1}
    cases = {
        "one": {"strategy": None, "validate": True},
        "two": {**on_devices("data-parallel", 2), "validate": True},
        "four": on_devices("data-parallel", 4),
        "adamw one": {**on_devices("data-parallel", 1), "optimizer": "adamw"},
        "adamw two": {**on_devices("data-parallel", 2), "optimizer": "adamw"},
        "loaded": {**on_devices("data-parallel", 2), "directory": str(directory)},
        "task one": {"strategy": None, "directory": str(directory), "task": True},
        "task two": {**on_devices("data-parallel", 2), "directory": str(directory), "task": True},
        "batch": {**on_devices("data-parallel", 4), "batch_size": 6, **refused},
    }
    if BACKEND == "jax":
        modern = {"config": {"pre_norm": True, "positions": "rotary", "num_segments": 0, "hidden_dim": 16}, "epochs": 1}
        cases |= {
            "split": on_devices("model-parallel", 4, model_parallel=2),
            "adamw split": {**on_devices("model-parallel", 4, model_parallel=4), "optimizer": "adamw"},
            "loaded split": {**on_devices("model-parallel", 4, model_parallel=2), "directory": str(directory)},
            "heads": {**on_devices("model-parallel", 4, model_parallel=4), "config": {"num_heads": 6}, **refused},
            "sizes": {**on_devices("model-parallel", 4), "config": {"intermediate_dim": 22}, **refused},
            "mesh": {**on_devices("model-parallel", 4, model_parallel=3), **refused},
            "gated one": {"strategy": None, **modern},
            "gated split": {**on_devices("model-parallel", 4, model_parallel=2), **modern},
        }
    return results(cases)


@not_torch
@pytest.mark.parametrize(("name", "replicas"), [("two", 2), ("four", 4)])
def test_several_devices_train_as_one(on_logical_devices, name, replicas):
    assert on_logical_devices[name]["num_replicas"] == replicas
    assert_equal_training(on_logical_devices[name], on_logical_devices["one"])


@not_torch
def test_gradients_are_clipped_together(on_logical_devices):
    assert_equal_training(on_logical_devices["adamw two"], on_logical_devices["adamw one"])


@not_torch
def test_a_checkpoint_is_loaded_into_place(on_logical_devices):
    expected = "MirroredVariable" if BACKEND == "tensorflow" else "'batch': 2"
    assert expected in on_logical_devices["loaded"]["placement"]
    assert_equal_training(on_logical_devices["loaded"], on_logical_devices["one"])


@not_torch
def test_a_task_spreads_itself(on_logical_devices):
    found, expected = on_logical_devices["task two"], on_logical_devices["task one"]
    np.testing.assert_allclose(found["loss"], expected["loss"], rtol=1e-5)


@not_torch
def test_a_batch_that_cannot_be_divided_is_refused(on_logical_devices):
    error = on_logical_devices["batch"]["error"]
    assert "Received: 6 rows, 4 replicas. Use a batch size of 4 or 8." in error


@pytest.mark.skipif(BACKEND != "jax", reason="only JAX splits weights")
def test_split_weights_train_as_whole_ones(on_logical_devices):
    found = on_logical_devices["split"]
    assert found["num_replicas"] == 2
    assert "spec=P(None, 'model')" in found["placement"]
    assert_equal_training(found, on_logical_devices["one"])
    assert_equal_training(on_logical_devices["adamw split"], on_logical_devices["adamw one"])
    assert_equal_training(on_logical_devices["loaded split"], on_logical_devices["one"])


@pytest.mark.skipif(BACKEND != "jax", reason="only JAX splits weights")
def test_a_gate_is_not_broken_by_splitting(on_logical_devices):
    assert_equal_training(on_logical_devices["gated split"], on_logical_devices["gated one"])


@pytest.mark.skipif(BACKEND != "jax", reason="only JAX splits weights")
def test_meshes_that_do_not_fit_are_refused(on_logical_devices):
    assert "model_parallel=4, num_heads=6. Use one of 1, 2, 3, 6." in on_logical_devices["heads"]["error"]
    assert "block_0/feed_forward/intermediate/kernel of shape (12, 22)" in on_logical_devices["sizes"]["error"]
    assert "model_parallel=3, 4 devices. Use one of 1, 2, 4." in on_logical_devices["mesh"]["error"]


# Several processes


@pytest.fixture(scope="module")
def in_processes(tmp_path_factory):
    """What one process finds, and what two do, the second of which is killed in the end, and what they do then."""
    strategy = {"tensorflow": "multi-worker"}.get(BACKEND, "data-parallel")
    shared = {"strategy": strategy, "options": {"timeout": 20}}
    cases = [
        {**shared, "validate": True},
        {**shared, "optimizer": "clipped", "epochs": 1},
        {**shared, "different_data": True, "refused": True},
        {**shared, "die": 1, "die_epoch": 1, "epochs": 3, "states": str(tmp_path_factory.mktemp("states"))},
    ]
    if BACKEND == "jax":
        cases.insert(3, {**shared, "strategy": "model-parallel", "refused": True})
    one = {"strategy": "data-parallel", "options": {}} if BACKEND != "torch" else {"strategy": None}
    alone = start(
        SCRIPT, [{"strategy": None, "validate": True}, {**one, "optimizer": "clipped", "epochs": 1}], devices=1
    )
    (expected, status, err) = finish([alone])[0]
    assert status == 0, err[-3000:]
    began = time.monotonic()
    ended = finish(two_processes(SCRIPT, cases))
    seconds = time.monotonic() - began
    again = {name: value for name, value in cases[-1].items() if name != "die"}
    unkilled = {**again, "states": str(tmp_path_factory.mktemp("states"))}
    damaged = {**unkilled, "damaged": 1}
    return expected, ended, seconds, finish(two_processes(SCRIPT, [again, unkilled, damaged, unkilled]))


def test_two_processes_train_as_one(in_processes):
    expected, ended, *_ = in_processes
    for index, (found, _, err) in enumerate(ended):
        assert len(found) == 3 + (BACKEND == "jax"), err[-3000:]
        assert (found[0]["num_replicas"], found[0]["num_processes"], found[0]["is_chief"]) == (2, 2, index == 0)
        for one, other in zip(found[:2], expected, strict=True):
            assert_equal_training(one, other)


def test_processes_have_equal_weights(in_processes):
    first, second = (found for found, _, _ in in_processes[1])
    for one, other in zip(first[:2], second[:2], strict=True):
        assert one["weights"] == other["weights"]
        if BACKEND != "torch":  # there the chief's go out when training begins
            assert one["fresh"] == other["fresh"]


def test_different_data_in_two_processes_are_refused(in_processes):
    for found, _, _ in in_processes[1]:
        assert "every process must be given the same data, in the same order" in found[2]["error"]


@pytest.mark.skipif(BACKEND != "jax", reason="only JAX splits weights")
def test_weights_that_no_process_has_whole_are_refused(in_processes):
    for found, _, _ in in_processes[1]:
        assert "Received: model_parallel=2, 1 devices in this process. Use one of 1." in found[3]["error"]


def test_a_killed_worker_ends_the_others(in_processes):
    _, ((_, first, error), (_, second, _)), seconds, _ = in_processes
    assert second == -9
    assert first not in (0, -9)
    assert "ConnectionError: distribute: another process of the training ended" in error
    assert seconds < 120


def test_killed_processes_go_on_to_the_same_weights(in_processes):
    for found, _, err in in_processes[3]:
        assert len(found) == 4, err[-3000:]
        resumed, uninterrupted, after_damage, finished_before = found
        for one in (resumed, after_damage, finished_before):
            assert len(one["history"]["loss"]) == 3
            assert_equal_training(one, uninterrupted)


def test_a_command_in_two_processes_scores_and_goes_on(tmp_path):
    tiny_classifier(["neg", "pos"], num_layers=1).save_pretrained(tmp_path / "start")
    data = tmp_path / "data.tsv"
    data.write_text("text\tlabel\n" + "".join(map("{}\t{}\n".format, *tiny_texts(29))), encoding="utf-8")
    strategy = {"tensorflow": "multi-worker"}.get(BACKEND, "data-parallel")
    words = ["finetune", "text-classification", "--strategy", strategy, "--model", str(tmp_path / "start")]
    words += ["--train", str(data), "--dev", str(data), "--epochs", "1", "--batch-size", "8"]
    words += ["--output", str(tmp_path / "out" / "model")]
    ended = finish(two_processes(COMMANDS, [{"words": words, "stopped": True}, {"words": words}]))
    codes, statuses, errors = zip(*ended, strict=True)
    assert (codes, statuses) == (([130, 0], [0, 0]), (0, 0)), "".join(errors)[-3000:]
    assert all("it is finished" in error for error in errors)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["model"]
    report = json.loads((tmp_path / "out" / "model" / "report.json").read_text(encoding="utf-8"))
    assert report["summary"]["examples"] == 29


# In this process


def test_without_a_strategy_nothing_changes():
    dataset = object()
    with distribute(None) as distribution:
        assert current_distribution() is distribution
        assert distribution.dataset(dataset) is dataset
        assert distribution.callbacks() == []
        assert (distribution.name, distribution.num_replicas, distribution.is_chief) == (None, 1, True)
    assert current_distribution().num_replicas == 1


def test_a_strategy_of_another_backend_is_refused():
    other = {"tensorflow": "model-parallel", "jax": "mirrored", "torch": "tpu"}[BACKEND]
    with (
        pytest.raises(ValueError, match=rf"on the {BACKEND} backend: strategy must be one of None, 'data-parallel'"),
        distribute(other),
    ):
        pass


def test_an_option_of_another_strategy_is_refused():
    with pytest.raises(ValueError, match="Received: tpu"), distribute("data-parallel", tpu="local"):
        pass


@pytest.mark.skipif(BACKEND == "jax", reason="JAX needs no launcher for one process")
def test_a_missing_launcher_is_named(monkeypatch):
    for name in ("TF_CONFIG", "RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    strategy, named = {"tensorflow": ("multi-worker", "TF_CONFIG"), "torch": ("data-parallel", "torchrun")}[BACKEND]
    with pytest.raises(ValueError, match=named), distribute(strategy):
        pass


@pytest.mark.skipif(BACKEND != "torch", reason="the other backends need no callback to be right")
def test_forgotten_callbacks_are_an_error(monkeypatch):
    environment = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_ports(1)[0])}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    texts, _ = tiny_texts(16)
    classifier = tiny_classifier(["neg", "pos"])
    classifier.model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    dataset = BucketedDataset(tiny_tokenizer().encode(texts), np.arange(16) % 2, 8, 32)
    with (
        pytest.raises(RuntimeError, match=r"callbacks=distribution.callbacks\(\)"),
        distribute("data-parallel", timeout=20) as distribution,
    ):
        classifier.model.fit(distribution.dataset(dataset), verbose=0, shuffle=False)


class InTurn(Distribution):
    """Several processes, each asked after the other."""

    def __init__(self):
        self.told = []

    def gather(self, numbers):
        self.told.append(numbers)
        return np.array(self.told)


def test_processes_that_begin_at_different_places_are_refused():
    classifier = tiny_classifier(["neg", "pos"])
    classifier.model.compile("sgd", "mse")
    check = GoOnTogether(InTurn())
    check.set_model(classifier.model)
    for epoch in (2, 2):
        check.on_train_begin()
        check.on_epoch_begin(epoch)
        check.on_epoch_begin(epoch + 1)  # once is enough
    check.on_train_begin()
    with pytest.raises(ValueError, match="Received: epoch 2 after 0 updates, epoch 3 after 0 updates. Let all"):
        check.on_epoch_begin(1)


def test_one_other_label_in_the_last_batch_is_noticed():
    encoded = tiny_tokenizer().encode(tiny_texts(16)[0])
    processes = InTurn()
    for _ in range(2):
        dataset = BucketedDataset(encoded, np.arange(16), 8, 32)
        check_same_data(processes, dataset)
    last = int(dataset[1][1][-1])
    dataset.targets[last] = 0
    with pytest.raises(ValueError, match="Received: data sets that differ"):
        check_same_data(processes, dataset)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="the other backends accumulate under any strategy")
def test_accumulation_under_a_strategy_is_refused():
    texts, labels = tiny_texts(16)
    with distribute("mirrored", devices=["CPU:0"]):
        classifier = tiny_classifier(["neg", "pos"])
        classifier.compile(accumulation_steps=2)
        with pytest.raises(ValueError, match="Received: accumulation_steps=2. Leave it out"):
            classifier.fit(texts, labels, epochs=1, batch_size=8, seed=0, verbose=0)


# Shares


@pytest.mark.parametrize("num_shares", [1, 2, 3, 4])
@pytest.mark.parametrize("real", [1, 5, 7, 11, 12])
@pytest.mark.parametrize("weighted", [False, True], ids=["ones", "weighted"])
def test_the_mean_of_the_shares_is_the_mean_of_the_batch(num_shares, real, weighted):
    rng = np.random.default_rng(real)
    weights = np.zeros(12)
    weights[:real] = rng.uniform(0.1, 3, real) if weighted else 1
    losses = rng.normal(size=12)
    rows, parts = share_rows(weights, num_shares)
    assert rows.shape == parts.shape == (num_shares, rows.shape[1])
    shared = weights[rows] * parts
    np.testing.assert_allclose(shared.sum(axis=1), weights.sum() / num_shares, rtol=1e-6)
    means = (shared * losses[rows]).sum(axis=1) / shared.sum(axis=1)
    np.testing.assert_allclose(means.mean(), np.average(losses, weights=weights), rtol=1e-6)
    whole = np.zeros(12)
    np.add.at(whole, rows, parts)
    np.testing.assert_allclose(whole[weights > 0], 1, rtol=1e-6)


@pytest.mark.parametrize("num_shares", [1, 2, 3])
def test_each_output_has_its_own_mean(num_shares):
    rng = np.random.default_rng(num_shares)
    weights = {"a": np.ones((11,)), "b": rng.integers(0, 4, (11, 5)).astype("float64"), "c": np.zeros(11)}
    losses = {name: rng.normal(size=array.shape) for name, array in weights.items()}
    dataset = SharedDataset(Batches((np.arange(11), losses, weights)), num_shares)
    _, shared_losses, shared = dataset[0]
    for name, array in weights.items():
        each, parts = (part[name].reshape(num_shares, -1) for part in (shared_losses, shared))
        if name == "c":
            assert not parts.any()
        else:
            means = (each * parts).sum(axis=1) / parts.sum(axis=1)
            np.testing.assert_allclose(means.mean(), np.average(losses[name], weights=array), rtol=1e-5)


class Batches(keras.utils.PyDataset):
    def __init__(self, *batches, **attributes):
        super().__init__()
        self.batches = batches
        vars(self).update(attributes)

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


def test_copies_of_an_example_stay_together():
    rows = np.arange(12).repeat(2)
    weights = np.ones(24, "float32") * (rows < 7)
    dataset = SharedDataset(Batches((rows, rows, weights), copies=2), 4)
    inputs, targets, found = dataset[0]
    assert inputs.tolist() == targets.tolist()
    assert (inputs[::2] == inputs[1::2]).all()
    np.testing.assert_allclose(found.reshape(4, -1).sum(axis=1), 14 / 4)


def test_several_weights_a_row_are_shared_out_by_their_sum():
    weights = np.array([[1, 1], [1, 0], [1, 1], [0, 0]], "float32")  # two examples a row
    rows = np.arange(4)
    inputs, _, found = SharedDataset(Batches((rows, rows, weights)), 2)[0]
    assert found.shape == (len(inputs), 2)
    np.testing.assert_allclose(found.reshape(2, -1).sum(axis=1), 2.5)


def test_a_partial_batch_without_weights_is_refused():
    dataset = SharedDataset(Batches((np.arange(4), np.arange(4)), (np.arange(3), np.arange(3))), 2)
    assert [part.tolist() for part in dataset[0]] == [[0, 1, 2, 3]] * 2
    with pytest.raises(ValueError, match="Use a batch size of 2 or 4, or yield sample weights too"):
        dataset[1]


def test_what_is_left_of_an_epoch_is_shared_too():
    texts, _ = tiny_texts(29)
    whole = BucketedDataset(tiny_tokenizer().encode(texts), np.arange(29), 8, 32)
    left = SharedDataset(whole, 2, slice(1, 2)).starting_at(1, step=2)
    assert len(left) == len(whole) - 2
    assert len(left[0][1]) == 4

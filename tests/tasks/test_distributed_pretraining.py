"""Several logical devices, and two processes, pretrain as one device does."""

from pathlib import Path

import numpy as np
import pytest

from tests.tasks.small_corpus import write_corpus
from tests.training.launching import BACKEND, finish, on_devices, start, two_processes

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("distributed_pretraining.py")
CASES = {"pairs": {"kind": "next_sentence"}, "packed": {"kind": "documents", "packing": True}}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What each case became: alone, on logical devices where the backend has them, and in two processes."""
    folder = tmp_path_factory.mktemp("corpora")
    cases = [{**case, "corpus": str(write_corpus(folder / name, case["kind"]))} for name, case in CASES.items()]
    runs = {"alone": [start(SCRIPT, [{**case, "strategy": None} for case in cases], devices=1)]}
    if BACKEND != "torch":
        spread = [{**case, **on_devices("data-parallel", 4)} for case in cases]
        runs["devices"] = [start(SCRIPT, spread)]
    if BACKEND == "jax":
        parted = [{**case, "num_heads": 4, **on_devices("model-parallel", 4, model_parallel=2)} for case in cases[:1]]
        runs["parted"] = [start(SCRIPT, parted)]
        runs["alone, 4 heads"] = [start(SCRIPT, [{**cases[0], "num_heads": 4, "strategy": None}], devices=1)]
    runs["processes"] = two_processes(SCRIPT, [{**case, "strategy": "data-parallel"} for case in cases])
    ended = finish([process for processes in runs.values() for process in processes], timeout=900)
    for _, status, error in ended:
        assert status == 0, error[-3000:]
    results = iter(ended)
    return {name: [next(results)[0] for _ in processes] for name, processes in runs.items()}


def check_alike(one, other, replicas):
    assert other["replicas"] == replicas
    np.testing.assert_allclose(other["loss"], one["loss"], rtol=2e-2)  # Keras means losses over batches by rows
    np.testing.assert_allclose(other["weights"], one["weights"], rtol=0, atol=2e-3)


@pytest.mark.parametrize("place", range(len(CASES)), ids=CASES)
def test_several_devices_do_what_one_does(found, place):
    if "devices" not in found:
        pytest.skip("Keras on PyTorch has one device a process")
    check_alike(found["alone"][0][place], found["devices"][0][place], 4)


def test_parted_weights_do_what_whole_ones_do(found):
    if "parted" not in found:
        pytest.skip("only JAX parts weights")
    check_alike(found["alone, 4 heads"][0][0], found["parted"][0][0], 2)


@pytest.mark.parametrize("place", range(len(CASES)), ids=CASES)
def test_two_processes_do_what_one_does(found, place):
    for other in found["processes"]:
        check_alike(found["alone"][0][place], other[place], 2)

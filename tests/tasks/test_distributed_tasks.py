"""Every task trains alike on one device and on two: logical devices, or two processes on PyTorch."""

from pathlib import Path

import numpy as np
import pytest

from tests.training.launching import BACKEND, finish, on_devices, start, two_processes

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("distributed_tasks.py")
KINDS = [
    "texts", "several labels", "words", "field", "questions", "choices", "relations", "embeddings", "joint", "mixed",
]  # fmt: skip
CASES = {kind: {"kind": kind} for kind in KINDS}
CASES |= {f"{kind}, packed": {"kind": kind, "packing": True} for kind in ("texts", "words")}


@pytest.fixture(scope="module")
def found():
    alone = start(SCRIPT, [{**case, "strategy": None} for case in CASES.values()], devices=1)
    if BACKEND == "torch":
        spread = two_processes(SCRIPT, [{**case, "strategy": "data-parallel"} for case in CASES.values()])
    else:
        spread = [start(SCRIPT, [{**case, **on_devices("data-parallel", 2)} for case in CASES.values()])]
    ended = finish([alone, *spread], timeout=900)
    for _, status, error in ended:
        assert status == 0, error[-3000:]
    return {name: [results[place] for results, *_ in ended] for place, name in enumerate(CASES)}


@pytest.mark.parametrize("name", CASES)
def test_it_becomes_what_it_becomes_on_one_device(found, name):
    alone, *spread = found[name]
    for others in spread:
        assert others["replicas"] == 2
        # Of several outputs Keras means the losses of batches by their rows, of which one may be part of two shares.
        rtol = 0.05 if name in ("joint", "mixed") else 1e-5
        np.testing.assert_allclose(others["loss"], alone["loss"], rtol=rtol)
        np.testing.assert_allclose(others["vectors"], alone["vectors"], rtol=0, atol=1e-3)

"""Which tests run once per backend, the backend where none is chosen, and one seed for every test."""

import importlib.util
import os
import random
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.compiling import XLA_FLAGS

BACKENDS = ("tensorflow", "jax", "torch")
#: Folders whose every test touches Keras, and so runs once on each backend; and one inside them that does not.
PER_BACKEND = ("layers", "models", "checkpoints", "training", "tasks")
WITHOUT_KERAS = ("checkpoints", "arrays")
HERE = Path(__file__).parent

# Before anything imports Keras or the client of the Hub.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# A wrong name must not ask the network; test_source.py has a Hub of its own.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("KERAS_BACKEND", next(filter(importlib.util.find_spec, BACKENDS), "tensorflow"))
if os.environ["KERAS_BACKEND"] == "jax":
    os.environ.setdefault("XLA_FLAGS", XLA_FLAGS)


def pytest_report_header():
    return f"keras backend: {os.environ['KERAS_BACKEND']}"


def pytest_collection_modifyitems(items):
    for item in items:
        folders = item.path.relative_to(HERE).parts
        if folders[0] in PER_BACKEND and folders[:2] != WITHOUT_KERAS:
            item.add_marker(pytest.mark.per_backend)
        if item.get_closest_marker("tensorflow") and importlib.util.find_spec("tensorflow") is None:
            item.add_marker(pytest.mark.skip(reason="TensorFlow is not installed"))


@pytest.fixture(autouse=True, scope="module")
def _no_programs_left():
    """Let go of what JAX compiled for a file of tests: by the last file it would be gigabytes."""
    yield
    if "jax" in sys.modules and os.environ["KERAS_BACKEND"] == "jax":
        sys.modules["jax"].clear_caches()


@pytest.fixture(autouse=True)
def _one_seed():
    """Give every test the same random numbers, whichever ran before it: Keras draws its seeds from `random`."""
    random.seed(0)
    np.random.seed(0)

"""Which tests, and which cases of a test, run every time."""

import os

import pytest


def rarely_all(values, *always):
    """Return the cases for `parametrize`: all but those in `always` are left to `make test-slow`."""
    return [value if value in always else pytest.param(value, marks=pytest.mark.slow) for value in values]


def slow_to_compile(test):
    """Run it every time on PyTorch; where programs are traced and compiled first, leave it to `make test-slow`."""
    return test if os.environ["KERAS_BACKEND"] == "torch" else pytest.mark.slow(test)

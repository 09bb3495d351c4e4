"""Exception types and the few checks that every floor above shares.

An error says its subject, the rule, what was received and the remedy, on one
line. Edges (files, checkpoints, the command line) add the path and, where
there is one, the line number.
"""

import importlib
import numbers

__all__ = [
    "ArtifactError",
    "CheckpointError",
    "DataError",
    "TrainingInterrupted",
    "check_choice",
    "check_positive_int",
    "check_rate",
    "require",
    "shortened",
]

#: The pip extra that brings a module that not every installation has.
EXTRAS = {
    "ai_edge_litert": "export",
    "ai_edge_quantizer": "export",
    "aiohttp": "serve",
    "apache_beam": "beam",
    "flatbuffers": "export",
    "google": "serve",
    "grpc": "serve",
    "jax": "jax",
    "kagglehub": "hub",
    "keras_hub": "hub",
    "onnx": "export",
    "onnxruntime": "export",
    "openvino": "openvino",
    "optuna": "tune",
    "prometheus_client": "serve",
    "pyarrow": "parquet",
    "rjieba": "pretrain",
    "sentencex": "pretrain",
    "tensorboard": "tensorboard",
    "tensorflow": "tensorflow",
    "tensorflow_serving": "serve",
    "tensorflow_text": "tensorflow",
    "tf2onnx": "export",
    "torch": "torch",
}


class DataError(ValueError):
    """A file or record that the user brought breaks a rule.

    Args:
        message: str. Rule, what was received, remedy.
        path: optional str or path. The file, put in front of the message.
        line: optional int, counted from 1. Its line, put after the path.
    """

    def __init__(self, message, path=None, line=None):
        where = "" if path is None else f"{path}: " if line is None else f"{path}:{line}: "
        super().__init__(where + message)
        self.path = path
        self.line = line


class CheckpointError(ValueError):
    """A checkpoint directory is incomplete, damaged or contradicts itself."""


class ArtifactError(RuntimeError):
    """An exported artifact could not be written, or does not agree with its model."""


class TrainingInterrupted(RuntimeError):
    """Training ended early on a signal, after its state was saved; the same call goes on from there.

    Args:
        path: path of the state.
        step: int. Batches trained so far, over all epochs.
        signal_number: int. The signal.
    """

    def __init__(self, path, step, signal_number):
        super().__init__(
            f"training was interrupted after {step} batches; its state is saved in {path}. "
            "Run the same command again to go on."
        )
        self.path = path
        self.step = step
        self.signal_number = signal_number


def check_choice(subject, name, value, choices):
    """Raise `ValueError` unless `value` is one of `choices`."""
    if value not in choices:
        allowed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{subject}: {name} must be one of {allowed}. Received: {name}={value!r}.")


def check_positive_int(subject, **values):
    """Raise unless every named value is an int above 0."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{subject}: {name} must be an int. Received: {name}={value!r}.")
        if value <= 0:
            raise ValueError(f"{subject}: {name} must be above 0. Received: {name}={value}.")


def check_rate(subject, **values):
    """Raise unless every named value is a probability in [0, 1)."""
    for name, value in values.items():
        if not isinstance(value, numbers.Real):
            raise TypeError(f"{subject}: {name} must be a number in [0, 1). Received: {name}={value!r}.")
        if not 0 <= value < 1:
            raise ValueError(f"{subject}: {name} must be in [0, 1). Received: {name}={value!r}.")


def require(module, purpose):
    """Import and return `module`, or say which `pip install` line brings it.

    Args:
        module: str. Dotted module name.
        purpose: str. What needs it, e.g. `"LiteRT export"`.
    Raises:
        ImportError: if the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        extra = EXTRAS.get(module.split(".")[0])
        remedy = f"keras_bert_suite[{extra}]" if extra else module
        raise ImportError(
            f'{purpose} needs the module {module}, which cannot be imported ({error}). Run: pip install "{remedy}"'
        ) from error


def shortened(items, most=8):
    """Join `items` for a message, naming at most `most` of them."""
    items = list(items)
    return "; ".join(items[:most]) + (f"; and {len(items) - most} more" if len(items) > most else "")

"""What can be written: the formats by name, what each needs, and where its file lies."""

import importlib.util
from typing import NamedTuple

__all__ = ["FORMATS", "SPECIFICATIONS", "Specification", "available_formats", "check_available", "check_formats"]


class Specification(NamedTuple):
    """One format.

    Args:
        file: str. Path of the artifact inside the output directory.
        writers: tuple of str. Modules that writing and checking it needs.
        runtimes: tuple of str. Modules that running it needs.
        tolerance: optional float. The largest difference of probabilities from
            Keras; `None` where the format rounds the weights.
    """

    file: str
    writers: tuple
    runtimes: tuple
    tolerance: float | None


_LITERT = {"writers": ("tensorflow", "ai_edge_litert", "flatbuffers"), "runtimes": ("ai_edge_litert", "flatbuffers")}

SPECIFICATIONS = {
    "saved_model": Specification("saved_model", ("tensorflow",), ("tensorflow",), 1e-4),
    "litert": Specification("litert/model.tflite", **_LITERT, tolerance=1e-4),
    "litert-int8": Specification("litert-int8/model.tflite", **_LITERT, tolerance=None),
    "onnx": Specification("onnx/model.onnx", ("tensorflow", "tf2onnx", "onnx", "onnxruntime"), ("onnxruntime",), 1e-4),
}

FORMATS = tuple(SPECIFICATIONS)


def check_formats(formats):
    """Return the formats asked for, each once; a str is one format.

    Raises:
        ValueError: if there is none, or one that is not in `FORMATS`.
    """
    formats = tuple(dict.fromkeys([formats] if isinstance(formats, str) else formats))
    unknown = [name for name in formats if name not in SPECIFICATIONS]
    if unknown or not formats:
        raise ValueError(
            f"export: formats must be out of {', '.join(FORMATS)}. Received: formats={list(formats)}. "
            f"{'Remove ' + ', '.join(map(repr, unknown)) if unknown else 'Name at least one'}."
        )
    return formats


def available_formats():
    """Tell which formats can be written here, without importing what they need.

    Returns:
        dict from format to `None`, or to what is missing and the `pip install` line.
    Example:
    >>> from keras_bert_suite import export
    >>> sorted(export.available_formats())
    ['litert', 'litert-int8', 'onnx', 'saved_model']
    """
    return {name: _reason(specification.writers) for name, specification in SPECIFICATIONS.items()}


def check_available(formats, runtimes_only=False):
    """Raise `ImportError` unless everything that `formats` need is installed."""
    for name in formats:
        specification = SPECIFICATIONS[name]
        reason = _reason(specification.runtimes if runtimes_only else specification.writers)
        if reason:
            raise ImportError(f"{name} {'verification' if runtimes_only else 'export'} needs {reason}")


def _reason(modules):
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if not missing:
        return None
    plural = len(missing) > 1
    return (
        f"the module{'s' * plural} {', '.join(missing)}, which {'are' if plural else 'is'} not installed. "
        'Run: pip install "keras_bert_suite[export]"'
    )

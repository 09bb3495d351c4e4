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
        size: float. Its bytes, as share of the float32 weights.
        tolerance: optional float. The largest difference of probabilities from
            Keras; `None` where the format rounds the weights.
        calibrated: bool. Whether writing it needs typical texts.
    """

    file: str
    writers: tuple
    runtimes: tuple
    size: float = 1.0
    tolerance: float | None = None
    calibrated: bool = False


_LITERT = {"writers": ("tensorflow", "ai_edge_litert", "flatbuffers"), "runtimes": ("ai_edge_litert",)}
_ROUNDED = {**_LITERT, "writers": (*_LITERT["writers"], "ai_edge_quantizer"), "size": 0.27}
_ONNX = {"writers": ("tensorflow", "tf2onnx", "onnx", "onnxruntime"), "runtimes": ("onnxruntime",)}
_OPENVINO = {"writers": (*_ONNX["writers"], "openvino"), "runtimes": ("openvino",)}

SPECIFICATIONS = {
    "saved_model": Specification("saved_model", ("tensorflow",), ("tensorflow",), tolerance=1e-4),
    "tf-serving": Specification("tf-serving", ("tensorflow", "tensorflow_serving"), ("tensorflow",), tolerance=1e-4),
    "litert": Specification("litert/model.tflite", **_LITERT, tolerance=1e-4),
    "litert-float16": Specification("litert-float16/model.tflite", **_LITERT, size=0.5),
    "litert-int8": Specification("litert-int8/model.tflite", **_ROUNDED),
    "litert-full-int8": Specification("litert-full-int8/model.tflite", **_ROUNDED, calibrated=True),
    "litert-int4": Specification("litert-int4/model.tflite", **_ROUNDED),
    "onnx": Specification("onnx/model.onnx", **_ONNX, tolerance=1e-4),
    "onnx-int8": Specification("onnx-int8/model.onnx", **_ONNX, size=0.27),
    "onnx-static-int8": Specification("onnx-static-int8/model.onnx", **_ONNX, size=0.27, calibrated=True),
    "openvino": Specification("openvino/model.xml", **_OPENVINO, tolerance=1e-4),
}

#: The extra of pyproject.toml that brings a module, where it is not `export`.
EXTRAS = {"openvino": "openvino", "tensorflow_serving": "serve"}

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
    >>> sorted(export.available_formats())[:3]
    ['litert', 'litert-float16', 'litert-full-int8']
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
    extra = next((found for name, found in EXTRAS.items() if name in missing), "export")
    return (
        f"the module{'s' * plural} {', '.join(missing)}, which {'are' if plural else 'is'} not installed. "
        f'Run: pip install "keras_bert_suite[{extra}]"'
    )

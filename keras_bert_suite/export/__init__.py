"""Leaving Keras: SavedModel, LiteRT, ONNX and OpenVINO files, each checked against the model it came from.

Artifacts are written by a worker process with the TensorFlow backend, from
whatever backend the caller runs, and run in processes of their own; this side
imports neither TensorFlow nor any runtime.
"""

import importlib

_HOMES = {
    "FORMATS": "formats",
    "Report": "report",
    "available_formats": "formats",
    "export_task": "exporting",
    "open_artifact": "artifact",
    "verify_artifacts": "verify",
}

__all__ = sorted(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__():
    return __all__

"""Foreign formats, one file each, over one table of names per family, in both directions.

The names below are imported when they are first used: to look into a checkpoint
takes no Keras.
"""

import importlib

#: Public name -> the module that defines it.
_HOMES = {
    "HEADS": "checkpoint",
    "Checkpoint": "checkpoint",
    "from_model": "transfer",
    "load_encoder": "model",
    "load_head": "model",
    "load_model": "model",
    "load_weights": "transfer",
    "open_checkpoint": "open",
    "save_encoder": "model",
    "save_model": "model",
}

__all__ = sorted(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)

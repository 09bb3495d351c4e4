"""Serving: a local server that answers as TF Serving does, and a client for either.

Importing this package imports no backend and no server: its names are loaded
when they are first used.
"""

import importlib

__all__ = ["Client", "Limits", "ServerError", "serve"]

_HOMES = {"Client": "client", "Limits": "limits", "ServerError": "transport", "serve": "server"}


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)

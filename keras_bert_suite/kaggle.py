"""Kaggle Models, where KerasHub keeps its presets: from a preset's name or handle to a local directory.

KerasHub is never imported for it, since that would start a backend: the names
and versions are read out of its source.
"""

import difflib
import errno
import importlib.util
import re
from pathlib import Path

from keras_bert_suite.errors import CheckpointError, require

__all__ = ["fetch_preset", "fetch_version", "preset_like"]

#: The families of KerasHub whose presets this package opens.
FAMILIES = ("albert", "bert", "distil_bert", "electra", "roberta", "xlm_roberta")

PRESET_LIKE = re.compile(rf"({'|'.join(FAMILIES)})_[a-z0-9_.]+")
HANDLE = re.compile(r"kaggle://[^/\s]+/[^/\s]+/[^/\s]+/[^/\s]+(/\d+)?")


def preset_like(name):
    """Return `name` where it is, or can only be meant as, a KerasHub preset; else `None`."""
    return name if "/" not in name and (PRESET_LIKE.fullmatch(name) or name in preset_handles()) else None


def preset_handles():
    """Return `{name: handle}` of the presets that the installed KerasHub knows; empty where there is none.

    The handles have a version, which KerasHub raises with its own format.
    """
    spec = importlib.util.find_spec("keras_hub")
    if spec is None:
        return {}
    handles = {}
    for family in FAMILIES:
        for path in Path(spec.submodule_search_locations[0]).glob(f"src/models/{family}/{family}_presets.py"):
            for handle in re.findall(r'"(kaggle://[^"\s]+)"', path.read_text(encoding="utf-8")):
                handles[handle.split("/")[5]] = handle
    return handles


def fetch_preset(name):
    """Return the local directory of a KerasHub preset, e.g. `"bert_tiny_en_uncased"`.

    Raises:
        ImportError: if KerasHub, which pins the preset's version, is not installed.
        CheckpointError: if there is no such preset, or it cannot be fetched.
    """
    handles = preset_handles()
    if not handles:
        require("keras_hub", f"{name}: no such directory, and the KerasHub preset of that name")
    if name not in handles:
        near = ", ".join(difflib.get_close_matches(name, handles, n=3)) or ", ".join(sorted(handles)[:3])
        raise CheckpointError(f"{name}: no such directory, and no KerasHub preset of that name. Near it: {near}.")
    return fetch_version(handles[name])


def fetch_version(handle):
    """Return the local directory of `kaggle://owner/model/framework/variation`, with or without `/version`.

    Without a version it is the newest, which needs the network even where the
    cache holds it. Cache and credentials are the client's own (`KAGGLEHUB_CACHE`, `KAGGLE_API_TOKEN`).
    """
    if not HANDLE.fullmatch(handle):
        raise CheckpointError(
            f"{handle}: must be kaggle://owner/model/framework/variation, with or without /version. "
            "Example: kaggle://keras/bert/keras/bert_tiny_en_uncased."
        )
    kagglehub = require("kagglehub", handle)
    try:
        return Path(kagglehub.model_download(handle.removeprefix("kaggle://")))
    except Exception as error:  # The client lets through its own errors, those of requests and those of the disk.
        raise CheckpointError(f"{handle}: {_explain(error)}") from error


def _explain(error):
    """Return one line on what is wrong and what to do."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 404:
        return "not on Kaggle. Check the handle and its version."
    if status in (401, 403):
        return f"Kaggle refuses access ({status}). Accept its terms on kaggle.com, and set KAGGLE_API_TOKEN."
    if status is not None:
        return f"Kaggle answered {status}. Try again later."
    if getattr(error, "errno", None) == errno.ENOSPC:
        return "the disk is full. Free some space, or set KAGGLEHUB_CACHE to a folder elsewhere."
    detail = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return f"the download did not finish ({detail}). Check the connection and run it again."

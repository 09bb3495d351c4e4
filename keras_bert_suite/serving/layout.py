"""Where models and their versions lie on disk. Imports no TensorFlow."""

import dataclasses
from pathlib import Path

from keras_bert_suite.errors import require

__all__ = ["ModelPlace", "find_models", "fingerprint"]

GRAPH = "saved_model.pb"

LAYOUTS = (
    "NAME/VERSION/saved_model.pb, a directory of such models, a SavedModel, a directory with saved_model/ "
    "as kbs export writes it, or a models.config file"
)


@dataclasses.dataclass(frozen=True)
class ModelPlace:
    """One model and the versions of it that should be served.

    Args:
        name: str.
        path: path. The directory of versions, or of the only version.
        versioned: bool. Whether the versions are folders below `path`; otherwise `path` is version 1.
        newest: int. How many of the newest versions are served. Defaults to 1.
        specific: tuple of int. Versions served whatever others there are.
        labels: dict from label to version.
    """

    name: str
    path: Path
    versioned: bool = True
    newest: int = 1
    specific: tuple = ()
    labels: dict = dataclasses.field(default_factory=dict)

    def versions(self):
        """Return a dict from every version on disk to its directory, newest first."""
        if not self.versioned:
            return {1: self.path} if self.path.is_dir() else {}
        try:
            found = {int(entry.name): entry for entry in self.path.iterdir() if _is_version(entry)}
        except OSError:
            return {}
        return dict(sorted(found.items(), reverse=True))


def find_models(path, name=None):
    """Return the models at a path.

    Args:
        path: str or path, of one of: a SavedModel; a directory with one named
            `saved_model`; a model's directory of versions; a directory of such
            models; a `models.config` file of TF Serving.
        name: optional str. The name of a single model; its directory's by default.
    Returns:
        list of `ModelPlace`.
    Raises:
        ValueError: if there is no model, or a name for several.
        FileNotFoundError: if there is nothing at `path`.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(2, "there is nothing to serve; give the directory of a model", str(path))
    if path.is_file():
        places = _from_config(path)
    elif (path / GRAPH).is_file():
        own = path.absolute().parent.name if path.name == "saved_model" else path.absolute().name
        places = [ModelPlace(own, path, versioned=False)]
    elif (path / "saved_model" / GRAPH).is_file():
        places = [ModelPlace(path.absolute().name, path / "saved_model", versioned=False)]
    elif any(map(_is_version, path.iterdir())):
        places = [ModelPlace(path.absolute().name, path)]
    elif (path / "models.config").is_file():
        places = _from_config(path / "models.config")
    else:
        places = [
            ModelPlace(entry.name, entry)
            for entry in sorted(path.iterdir())
            if entry.is_dir() and any(map(_is_version, entry.iterdir()))
        ]
    if not places:
        raise ValueError(f"{path} has no model to serve. It must be {LAYOUTS}.")
    if name is None:
        return places
    if len(places) > 1:
        found = ", ".join(place.name for place in places)
        raise ValueError(f"--model-name goes with a single model. {path} has {len(places)}: {found}. Leave it out.")
    return [dataclasses.replace(places[0], name=name)]


def fingerprint(path):
    """Return what changes when a SavedModel's files do, or `None` where there is no complete listing of one."""
    try:
        if not (path / GRAPH).is_file():
            return None
        files = [file for file in sorted(path.rglob("*")) if file.is_file()]
        return tuple((str(file.relative_to(path)), *_size_and_time(file)) for file in files)
    except OSError:  # It is being removed.
        return None


def _size_and_time(file):
    found = file.stat()
    return found.st_size, found.st_mtime_ns


def _is_version(entry):
    # int() takes other scripts' digits, signs and underscores; TF Serving does not.
    return entry.name.isascii() and entry.name.isdigit() and entry.is_dir()


def _from_config(path):
    """Read the `model_config_list` of a `models.config`."""
    text_format = require("google.protobuf.text_format", "reading models.config")
    config_pb2 = require("tensorflow_serving.config.model_server_config_pb2", "reading models.config")
    try:
        config = text_format.Parse(path.read_text(encoding="utf-8"), config_pb2.ModelServerConfig())
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a models.config of TF Serving: {error}") from error
    places = []
    for model in config.model_config_list.config:
        policy = model.model_version_policy
        every = policy.WhichOneof("policy_choice") == "all"
        specific = tuple(policy.specific.versions)
        places.append(
            ModelPlace(
                model.name,
                _existing(Path(model.base_path), path),
                newest=0 if specific else 1 << 30 if every else policy.latest.num_versions or 1,
                specific=specific,
                labels=dict(model.version_labels),
            )
        )
    names = [place.name for place in places]
    if len(set(names)) < len(names) or not all(names):
        raise ValueError(f"{path}: every model needs a name of its own. Received: {', '.join(names)}.")
    return places


def _existing(base, config):
    """Return a base path as written, or, where it names a place in a container, the one beside the config."""
    beside = config.absolute().parent / base.name
    return beside if not base.is_dir() and beside.is_dir() else base

"""The Hugging Face directory: `config.json` and `model.safetensors`, read and written."""

import functools
import json
import logging
import math
import os
import re
from pathlib import Path

from keras_bert_suite.checkpoints.weights import assign_weights, collect_weights, shortened, weight_table
from keras_bert_suite.config import EncoderConfig
from keras_bert_suite.errors import CheckpointError

__all__ = ["Checkpoint", "labels_to_json", "write_checkpoint"]

logger = logging.getLogger(__name__)

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"

#: Our field -> the key in config.json. Both directions.
FIELDS = {
    "vocabulary_size": "vocab_size",
    "hidden_dim": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "intermediate_dim": "intermediate_size",
    "max_length": "max_position_embeddings",
    "num_segments": "type_vocab_size",
    "layer_norm_epsilon": "layer_norm_eps",
    "dropout_rate": "hidden_dropout_prob",
    "attention_dropout_rate": "attention_probs_dropout_prob",
    "initializer_range": "initializer_range",
}

#: `hidden_act` -> our activation; the first of each is the one written.
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}

#: Values that mean a plain BERT encoder; any other is a model this package would get wrong.
REQUIRED_VALUES = {"model_type": "bert", "position_embedding_type": "absolute", "is_decoder": False}

#: First parts of keys that belong to heads, which an encoder leaves aside.
HEAD_PREFIXES = ("classifier.", "cls.", "lm_head.", "qa_outputs.")

#: Buffers that old versions stored among the weights.
BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")


class Checkpoint:
    """One Hugging Face directory, checked as it is read.

    Args:
        directory: str or path. Holds `config.json` and `model.safetensors`.
    Raises:
        CheckpointError: if a file is missing, damaged or describes a model that
            is not a BERT encoder.
    """

    def __init__(self, directory):
        self.directory = Path(directory)
        self.values = self._read_config()

    def _read_config(self):
        path = self.directory / CONFIG_FILE
        if not self.directory.is_dir():
            raise CheckpointError(f"{self.directory}: no such directory. Give the folder that holds {CONFIG_FILE}.")
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            found = shortened(sorted(entry.name for entry in self.directory.iterdir())) or "nothing"
            raise CheckpointError(
                f"{path}: not found; the folder holds {found}. Give a folder in the Hugging Face layout."
            ) from error
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise CheckpointError(f"{path}: not valid JSON ({error}). Download the checkpoint again.") from error
        if not isinstance(values, dict):
            raise CheckpointError(f"{path}: must hold a JSON object. Received: {type(values).__name__}.")
        return values

    @property
    def encoder_config(self):
        """The `EncoderConfig` that config.json describes."""
        path = self.directory / CONFIG_FILE
        for key, required in REQUIRED_VALUES.items():
            if self.values.get(key, required) != required:
                raise CheckpointError(
                    f"{path}: {key} must be {required!r} for a BERT encoder. Received: {key}={self.values[key]!r}."
                )
        missing = [
            FIELDS[name]
            for name in ("hidden_dim", "num_layers", "num_heads", "intermediate_dim")
            if FIELDS[name] not in self.values
        ]
        if "vocab_size" not in self.values:
            missing.append("vocab_size")
        if missing:
            raise CheckpointError(f"{path}: missing {', '.join(missing)}. Use the config.json saved with the weights.")
        activation = self.values.get("hidden_act", "gelu")
        if activation not in tuple(ACTIVATIONS):  # a list in config.json cannot be looked up in a dict
            raise CheckpointError(
                f"{path}: hidden_act must be one of {', '.join(ACTIVATIONS)}. Received: hidden_act={activation!r}."
            )
        values = {ours: self.values[theirs] for ours, theirs in FIELDS.items() if theirs in self.values}
        try:
            return EncoderConfig(**values, activation=ACTIVATIONS[activation])
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"{path}: {error}") from error

    @property
    def labels(self):
        """The label names in order, or `None` where config.json has none."""
        names = self.values.get("id2label")
        if names is None:
            count = self.values.get("num_labels")
            return None if count is None else [f"LABEL_{index}" for index in range(count)]
        try:
            by_index = {int(index): str(name) for index, name in names.items()}
        except (AttributeError, ValueError) as error:
            raise CheckpointError(f"{self.directory / CONFIG_FILE}: id2label must map indices to names.") from error
        if sorted(by_index) != list(range(len(by_index))):
            raise CheckpointError(
                f"{self.directory / CONFIG_FILE}: id2label must number its labels from 0 without a gap. "
                f"Received: {sorted(by_index)}."
            )
        return [by_index[index] for index in range(len(by_index))]

    def _read_weights(self, read):
        """Return `read(file, key)` for every weight, by its bare name: no `bert.` prefix, `weight` and
        `bias` in norms, no buffers."""
        import ml_dtypes  # noqa: F401 (teaches NumPy, and so safetensors, what bfloat16 is)
        import safetensors

        path = self.directory / WEIGHTS_FILE
        if not path.is_file():
            found = shortened(sorted(entry.name for entry in self.directory.iterdir()))
            raise CheckpointError(f"{path}: not found; the folder holds {found}. Weights are read from safetensors.")
        values = {}
        try:
            with safetensors.safe_open(path, framework="numpy") as file:
                for key in file.keys():  # noqa: SIM118 (not a dict)
                    bare = bare_name(key)
                    if bare in BUFFERS:
                        continue
                    if bare in values:
                        raise CheckpointError(f"{path}: two weights mean {bare}. Remove one of them.")
                    values[bare] = read(file, key)
        except (safetensors.SafetensorError, OSError) as error:
            raise CheckpointError(f"{path}: damaged or truncated ({error}). Download the checkpoint again.") from error
        return values

    @functools.cached_property
    def _shapes(self):
        return self._read_weights(lambda file, key: tuple(file.get_slice(key).get_shape()))

    def read_arrays(self):
        """Read the weights as NumPy arrays by their bare names."""
        return self._read_weights(lambda file, key: file.get_tensor(key))

    def may_be(self, architecture):
        """Return whether config.json names this `transformers` class, or none: heads of several share a name."""
        return architecture in (self.values.get("architectures") or [architecture])

    def has_part(self, part):
        """Return whether the weights include a head, e.g. `"classifier"`."""
        return f"{part}.weight" in self._shapes

    def num_outputs(self, head):
        """Return how many outputs a head has that the weights include."""
        return self._shapes[f"{head}.weight"][0]

    def load_into(self, model, head=None):
        """Give `model` the weights of this checkpoint.

        Args:
            model: `keras.Model` with an encoder of this checkpoint's config.
            head: optional str. The head to load as well, e.g. `"classifier"`.
        Returns:
            Sorted list of the parts that the checkpoint lacks and that keep their
            new weights: a subset of `["classifier", "pooler"]`.
        Raises:
            CheckpointError: if a weight of the encoder is missing, unexpected or
                has another shape; nothing is assigned then.
        """
        arrays = self.read_arrays()
        table = weight_table(self.encoder_config, head)
        known = {name.hugging_face for name in table}
        unexpected = [key for key in arrays if key not in known and not key.startswith(HEAD_PREFIXES)]
        if unexpected:
            raise CheckpointError(
                f"{self.directory / WEIGHTS_FILE}: {len(unexpected)} weights have no place in a BERT of "
                f"{self.encoder_config.num_layers} layers: {shortened(sorted(unexpected))}. "
                "Use the config.json that was saved with these weights."
            )
        absent = sorted(
            {name.part for name in table if name.part != "encoder"}
            - {name.part for name in table if name.hugging_face in arrays}
        )
        table = [name for name in table if name.part not in absent]
        assign_weights(model, table, arrays, self.directory / WEIGHTS_FILE)
        if absent:
            logger.warning("%s has no %s: starting from new weights there.", self.directory, " and no ".join(absent))
        return absent


def bare_name(key):
    """Return a foreign key without the marks of its vintage.

    Example:
    >>> from keras_bert_suite.checkpoints.hugging_face import bare_name
    >>> bare_name("bert.embeddings.LayerNorm.gamma")
    'embeddings.LayerNorm.weight'
    """
    key = key.removeprefix("bert.")
    for old, new in ((".gamma", ".weight"), (".beta", ".bias")):
        if key.endswith(old):
            key = key.removesuffix(old) + new
    return key


def labels_to_json(labels):
    """Return the entries of config.json that name the labels."""
    return {
        "id2label": {str(index): name for index, name in enumerate(labels)},
        "label2id": {name: index for index, name in enumerate(labels)},
    }


def config_to_json(config):
    """Return config.json's entries for an `EncoderConfig`."""
    activation = next(theirs for theirs, ours in ACTIVATIONS.items() if ours == config.activation)
    return {
        "model_type": "bert",
        **{theirs: getattr(config, ours) for ours, theirs in FIELDS.items()},
        "hidden_act": activation,
        "position_embedding_type": "absolute",
        "dtype": "float32",
    }


def write_checkpoint(directory, model, config, architecture, head=None, extra=None):
    """Write `config.json` and `model.safetensors` of a model into an existing directory.

    Args:
        directory: path of a directory that exists.
        model: `keras.Model` with an encoder of `config`.
        config: `EncoderConfig`.
        architecture: str. The `transformers` class that opens it.
        head: optional str. The head to write as well.
        extra: optional dict of further entries for config.json.
    """
    import safetensors
    import safetensors.numpy

    arrays = collect_weights(model, weight_table(config, head))
    broken = [name for name, array in arrays.items() if not math.isfinite(float(array.sum(dtype="float64")))]
    if broken:
        logger.warning("%d weights are not finite: %s.", len(broken), shortened(broken))
    if head:
        arrays = {key if key.startswith(head) else f"bert.{key}": array for key, array in arrays.items()}
    try:
        safetensors.numpy.save_file(arrays, directory / WEIGHTS_FILE, metadata={"format": "pt"})
    except safetensors.SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))  # A full disk comes as this.
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from error
    values = {"architectures": [architecture], **config_to_json(config), **(extra or {})}
    (directory / CONFIG_FILE).write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

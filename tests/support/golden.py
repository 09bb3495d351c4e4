"""Golden files of `transformers`' numbers, and the same weights as a model or as a checkpoint directory."""

import dataclasses
import functools
import json
import tempfile
from pathlib import Path

import numpy as np

__all__ = [
    "GOLDEN_ACTIVATIONS",
    "Golden",
    "golden",
    "golden_classifier",
    "golden_config",
    "layers_golden",
    "load_golden",
    "write_directory",
]

FOLDER = Path(__file__).resolve().parents[1] / "golden"
GOLDEN_ACTIVATIONS = ("gelu", "gelu_tanh")


@dataclasses.dataclass(frozen=True)
class Golden:
    """What encoder_make.py wrote for one activation.

    Args:
        config: dict, as in config.json.
        weights: dict from Hugging Face name to array.
        inputs: dict of int32 `(B, T)` by our names.
        outputs: dict of float32 arrays.
    """

    config: dict
    weights: dict
    inputs: dict
    outputs: dict

    def write(self, directory, rename=None, drop=(), **config):
        """Write the weights as a checkpoint directory.

        Args:
            directory: path. Made when absent.
            rename: optional function from a key to its new name.
            drop: beginnings of keys to leave out.
            **config: further entries of config.json; `None` takes one out.
        Returns:
            `directory`.
        """
        weights = {key: array for key, array in self.weights.items() if not key.startswith(tuple(drop))}
        if rename:
            weights = {rename(key): array for key, array in weights.items()}
        values = {"architectures": ["BertForSequenceClassification"], **self.config, **config}
        values = {key: value for key, value in values.items() if value is not None}
        return write_directory(directory, values, weights)


def write_directory(directory, config, weights):
    """Write config.json and model.safetensors and return the directory."""
    import safetensors.numpy

    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
    safetensors.numpy.save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    return directory


@functools.cache
def load_golden(activation="gelu"):
    """Read the golden file of one of `GOLDEN_ACTIVATIONS`."""
    parts = {"weight": {}, "input": {}, "output": {}}
    with np.load(FOLDER / f"encoder_{activation}.npz") as arrays:
        config = json.loads(str(arrays["config"]))
        for name in arrays.files:
            part, _, key = name.partition("/")
            if key:
                parts[part][key] = arrays[name]
    return Golden(config, parts["weight"], parts["input"], parts["output"])


def golden(activation="gelu"):
    """Return `(inputs, outputs, weights)` of a golden file."""
    found = load_golden(activation)
    return found.inputs, found.outputs, found.weights


def golden_config(activation="gelu"):
    """Return the `EncoderConfig` of a golden file."""
    from keras_bert_suite import EncoderConfig

    return EncoderConfig(
        vocabulary_size=31,
        hidden_dim=12,
        num_layers=2,
        num_heads=3,
        intermediate_dim=20,
        max_length=17,
        activation=activation,
        layer_norm_epsilon=1e-5,
    )


def golden_classifier(activation="gelu", dtype=None):
    """Return a text classifier with the weights of a golden file."""
    from keras_bert_suite.checkpoints import load_model

    with tempfile.TemporaryDirectory() as folder:
        directory = load_golden(activation).write(Path(folder) / "model")
        return load_model(directory, "text_classifier", dtype=dtype)


@functools.cache
def layers_golden():
    """Read what layers_make.py wrote: dicts `(inputs, weights, outputs)`, weights by `GROUP/NAME`."""
    parts = {"input": {}, "weight": {}, "output": {}}
    with np.load(FOLDER / "layers.npz") as arrays:
        for name in arrays.files:
            part, _, key = name.partition("/")
            if key:
                parts[part][key] = arrays[name]
    return tuple(parts.values())

"""Golden files of `transformers`' numbers, and the same weights as a checkpoint directory."""

import dataclasses
import functools
import json
from pathlib import Path

import numpy as np

__all__ = ["GOLDEN_ACTIVATIONS", "Golden", "load_golden"]

FOLDER = Path(__file__).resolve().parents[1] / "golden"
#: `hidden_act` of each golden file -> our name of it.
GOLDEN_ACTIVATIONS = {"gelu": "gelu", "gelu_new": "gelu_tanh"}


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
def load_golden(activation):
    """Read the golden file of a `hidden_act`, one of `GOLDEN_ACTIVATIONS`."""
    parts = {"weight": {}, "input": {}, "output": {}}
    with np.load(FOLDER / f"encoder_{activation}.npz") as arrays:
        config = json.loads(str(arrays["config"]))
        for name in arrays.files:
            part, _, key = name.partition("/")
            if key:
                parts[part][key] = arrays[name]
    return Golden(config, parts["weight"], parts["input"], parts["output"])

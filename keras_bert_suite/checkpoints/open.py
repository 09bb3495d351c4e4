"""Finds out what a directory holds, and opens it."""

from pathlib import Path

from keras_bert_suite.checkpoints.hugging_face import CONFIG_FILE, read_hugging_face
from keras_bert_suite.checkpoints.keras_hub import is_keras_hub, read_keras_hub
from keras_bert_suite.checkpoints.sentence_transformers import has_modules, read_modules
from keras_bert_suite.checkpoints.tf1 import is_tf1, read_tf1
from keras_bert_suite.source import resolve_source

__all__ = ["open_checkpoint"]


def open_checkpoint(source, revision=None):
    """Open a checkpoint in whatever format it is.

    Args:
        source: str or path. A directory: Hugging Face, TF1 (`bert_config.json`
            and `bert_model.ckpt.*`), KerasHub preset or sentence-transformers;
            or the name of a model, as `resolve_source` knows them.
        revision: optional str. Branch, tag or commit on the Hub.
    Returns:
        `Checkpoint`.
    Raises:
        CheckpointError: if the checkpoint is incomplete, damaged, or of a
            family that is not supported.
    """
    directory = Path(resolve_source(source, revision))
    if has_modules(directory):
        directory = directory / read_modules(directory).folder
    if is_keras_hub(directory):
        return read_keras_hub(directory)
    if is_tf1(directory) and not _has_hugging_face_weights(directory):
        return read_tf1(directory)
    return read_hugging_face(directory)


def _has_hugging_face_weights(directory):
    weights = ("model.safetensors", "pytorch_model.bin")
    return (directory / CONFIG_FILE).is_file() and any(
        (directory / f"{name}{end}").exists() for name in weights for end in ("", ".index.json")
    )

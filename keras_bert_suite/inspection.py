"""What a checkpoint is, told without Keras and without reading a single weight."""

import math
from pathlib import Path

from keras_bert_suite.checkpoints.checkpoint import HEAD_LAYERS
from keras_bert_suite.checkpoints.open import open_checkpoint
from keras_bert_suite.errors import DataError
from keras_bert_suite.source import resolve_source
from keras_bert_suite.text import load_tokenizer

__all__ = ["inspect_checkpoint"]

SIZES = (
    "num_layers",
    "hidden_dim",
    "num_heads",
    "intermediate_dim",
    "embedding_dim",
    "num_groups",
    "vocabulary_size",
    "max_length",
    "num_segments",
    "activation",
)


def inspect_checkpoint(source, revision=None):
    """Describe a checkpoint.

    Args:
        source: str or path, as `load_encoder` takes it.
        revision: optional str. Branch, tag or commit on the Hub.
    Returns:
        dict of JSON types: `path`, `format`, `family`, `sizes`, `parameters` (of
        encoder and heads), `dtype`, `heads`, `labels`, `tokenizer` and `missing`.
    Raises:
        CheckpointError: if it is incomplete, damaged, or of a family that is not supported.
    """
    directory = Path(resolve_source(source, revision))
    checkpoint = open_checkpoint(directory)
    config = checkpoint.config
    parameters = {"encoder": 0, "heads": 0}
    for path, array in checkpoint.weights.items():
        part = "heads" if path.partition("/")[0] in HEAD_LAYERS else "encoder"
        parameters[part] += math.prod(array.shape)
    tokenizer, problem = _tokenizer(directory)
    missing = [] if problem is None else [f"tokenizer ({problem})"]
    if config.pooler and not any(path.startswith("pooler/") for path in checkpoint.weights):
        missing.append("pooler")
    if not checkpoint.heads:
        missing.append("head")
    if tokenizer and tokenizer["tokens"] > config.vocabulary_size:
        missing.append(f"embeddings for {tokenizer['tokens'] - config.vocabulary_size} tokens")
    found = {
        "path": str(directory),
        "format": checkpoint.format,
        "family": config.family,
        "sizes": {name: getattr(config, name) for name in SIZES if getattr(config, name) is not None},
        "parameters": parameters,
        "dtype": checkpoint.dtype,
        "heads": list(checkpoint.heads),
        "labels": checkpoint.labels,
        "tokenizer": tokenizer,
        "missing": missing,
    }
    if checkpoint.left_aside:
        found["unknown_weights"] = list(checkpoint.left_aside)
    return found


def _tokenizer(directory):
    """What the tokenizer is, or what is wrong with it."""
    try:
        tokenizer = load_tokenizer(directory)
    except DataError as error:
        return None, str(error)
    kind = type(tokenizer).__name__.removesuffix("Tokenizer")
    return {"kind": kind, "tokens": tokenizer.vocab_size, "max_length": tokenizer.max_length}, None

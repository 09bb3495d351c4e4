"""What a checkpoint is, told without Keras and without reading a single weight."""

import math
from pathlib import Path

from keras_bert_suite.checkpoints.checkpoint import HEAD_LAYERS, head_layers, layer_of
from keras_bert_suite.checkpoints.open import open_checkpoint
from keras_bert_suite.checkpoints.sentence_transformers import has_modules, read_modules
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
        encoder and heads), `dtype`, `heads`, `labels`, `tokenizer` and `missing`;
        of a sentence-transformers directory `embeddings` too, and
        `unknown_weights` where some belong to no head that is known.
    Raises:
        CheckpointError: if it is incomplete, damaged, or of a family that is not supported.
    """
    directory = Path(resolve_source(source, revision))
    modules = read_modules(directory) if has_modules(directory) else None
    folder = directory / modules.folder if modules else directory
    checkpoint = open_checkpoint(folder)
    config = checkpoint.config
    tokenizer, problem = _tokenizer(folder)
    missing = [] if problem is None else [f"tokenizer ({problem})"]
    if modules is None:  # which needs neither
        missing += _missing_parts(checkpoint)
    if tokenizer and tokenizer["tokens"] > config.vocabulary_size:
        missing.append(f"embeddings for {tokenizer['tokens'] - config.vocabulary_size} tokens")
    found = {
        "path": str(directory),
        "format": checkpoint.format if modules is None else "sentence-transformers",
        "family": config.family,
        "sizes": {name: getattr(config, name) for name in SIZES if getattr(config, name) is not None},
        "parameters": _parameters(checkpoint),
        "dtype": checkpoint.dtype,
        "heads": list(checkpoint.heads),
        "labels": checkpoint.labels,
        "tokenizer": tokenizer,
        "missing": missing,
    }
    if modules is not None:
        found["embeddings"] = _embeddings(modules)
    if checkpoint.left_aside:
        found["unknown_weights"] = list(checkpoint.left_aside)
    return found


def _missing_parts(checkpoint):
    """What a classifier of texts reads and the checkpoint has not: RoBERTa's has no use for its pooler."""
    config = checkpoint.config
    reads_pooler = config.pooler and config.heads.pooling == "pooler"
    if reads_pooler and not any(path.startswith("pooler/") for path in checkpoint.weights):
        yield "pooler"
    if not checkpoint.heads:
        yield "head"


def _parameters(checkpoint):
    """How many numbers the encoder has, and its heads together."""
    counts = {"encoder": 0, "heads": 0}
    heads = head_layers(checkpoint.heads)
    for path, array in checkpoint.weights.items():
        layer = layer_of(path)
        if layer in heads or layer not in HEAD_LAYERS:  # What is in neither is the same weights under another name.
            counts["heads" if layer in heads else "encoder"] += math.prod(array.shape)
    return counts


def _embeddings(modules):
    """What becomes of the encoder's vectors: one for a text."""
    width = modules.hidden_dim * len(modules.pooling)
    return {
        "pooling": list(modules.pooling),
        "dense": [projection.kernel.shape[1] for projection in modules.projections],
        "dim": modules.projections[-1].kernel.shape[1] if modules.projections else width,
        "normalize": modules.normalize,
        "max_length": modules.max_length,
        "similarity": modules.similarity,
        "prompts": modules.prompts,
    }


def _tokenizer(directory):
    """What the tokenizer is, or what is wrong with it."""
    try:
        tokenizer = load_tokenizer(directory)
    except DataError as error:
        return None, str(error)
    kind = type(tokenizer).__name__.removesuffix("Tokenizer")
    return {"kind": kind, "tokens": tokenizer.vocab_size, "max_length": tokenizer.max_length}, None

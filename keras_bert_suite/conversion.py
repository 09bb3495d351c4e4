"""From any format to any other, with the numbers compared before it is called done."""

import dataclasses
import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_bert_suite.checkpoints.arrays.stored import BFLOAT16, StoredArray
from keras_bert_suite.checkpoints.checkpoint import HEADS, head_layers, layer_of
from keras_bert_suite.checkpoints.hugging_face import write_hugging_face
from keras_bert_suite.checkpoints.keras_hub import write_keras_hub
from keras_bert_suite.checkpoints.open import open_checkpoint
from keras_bert_suite.checkpoints.sentence_transformers import (
    SentenceModules,
    has_modules,
    read_modules,
    write_modules,
)
from keras_bert_suite.checkpoints.tf1 import write_tf1
from keras_bert_suite.errors import ArtifactError, CheckpointError, check_choice, shortened
from keras_bert_suite.files import replaced_directory
from keras_bert_suite.source import resolve_source
from keras_bert_suite.text import load_tokenizer
from keras_bert_suite.text.keras_hub import write_keras_hub_tokenizer
from keras_bert_suite.text.reading import has_tokenizer

__all__ = ["TARGETS", "Conversion", "convert_checkpoint", "largest_difference"]

logger = logging.getLogger(__name__)

POOLINGS = ("mean", "first", "max")

#: Format -> what writes its weights.
TARGETS = {
    "huggingface": write_hugging_face,
    "tf1": write_tf1,
    "kerashub": write_keras_hub,
    "sentence-transformers": write_hugging_face,
}

#: The tolerance of an exact copy. A caller who asks for more accepts another GELU or epsilon.
EXACT = 1e-4

#: The heads that read the pooler where there is one; a classifier of texts does so in some families.
POOLED = ("next_sentence", "sentence_order", "multiple_choice")

#: The heads whose outputs have names.
LABELLED = {"text_classifier", "token_classifier"}

#: What a change of the weights' type may add to it: their precision, times the depth of a network.
ROUNDING = {"float16": 0.05, "bfloat16": 0.5}


class Conversion(NamedTuple):
    """What was converted.

    Args:
        source_format, target_format: str.
        heads: tuple of str. The heads that went along.
        dtype: str. Of the weights written.
        difference: float. The largest difference of logits or hidden states
            between source and target, on random tokens, in float32.
        tokenizer: bool. Whether a tokenizer went along.
    """

    source_format: str
    target_format: str
    heads: tuple
    dtype: str
    difference: float
    tokenizer: bool


def convert_checkpoint(
    source,
    target,
    to="huggingface",
    *,
    revision=None,
    dtype=None,
    drop=(),
    pooling=None,
    tolerance=EXACT,
    overwrite=False,
):
    """Write a checkpoint in another format, heads, labels and tokenizer included.

    The target is opened anew and its numbers are held against the source's;
    only then does it take its place.

    Args:
        source: str or path, as `load_encoder` takes it.
        target: str or path. A directory, absent or empty unless `overwrite`.
        to: str: `"huggingface"`, `"tf1"`, `"kerashub"` or `"sentence-transformers"`.
        revision: optional str. Branch, tag or commit on the Hub.
        dtype: optional str, `"float32"`, `"float16"` or `"bfloat16"`. Defaults to the source's.
        drop: sequence of str. Parts to leave out: `"pooler"`, `"tokenizer"`, or a head of the source.
        pooling: optional str: `"mean"`, `"first"` or `"max"`, for a
            sentence-transformers target of a source that does not say it. Defaults to `"mean"`.
        tolerance: float. The largest difference accepted. Above 1e-4, formats
            with a GELU or an epsilon built in may compute with theirs.
        overwrite: bool. Whether a directory already there may be replaced.
    Returns:
        `Conversion`.
    Raises:
        CheckpointError: if the source is damaged, or has what the format cannot express.
        DataError: if its tokenizer is damaged or of a kind not supported.
        ArtifactError: if the numbers differ by more than `tolerance`.
    """
    check_choice("convert", "to", to, tuple(TARGETS))
    check_choice("convert", "dtype", dtype, (None, "float32", "float16", "bfloat16"))
    check_choice("convert", "pooling", pooling, (None, *POOLINGS))
    directory = Path(resolve_source(source, revision))
    modules = read_modules(directory) if has_modules(directory) else None
    folder = directory / modules.folder if modules else directory
    checkpoint = _without(_with_every_head(open_checkpoint(folder)), drop)
    if checkpoint.left_aside:
        raise CheckpointError(
            f"{directory}: {len(checkpoint.left_aside)} weights belong to no head that this package knows and would be "
            f"lost: {shortened(checkpoint.left_aside)}. Remove them from the source first."
        )
    tokenizer = None if "tokenizer" in drop else _tokenizer(folder)
    with replaced_directory(target, overwrite) as written:
        converted = checkpoint if dtype is None else _cast(checkpoint, dtype)
        TARGETS[to](written, converted, allow_approximation=tolerance > EXACT)
        if to == "sentence-transformers":
            write_modules(written, modules or _new_modules(checkpoint, tokenizer, pooling))
        if tokenizer is not None and to == "kerashub":
            write_keras_hub_tokenizer(tokenizer, written, checkpoint.config.family)
        elif tokenizer is not None:
            tokenizer.save_pretrained(written)
        again = _with_every_head(open_checkpoint(written))
        difference = largest_difference(checkpoint, again)
        allowed = max(tolerance, ROUNDING.get(again.dtype, 0.0) if again.dtype != checkpoint.dtype else 0.0)
        if not difference <= allowed:
            raise ArtifactError(
                f"{target}: its outputs differ from those of {directory} by {difference:.2g}, more than the tolerance "
                f"of {allowed:g}. Nothing was written; a larger tolerance accepts it."
            )
    if modules is not None and to != "sentence-transformers":
        logger.warning("%s: its pooling and what follows it have no place in %s.", directory, to)
    source_format = checkpoint.format if modules is None else "sentence-transformers"
    return Conversion(source_format, to, again.heads, again.dtype, difference, tokenizer is not None)


def _with_every_head(checkpoint):
    """The checkpoint with the heads that its class leaves aside but its weights have, as bert-base-uncased's do."""
    heads = list(checkpoint.heads)
    for head, layers in HEADS.items():
        if layers[-1] not in head_layers(heads) and f"{layers[-1]}/bias" in checkpoint.weights:
            heads.append(head)
    return dataclasses.replace(checkpoint, heads=tuple(heads))


def _without(checkpoint, drop):
    """The checkpoint without the parts named in `drop`."""
    for part in drop:
        check_choice("convert", "drop", part, ("pooler", "tokenizer", *checkpoint.heads))
    heads = tuple(head for head in checkpoint.heads if head not in drop)
    config = checkpoint.config
    if "pooler" in drop and config.pooler:
        pooled = (*POOLED, *["text_classifier"] * (config.heads.pooling == "pooler"))
        needing = [head for head in heads if head in pooled]
        if needing:
            raise CheckpointError(
                f"{checkpoint.path}: the pooler must stay, because its {', '.join(needing)} reads it. Received: "
                f"drop={list(drop)}. Drop both, or none."
            )
        config = config.replace(pooler=False)
    gone = (head_layers(checkpoint.heads) | {"pooler"} & set(drop)) - head_layers(heads)
    weights = {path: array for path, array in checkpoint.weights.items() if layer_of(path) not in gone}
    labels = checkpoint.labels if heads == checkpoint.heads or LABELLED & set(heads) else None
    return dataclasses.replace(checkpoint, heads=heads, weights=weights, config=config, labels=labels)


def _tokenizer(directory):
    if not has_tokenizer(directory):
        logger.warning("no tokenizer goes along: %s has none.", directory)
        return None
    return load_tokenizer(directory)


def _new_modules(checkpoint, tokenizer, pooling):
    """The modules around an encoder that comes without any."""
    config = checkpoint.config
    limits = [config.max_length, tokenizer.max_length if tokenizer else None]
    return SentenceModules(
        hidden_dim=config.hidden_dim, pooling=(pooling or "mean",), max_length=min(filter(None, limits))
    )


def _cast(checkpoint, dtype):
    numpy_dtype = BFLOAT16 if dtype == "bfloat16" else np.dtype(dtype)

    def cast(path, stored):
        if stored.dtype == numpy_dtype:
            return stored

        def read():
            with np.errstate(over="ignore"):
                array = stored.read().astype(numpy_dtype)
            if not np.isfinite(array).all():
                raise CheckpointError(
                    f"{checkpoint.path}: {path} has numbers that are too large for {dtype}, or not finite. Keep "
                    f"{stored.dtype.name}."
                )
            return array

        return StoredArray(stored.shape, numpy_dtype, read)

    weights = {path: cast(path, array) for path, array in checkpoint.weights.items()}
    return dataclasses.replace(checkpoint, weights=weights)


def largest_difference(one, other):
    """Return the largest difference between the outputs of two checkpoints, on random tokens, in float32.

    Compared are the logits of every head of `one`, or its hidden states where
    it has none, at positions that are tokens.

    Args:
        one, other: `Checkpoint`.
    """
    import keras

    from keras_bert_suite.checkpoints.model import load_head
    from keras_bert_suite.checkpoints.transfer import load_weights
    from keras_bert_suite.models import build_encoder

    differences = []
    for head in one.heads or (None,):
        inputs = _random_inputs(one.config, choices=head == "multiple_choice")
        outputs = []
        for checkpoint in (one, other):
            if head is None:
                config = checkpoint.config.replace(pooler=False)
                model = load_weights(checkpoint, lambda config=config: build_encoder(config, "float32"))[0]
                output = model.predict_on_batch(inputs)["sequence_output"]
            else:
                output = load_head(checkpoint, head, dtype="float32")[0].predict_on_batch(inputs)
            outputs.append(np.asarray(keras.ops.convert_to_numpy(output)))
        gap = np.abs(outputs[0] - outputs[1])
        if gap.shape[:2] == inputs["padding_mask"].shape:
            gap = gap[inputs["padding_mask"].astype(bool)]
        differences.append(float(gap.max()))
    return float(np.max(differences))  # Python's max would pass over what is not a number.


def _random_inputs(config, choices=False):
    rng = np.random.default_rng(0)
    length = min(config.max_length, 24)
    shape = (3, 2, length) if choices else (3, length)
    lengths = np.array([length, max(length // 2, 1), 1]).reshape(3, *(1,) * (len(shape) - 1))
    mask = np.broadcast_to(np.arange(length) < lengths, shape).astype("int32")
    token_ids = rng.integers(0, config.vocabulary_size, shape)
    # No padding among the tokens: KerasHub and the rest of the world count positions behind it differently.
    token_ids = np.where(token_ids == config.pad_token_id, config.pad_token_id - 1, token_ids) % config.vocabulary_size
    token_ids = np.where(mask, token_ids, config.pad_token_id % config.vocabulary_size)
    segment_ids = rng.integers(0, max(config.num_segments, 1), shape) * mask
    return {
        "token_ids": token_ids.astype("int32"),
        "segment_ids": segment_ids.astype("int32"),
        "padding_mask": mask,
    }

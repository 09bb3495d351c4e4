"""Checkpoints of google-research/bert: `bert_config.json` with `bert_model.ckpt.*`, read and written."""

import logging
from pathlib import Path

import numpy as np

from keras_bert_suite.checkpoints.arrays.stored import StoredArray
from keras_bert_suite.checkpoints.arrays.tensor_bundle import find_prefix, read_bundle, write_bundle
from keras_bert_suite.checkpoints.checkpoint import HEADS, Checkpoint
from keras_bert_suite.checkpoints.families import FAMILIES
from keras_bert_suite.checkpoints.hugging_face import (
    CONFIG_FILE as HUGGING_FACE_CONFIG_FILE,
)
from keras_bert_suite.checkpoints.hugging_face import (
    check_expressed,
    config_from_json,
    config_to_json,
    labels_from_json,
    read_config,
    write_config,
)
from keras_bert_suite.checkpoints.layout import in_our_layout, in_their_layout
from keras_bert_suite.checkpoints.names import parse_table
from keras_bert_suite.errors import CheckpointError, shortened

__all__ = ["is_tf1", "read_tf1", "write_tf1"]

logger = logging.getLogger(__name__)

CONFIG_FILE = "bert_config.json"
PREFIX = "bert_model.ckpt"

LEAVES = {
    "dense": (("kernel", "/kernel", False), ("bias", "/bias", False)),
    "norm": (("gamma", "/gamma", False), ("beta", "/beta", False)),
    "embedding": (("embeddings", "", False),),
}

ENCODER = """
    embeddings/token                    bert/embeddings/word_embeddings
    embeddings/segment                  bert/embeddings/token_type_embeddings
    embeddings/position                 bert/embeddings/position_embeddings
    embeddings/norm                     bert/embeddings/LayerNorm
    block_{i}/self_attention/query      bert/encoder/layer_{i}/attention/self/query
    block_{i}/self_attention/key        bert/encoder/layer_{i}/attention/self/key
    block_{i}/self_attention/value      bert/encoder/layer_{i}/attention/self/value
    block_{i}/self_attention/output     bert/encoder/layer_{i}/attention/output/dense
    block_{i}/attention_norm            bert/encoder/layer_{i}/attention/output/LayerNorm
    block_{i}/feed_forward/intermediate bert/encoder/layer_{i}/intermediate/dense
    block_{i}/feed_forward/output       bert/encoder/layer_{i}/output/dense
    block_{i}/output_norm               bert/encoder/layer_{i}/output/LayerNorm
    pooler/dense                        bert/pooler/dense
"""

#: The heads that google-research/bert has a script for.
HEAD_TABLES = {
    "masked_lm": """
        masked_lm_transform/dense       cls/predictions/transform/dense
        masked_lm_transform/norm        cls/predictions/transform/LayerNorm
        masked_lm/bias                  cls/predictions/output_bias
    """,
    "next_sentence": """
        next_sentence/kernel            cls/seq_relationship/output_weights
        next_sentence/bias              cls/seq_relationship/output_bias
    """,
    "text_classifier": """
        classifier/kernel               output_weights
        classifier/bias                 output_bias
    """,
    "question_answering": """
        answers/kernel                  cls/squad/output_weights
        answers/bias                    cls/squad/output_bias
    """,
}

#: What the graph of google-research/bert has built in.
BUILT_IN = {"family": "bert", "layer_norm_epsilon": 1e-12, "pad_token_id": 0}

#: What training keeps beside the weights: counters, and slots of an optimizer under a weight's name.
COUNTERS = ("global_step", "beta1_power", "beta2_power", "loss_scale", "good_steps", "bad_steps")


def is_tf1(directory):
    """Return whether a directory holds a TensorFlow checkpoint with its index."""
    return any(Path(directory).glob("*.ckpt*.index")) or (Path(directory) / CONFIG_FILE).is_file()


def read_tf1(directory):
    """Open a directory of a TF1 BERT.

    Args:
        directory: str or path. Holds `bert_config.json` and one checkpoint,
            `bert_model.ckpt.index` and its data.
    Returns:
        `Checkpoint`. Slots of optimizers are left out.
    Raises:
        CheckpointError: if a file is missing or damaged, or is of another model.
    """
    directory = Path(directory)
    name = CONFIG_FILE if (directory / CONFIG_FILE).is_file() else HUGGING_FACE_CONFIG_FILE
    values = read_config(directory, name)
    family = FAMILIES["bert"]
    if values.get("model_type", "bert") != "bert":
        raise CheckpointError(f"{directory / name}: must describe a BERT. Received: {values['model_type']!r:.100}.")
    config = config_from_json(values, family, directory / name)
    arrays = read_bundle(find_prefix(directory))
    arrays = {key: array for key, array in arrays.items() if not _is_training_state(key, arrays)}
    weights = {
        name.ours: in_our_layout(arrays[name.theirs], name)
        for name in _table(config, HEAD_TABLES)
        if name.theirs in arrays
    }
    unknown = sorted(set(arrays) - {name.theirs for name in _table(config, HEAD_TABLES)})
    misplaced = [key for key in unknown if key.startswith("bert/") or "/.ATTRIBUTES/" in key]
    if misplaced or not weights:
        raise CheckpointError(
            f"{directory}: {len(unknown)} weights have no place in a BERT of {config.num_layers} layers: "
            f"{shortened(unknown)}. Give a checkpoint of google-research/bert with the bert_config.json that was "
            "saved with it."
        )
    return Checkpoint(
        path=directory,
        format="tf1",
        config=config,
        weights=weights,
        heads=tuple(head for head in HEAD_TABLES if f"{HEADS[head][-1]}/bias" in weights),
        labels=labels_from_json(values, directory / name, weights),
        values={key: value for key, value in values.items() if key not in ("id2label", "label2id", "dtype")},
        left_aside=tuple(unknown),
    )


def _table(config, heads):
    texts = [ENCODER, *(HEAD_TABLES[head] for head in heads)]
    return [name for text in texts for name in parse_table(text, config.num_layers, LEAVES)]


def _is_training_state(key, arrays):
    return key in COUNTERS or any(key.startswith(f"{weight}/") for weight in _parents(key) if weight in arrays)


def _parents(key):
    """The names that `key` lies under: of `a/b/c`, `a/b` and `a`."""
    while "/" in key:
        key = key.rpartition("/")[0]
        yield key


def write_tf1(directory, checkpoint, allow_approximation=False):
    """Write `bert_config.json` and `bert_model.ckpt.*` into an existing directory.

    The weights are written as float32, which is what the format's graph reads.

    Args:
        directory: path of a directory that exists.
        checkpoint: `Checkpoint` of the family BERT.
        allow_approximation: bool, as in `write_hugging_face`.
    Raises:
        CheckpointError: if the checkpoint has anything that a TF1 BERT cannot express.
    """
    config = checkpoint.config
    wrong = [f"{name}={getattr(config, name)}" for name, value in BUILT_IN.items() if getattr(config, name) != value]
    wrong += [f"head {head}" for head in checkpoint.heads if head not in HEAD_TABLES]
    wrong += [] if checkpoint.tied else ["an untied masked language model"]
    wrong += [f"activation={config.activation}"] if config.activation not in ("gelu", "relu", "tanh") else []
    if wrong:
        raise CheckpointError(
            f"{checkpoint.path}: a TF1 checkpoint cannot express {', '.join(wrong)}. Choose another format."
        )
    names = [name for name in _table(config, checkpoint.heads) if name.ours in checkpoint.weights]
    lost = set(checkpoint.weights) - {name.ours for name in names}
    if lost:
        raise CheckpointError(f"{checkpoint.path}: a TF1 checkpoint has no place for {shortened(sorted(lost))}.")
    if checkpoint.dtype != "float32":
        logger.warning("%s: TF1 checkpoints hold float32: %s is widened.", checkpoint.path, checkpoint.dtype)
    values = config_to_json(checkpoint, FAMILIES["bert"])
    back = config_from_json(values, FAMILIES["bert"], CONFIG_FILE)
    check_expressed(checkpoint, back, "a TF1 checkpoint", allow_approximation)
    arrays = {name.theirs: _float32(in_their_layout(checkpoint.weights, [name])) for name in names}
    write_bundle(Path(directory) / PREFIX, arrays)
    write_config(Path(directory) / CONFIG_FILE, {**values, "dtype": "float32"})


def _float32(stored):
    if stored.dtype == np.float32:
        return stored
    return StoredArray(stored.shape, np.dtype("float32"), lambda: stored.read().astype("float32"))

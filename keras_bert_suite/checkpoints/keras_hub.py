"""KerasHub presets: `config.json` with `model.weights.h5`, and `task.json` where there is a head, read and written.

Nothing here needs KerasHub: its objects are never made of what a file says, and
files are written one array at a time, where KerasHub would build a second model.
"""

import datetime
import importlib.metadata
import logging
from pathlib import Path

import numpy as np

from keras_bert_suite.checkpoints.arrays.stored import BFLOAT16, StoredArray
from keras_bert_suite.checkpoints.checkpoint import Checkpoint
from keras_bert_suite.checkpoints.hugging_face import CONFIG_FILE, read_config, write_config
from keras_bert_suite.checkpoints.keras_hub_families import FAMILIES, MASKED_LM_EPSILON, TASKS
from keras_bert_suite.checkpoints.keras_hub_layout import (
    in_our_layout,
    in_their_layout,
    with_padding_rows,
    without_padding_rows,
)
from keras_bert_suite.checkpoints.keras_hub_limits import check_expressible, head_dropout_rate
from keras_bert_suite.checkpoints.keras_hub_weights import read_weights, write_weights
from keras_bert_suite.config import FAMILIES as CONFIGS
from keras_bert_suite.errors import CheckpointError, shortened

__all__ = ["is_keras_hub", "read_keras_hub", "write_keras_hub"]

logger = logging.getLogger(__name__)

TASK_FILE = "task.json"
METADATA_FILE = "metadata.json"
WEIGHTS_FILE = "model.weights.h5"
TASK_WEIGHTS_FILE = "task.weights.h5"
VOCABULARY_FILE = "assets/tokenizer/vocabulary.json"
PAD_TOKEN = "<pad>"

#: The version whose layout of files this is.
VERSION = "0.32.0"

#: Sizes that no default may stand in for.
REQUIRED_FIELDS = (
    "vocabulary_size",
    "hidden_dim",
    "num_layers",
    "num_heads",
    "intermediate_dim",
    "embedding_dim",
    "num_groups",
)

#: How Keras serializes the identity as an activation, newer and older.
LINEAR = (None, "linear", {"module": "builtins", "class_name": "function", "config": "linear"})

#: The types of weights that KerasHub has a policy for.
FLOATS = ("float16", "bfloat16", "float32", "float64")

POSITION, SEGMENT, POOLER = "embeddings/position/embeddings", "embeddings/segment/embeddings", "pooler/dense"


def is_keras_hub(directory):
    """Return whether a directory holds a KerasHub preset, by its config."""
    for name in (CONFIG_FILE, TASK_FILE):
        if (Path(directory) / name).is_file():
            try:
                values = read_config(directory, name)
            except CheckpointError:
                continue
            if isinstance(values.get("registered_name"), str) and isinstance(values.get("config"), dict):
                return True
    return False


def read_keras_hub(directory):
    """Open a KerasHub preset. Nothing that its files name is imported or run.

    Args:
        directory: str or path. Holds `config.json` with `model.weights.h5`, whole
            or in shards, and perhaps `task.json` with `task.weights.h5`.
    Returns:
        `Checkpoint`. The head of a task of another kind is left aside with a warning.
    Raises:
        CheckpointError: if a file is missing or damaged, or describes a model
            that this package would get wrong.
    """
    directory = Path(directory)
    task = read_config(directory, TASK_FILE) if (directory / TASK_FILE).is_file() else None
    if task is not None and not (directory / CONFIG_FILE).is_file():
        values = _part(task, "config", directory / TASK_FILE).get("backbone")
    else:
        values = read_config(directory)
    family, config = _encoder_config(values, directory / CONFIG_FILE)
    config = _with_pad_token_id(config, directory)
    weights = _encoder_weights(read_weights(directory, WEIGHTS_FILE), family, config, directory)
    head, head_weights, left_aside = None, {}, ()
    if task is not None and (directory / TASK_WEIGHTS_FILE).is_file():
        arrays = read_weights(directory, TASK_WEIGHTS_FILE)
        head, config = _head(task, values, family, config, directory / TASK_FILE)
        if head is None:
            left_aside = tuple(sorted(arrays))
        else:
            head_weights = _head_weights(arrays, family, head, directory / TASK_WEIGHTS_FILE)
    if head == "text_classifier":
        _check_outputs(task, head_weights, directory / TASK_FILE)
    return Checkpoint(
        path=directory,
        format="kerashub",
        config=config,
        weights={**weights, **head_weights},
        heads=(head,) if head else (),
        labels=_labels(directory, task) if head == "text_classifier" else None,
        left_aside=left_aside,
    )


def _part(values, key, path):
    """Return the entry of a serialized object that must be a dict."""
    part = values.get(key) if isinstance(values, dict) else None
    if not isinstance(part, dict):
        raise CheckpointError(f"{path}: {key} must be an object. Save the preset again with KerasHub.")
    return part


def _class_name(values):
    return str(values.get("registered_name") if isinstance(values, dict) else None).rpartition(">")[2]


def _encoder_config(values, path):
    """Return the family and the `EncoderConfig` of a serialized backbone."""
    name = _class_name(values)
    family = next((family for family in FAMILIES.values() if name == f"{family.class_name}Backbone"), None)
    if family is None:
        known = ", ".join(f"{family.class_name}Backbone" for family in FAMILIES.values())
        raise CheckpointError(f"{path}: registered_name must be one of {known}. Received: {name!r:.100}.")
    values = _part(values, "config", path)
    missing = [theirs for ours, theirs in family.fields if ours in REQUIRED_FIELDS and theirs not in values]
    if missing:
        raise CheckpointError(f"{path}: missing {', '.join(missing)}. Use the file that was saved with the weights.")
    for key, required in family.required_values.items():
        if values.get(key, required) != required:
            raise CheckpointError(f"{path}: {key} must be {required!r}. Received: {key}={values[key]!r:.100}.")
    found = {ours: values[theirs] for ours, theirs in family.fields if theirs in values}
    if family.name == "electra" and found["embedding_dim"] == found["hidden_dim"]:
        found["embedding_dim"] = None  # a projection exists only where the embeddings have another width
    try:
        return family, CONFIGS[family.name].replace(**found, **family.built_in)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {error}") from error


def _with_pad_token_id(config, directory):
    """The config with the id that padding has in RoBERTa's vocabulary: our positions depend on it, not KerasHub's."""
    if config.family != "roberta" or not (directory / VOCABULARY_FILE).is_file():
        return config
    pad_token_id = read_config(directory, VOCABULARY_FILE).get(PAD_TOKEN, config.pad_token_id)
    if type(pad_token_id) is not int or not 0 <= pad_token_id < config.vocabulary_size:
        raise CheckpointError(
            f"{directory / VOCABULARY_FILE}: {PAD_TOKEN} must have an id below {config.vocabulary_size}, the "
            f"vocabulary_size of {CONFIG_FILE}. Received: {pad_token_id!r:.100}."
        )
    return config.replace(pad_token_id=pad_token_id)


def _encoder_weights(arrays, family, config, directory):
    """The weights of an encoder by our path and in our layout."""
    # Before the table is made of what config.json says: a hostile one could say a billion.
    blocks = {key.split("/")[1] for key in arrays if key.startswith("layers/transformer_encoder")}
    if len(blocks) != (config.num_groups or config.num_layers):
        raise CheckpointError(
            f"{directory}: the config says {config.num_groups or config.num_layers} blocks, the weights have "
            f"{len(blocks)}. Use the {CONFIG_FILE} that was saved with these weights."
        )
    names = family.encoder_table(config)
    unknown = sorted(set(arrays) - {name.theirs for name in names})
    if unknown:
        raise CheckpointError(
            f"{directory / WEIGHTS_FILE}: {len(unknown)} weights have no place in KerasHub's {family.class_name} of "
            f"{config.num_layers} layers: {shortened(unknown)}. Use the {CONFIG_FILE} that was saved with them."
        )
    stored = {name.ours: arrays[name.theirs] for name in names if name.theirs in arrays}
    weights = {path: in_our_layout(array, path, config) for path, array in stored.items()}
    if config.positions == "after_padding" and POSITION in weights and len(weights[POSITION].shape) == 2:
        weights[POSITION] = with_padding_rows(weights[POSITION], config.position_offset)
        # There are no segments in KerasHub: a single row of nothing adds nothing.
        shape, dtype = (config.num_segments, config.hidden_dim), weights[POSITION].dtype
        weights[SEGMENT] = StoredArray(shape, dtype, lambda: np.zeros(shape, dtype))
    return weights


def _head(task, backbone, family, config, path):
    """Return the head that task.json describes, or `None`, and the config with what it says of it."""
    head = next((head for head in family.heads if _class_name(task) == family.class_name + TASKS[head][0]), None)
    if head is None:
        logger.warning("%s: a %s has no counterpart here: reading its encoder alone.", path, _class_name(task)[:100])
        return None, config
    values = _part(task, "config", path)
    if not _same_backbone(_part(values, "backbone", path), backbone):
        raise CheckpointError(f"{path}: its backbone must be that of {CONFIG_FILE}. Save the preset again.")
    heads = config.to_dict()["heads"]
    if head == "masked_lm":
        if config.layer_norm_epsilon != MASKED_LM_EPSILON:
            heads["masked_lm_epsilon"] = MASKED_LM_EPSILON
        heads["masked_lm_activation"] = family.masked_lm_activation
    else:
        activation = values.get("activation")
        if isinstance(activation, dict):
            activation = {key: value for key, value in activation.items() if key != "registered_name"}
        if activation not in LINEAR:
            raise CheckpointError(
                f"{path}: activation must be linear: a classifier gives logits here. Received: activation="
                f"{activation!r:.100}. Save the preset with activation=None; the weights stay the same."
            )
        if values.get("hidden_dim") not in (None, config.hidden_dim):
            raise CheckpointError(
                f"{path}: hidden_dim must be that of the encoder, {config.hidden_dim}. Received: hidden_dim="
                f"{values['hidden_dim']!r:.100}."
            )
        heads["dropout_rate"] = values.get("dropout", heads["dropout_rate"])
    try:
        return head, config.replace(heads=heads)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {error}") from error


def _same_backbone(one, other):
    """Whether two serialized backbones are of one shape; their names and types need not be the same."""
    said = [
        {key: value for key, value in values["config"].items() if key not in ("name", "trainable", "dtype")}
        for values in (one, other)
        if isinstance(values.get("config"), dict)
    ]
    return len(said) == 2 and said[0] == said[1]


def _head_weights(arrays, family, head, path):
    names = family.head_table(head)
    unknown = sorted(set(arrays) ^ {name.theirs for name in names})
    if unknown:
        raise CheckpointError(
            f"{path}: must hold the weights of a {family.class_name}{TASKS[head][0]} and no others. Missing or "
            f"unexpected: {shortened(unknown)}. Save the preset again with KerasHub."
        )
    return {name.ours: arrays[name.theirs] for name in names}


def _check_outputs(task, weights, path):
    count = task["config"].get("num_classes")
    if weights["classifier/bias"].shape != (count,):
        raise CheckpointError(
            f"{path}: num_classes must be the size of the stored bias, {weights['classifier/bias'].shape}. "
            f"Received: num_classes={count!r:.100}."
        )


def _labels(directory, task):
    """The names of the classes, where the preset is one of ours: KerasHub itself has no place for them."""
    if not (directory / METADATA_FILE).is_file():
        return None
    labels = read_config(directory, METADATA_FILE).get("labels")
    if labels is None:
        return None
    if not isinstance(labels, list) or len(labels) != task["config"]["num_classes"]:
        raise CheckpointError(
            f"{directory / METADATA_FILE}: labels must name the {task['config']['num_classes']} classes. Received: "
            f"{labels!r:.100}."
        )
    return [str(label) for label in labels]


def write_keras_hub(directory, checkpoint, allow_approximation=False):
    """Write a KerasHub preset, without a tokenizer, into an existing directory.

    `keras_hub.models.Backbone.from_preset(directory)` opens it, and so does the
    class that has the head. A new pooler is made where KerasHub's encoder has
    one and the checkpoint has none. `initializer_range`, which only new weights
    need, has no place there; labels go into `metadata.json`, which KerasHub leaves be.

    Args:
        directory: path of a directory that exists.
        checkpoint: `Checkpoint`.
        allow_approximation: bool. Whether KerasHub may compute with the other
            form of GELU, or another epsilon, than the checkpoint's config says.
    Raises:
        CheckpointError: if the checkpoint has anything else that KerasHub cannot express.
    """
    directory = Path(directory)
    family = FAMILIES.get(checkpoint.config.family)
    if family is None:
        raise CheckpointError(
            f"{checkpoint.path}: a family of KerasHub must be one of {', '.join(FAMILIES)}. Received: "
            f"{checkpoint.config.family}. Choose another format."
        )
    head = _only_head(checkpoint, family)
    dtype = _common_dtype(checkpoint)
    backbone = _backbone(checkpoint.config, family, dtype)
    back = _encoder_config(backbone, checkpoint.path)[1]
    check_expressible(checkpoint.path, checkpoint.config, back, family, head, allow_approximation)
    encoder, task = _their_arrays(checkpoint, family, head, dtype)
    write_config(directory / CONFIG_FILE, backbone)
    write_config(directory / METADATA_FILE, _metadata(checkpoint, family))
    write_weights(directory / WEIGHTS_FILE, encoder)
    if head is not None:
        write_config(directory / TASK_FILE, _task(checkpoint, family, head, backbone))
        # The state of the optimizer that every new task has: without it, KerasHub warns that it is gone.
        rate = 1e-5 if (family.name, head) == ("albert", "text_classifier") else 5e-5
        state = {"optimizer/vars/0": np.array(0, "int32"), "optimizer/vars/1": np.array(rate, "float32")}
        write_weights(directory / TASK_WEIGHTS_FILE, {**task, **state})


def _only_head(checkpoint, family):
    unknown = [head for head in checkpoint.heads if head not in family.heads]
    if unknown or len(checkpoint.heads) > 1:
        raise CheckpointError(
            f"{checkpoint.path}: KerasHub's {family.class_name} has one head, {' or '.join(family.heads) or 'none'}. "
            f"Received: {', '.join(checkpoint.heads)}. Leave the head out, or choose another format."
        )
    if checkpoint.heads == ("masked_lm",) and not checkpoint.tied:
        raise CheckpointError(
            f"{checkpoint.path}: KerasHub cannot express an untied masked language model. Choose another format."
        )
    return next(iter(checkpoint.heads), None)


def _their_arrays(checkpoint, family, head, dtype):
    """The arrays of both files by foreign name, in the foreign layout; raises unless they are complete."""
    config, weights = checkpoint.config, dict(checkpoint.weights)
    table = family.encoder_table(config)
    if config.positions == "after_padding" and SEGMENT in weights and config.num_segments == 1:
        segment = weights.pop(SEGMENT)
        weights[POSITION] = without_padding_rows(weights[POSITION], segment, config.position_offset)
    if family.built_in["pooler"] and f"{POOLER}/kernel" not in weights:
        logger.warning("%s has no pooler, KerasHub's %s has: writing new weights.", checkpoint.path, family.class_name)
        weights.update(_new_pooler(config, dtype))
    tables = (table, family.head_table(head) if head else [])
    names = [name.ours for table in tables for name in table]
    faults = [f"{path} has no place there" for path in weights if path not in names]
    faults += [f"{path} is missing" for path in names if path not in weights]
    if faults:
        raise CheckpointError(
            f"{checkpoint.path}: {len(faults)} weights do not fit KerasHub's {family.class_name}: {shortened(faults)}. "
            "Leave that part out, or choose another format."
        )
    return tuple(
        {name.theirs: in_their_layout(weights[name.ours], name.ours, config) for name in table} for table in tables
    )


def _new_pooler(config, dtype):
    """Weights as a new encoder has them, the same in every file that is written."""
    shape = (config.hidden_dim, config.hidden_dim)

    def kernel():
        draw = np.random.default_rng(0).standard_normal(shape).clip(-2.0, 2.0)
        return (config.initializer_range * draw).astype(dtype)

    return {
        f"{POOLER}/kernel": StoredArray(shape, dtype, kernel),
        f"{POOLER}/bias": StoredArray(shape[:1], dtype, lambda: np.zeros(shape[:1], dtype)),
    }


def _backbone(config, family, dtype):
    """The entries of config.json."""
    values = {theirs: getattr(config, ours) for ours, theirs in family.fields}
    if "embedding_dim" in values:
        values["embedding_dim"] = config.embedding_dim or config.hidden_dim
    if "num_groups" in values:
        values["num_groups"] = config.num_groups or config.num_layers
    return _serialized(
        f"{family.module}.{family.module}_backbone",
        f"{family.class_name}Backbone",
        {
            "name": f"{family.module}_backbone",
            "trainable": True,
            "dtype": {
                "module": "keras",
                "class_name": "DTypePolicy",
                "config": {"name": dtype.name},
                "registered_name": None,
            },
            **family.required_values,
            **values,
        },
    )


def _common_dtype(checkpoint):
    """Return a NumPy dtype that holds every weight exactly and that KerasHub has a policy for."""
    dtypes = {array.dtype for array in checkpoint.weights.values()}
    others = sorted(dtype.name for dtype in dtypes if dtype.name not in FLOATS)
    if others or not dtypes:
        raise CheckpointError(
            f"{checkpoint.path}: weights must be of type {', '.join(FLOATS)}. Received: {', '.join(others) or 'none'}."
        )
    if len(dtypes) > 1 and BFLOAT16 in dtypes:  # NumPy knows no type above it and float16
        dtypes = {np.dtype("float32"), *(dtypes - {BFLOAT16})}
    return np.result_type(*dtypes)


def _serialized(module, class_name, config):
    return {
        "module": f"keras_hub.src.models.{module}",
        "class_name": class_name,
        "config": config,
        "registered_name": f"keras_hub>{class_name}",
    }


def _task(checkpoint, family, head, backbone):
    """The entries of task.json."""
    class_end, module_end = TASKS[head]
    name = f"{family.module}_{module_end}"
    values = {"backbone": backbone, "preprocessor": None, "name": name}
    if head == "text_classifier":
        values["num_classes"] = checkpoint.num_outputs(head)
        values["activation"] = "linear"
        if checkpoint.config.heads.pooling != "pooler":
            values["hidden_dim"] = checkpoint.config.hidden_dim
        values["dropout"] = head_dropout_rate(checkpoint.config)
    return _serialized(f"{family.module}.{name}", f"{family.class_name}{class_end}", values)


def _metadata(checkpoint, family):
    values = {
        "keras_version": importlib.metadata.version("keras"),
        "keras_hub_version": VERSION,
        "parameter_count": checkpoint.config.replace(pooler=family.built_in["pooler"]).num_parameters,
        "date_saved": datetime.datetime.now().strftime("%Y-%m-%d@%H:%M:%S"),
        "tasks": sorted(TASKS[head][0] for head in family.heads),
    }
    return values if checkpoint.labels is None else {**values, "labels": checkpoint.labels}

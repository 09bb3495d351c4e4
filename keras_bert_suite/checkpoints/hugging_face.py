"""The Hugging Face directory: `config.json` with safetensors or `pytorch_model.bin`, read and written."""

import json
import logging
from pathlib import Path

from keras_bert_suite.checkpoints.arrays.safetensors_files import read_safetensors, write_safetensors
from keras_bert_suite.checkpoints.arrays.stored import MAX_JSON_BYTES
from keras_bert_suite.checkpoints.checkpoint import (
    HEAD_LAYERS,
    HEADS,
    MOST_LAYERS,
    Checkpoint,
    head_layers,
    layer_of,
)
from keras_bert_suite.checkpoints.families import FAMILIES
from keras_bert_suite.checkpoints.layout import in_our_layout, in_their_layout
from keras_bert_suite.checkpoints.telling import is_close, telling_values
from keras_bert_suite.config import FAMILIES as CONFIGS
from keras_bert_suite.errors import CheckpointError, shortened

__all__ = [
    "check_expressed",
    "config_from_json",
    "config_to_json",
    "labels_from_json",
    "read_config",
    "read_hugging_face",
    "write_config",
    "write_hugging_face",
]

logger = logging.getLogger(__name__)

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
TORCH_FILE = "pytorch_model.bin"

#: How `transformers` spells an activation -> ours; the first of each is the one written.
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_python": "gelu",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_python_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}
ACTIVATION_FIELDS = ("activation", "heads.activation", "heads.masked_lm_activation")

#: Sizes that no default may stand in for.
REQUIRED_FIELDS = ("vocabulary_size", "hidden_dim", "num_layers", "num_heads", "intermediate_dim")

#: Keys of any family's config.json that change what a model computes in ways this package does not.
REFUSED_KEYS = ("quantization_config", "pruned_heads", "adapters")

#: End of a `transformers` class name -> the heads it has; `ForPreTraining` differs by family.
CLASSES = {
    "ForMaskedLM": ("masked_lm",),
    "LMHeadModel": ("masked_lm",),
    "ForNextSentencePrediction": ("next_sentence",),
    "ForSequenceClassification": ("text_classifier",),
    "ForTokenClassification": ("token_classifier",),
    "ForMultipleChoice": ("multiple_choice",),
    "ForQuestionAnswering": ("question_answering",),
}

#: Buffers that old versions stored among the weights.
BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")

#: Entries of config.json that `Checkpoint` holds in another place.
KEPT_ELSEWHERE = ("architectures", "model_type", "id2label", "label2id", "num_labels", "dtype", "torch_dtype")

#: The most that any size in a config.json may be.
MOST_ROWS = 2**31 - 1

#: The most labels that a config.json without weights for them may ask for.
MOST_LABELS = 1_000_000


def read_hugging_face(directory):
    """Open a Hugging Face directory.

    Args:
        directory: str or path. Holds `config.json`, and `model.safetensors` or
            `pytorch_model.bin`, each whole or in shards.
    Returns:
        `Checkpoint`.
    Raises:
        CheckpointError: if a file is missing or damaged, or describes a model
            that this package would get wrong.
    """
    directory = Path(directory)
    values = read_config(directory)
    family = _family(values, directory)
    config = config_from_json(values, family, directory / CONFIG_FILE)
    arrays = _canonical(_read_arrays(directory), family, directory)
    tied = values.get("tie_word_embeddings", True) is not False
    weights, unknown = _named(arrays, family, config, tied)
    encoder_names = {name.theirs.partition(".")[0] for name in family.table(config, heads=())}
    prefixed = {key for key in unknown if arrays[key][0].startswith(family.prefix)}
    misplaced = [key for key in unknown if key in prefixed or key.partition(".")[0] in encoder_names]
    if misplaced:
        raise CheckpointError(
            f"{directory}: {len(misplaced)} weights have no place in a {family.name} encoder of {config.num_layers} "
            f"layers: {shortened(sorted(misplaced))}. Use the {CONFIG_FILE} that was saved with these weights."
        )
    heads = _heads(values.get("architectures"), family, weights)
    return Checkpoint(
        path=directory,
        format="huggingface",
        config=config,
        weights=_each_once(weights, family.table(config), heads),
        heads=heads,
        tied=tied,
        labels=labels_from_json(values, directory / CONFIG_FILE, weights),
        values={key: value for key, value in values.items() if key not in KEPT_ELSEWHERE},
        left_aside=tuple(sorted(unknown)),
    )


def read_config(directory, name=CONFIG_FILE):
    """Read the dict of a directory's `config.json`.

    Raises:
        CheckpointError: if it is missing or damaged.
    """
    directory = Path(directory)
    path = directory / name
    if not directory.is_dir():
        raise CheckpointError(f"{directory}: no such directory. Give the folder that holds {name}.")
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise CheckpointError(f"{path}: must not be larger than {MAX_JSON_BYTES} bytes. Download it again.")
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        found = shortened(sorted(entry.name for entry in directory.iterdir())) or "nothing"
        raise CheckpointError(
            f"{path}: not found; the folder holds {found}. Give a folder in the Hugging Face layout."
        ) from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path}: not valid JSON ({error}). Download the checkpoint again.") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: must hold a JSON object. Received: {type(values).__name__}.")
    return values


def _family(values, directory):
    """The `Family` that config.json names, in old files by its classes."""
    path = directory / CONFIG_FILE
    model_type = values.get("model_type")
    if model_type is None:
        classes = values.get("architectures") or ["Bert"]
        name = str(classes[0]) if isinstance(classes, list) else ""
        candidates = sorted(FAMILIES.values(), key=lambda family: -len(family.class_name))
        model_type = next((family.name for family in candidates if name.startswith(family.class_name)), None)
    if model_type not in tuple(FAMILIES):
        raise CheckpointError(
            f"{path}: model_type must be one of {', '.join(FAMILIES)}. Received: model_type="
            f"{values.get('model_type')!r:.100}."
        )
    return FAMILIES[model_type]


def config_from_json(values, family, path):
    """Return the `EncoderConfig` that the dict of a config.json describes."""
    for key, required in family.required_values.items():
        if values.get(key, required) != required:
            raise CheckpointError(f"{path}: {key} must be {required!r}. Received: {key}={values[key]!r:.100}.")
    for key in REFUSED_KEYS:
        if values.get(key):
            raise CheckpointError(f"{path}: {key} is not supported. Received: {key}={values[key]!r:.100}.")
    fields = dict(family.fields)
    missing = [fields[name] for name in REQUIRED_FIELDS if fields[name] not in values]
    if missing:
        raise CheckpointError(f"{path}: missing {', '.join(missing)}. Use the config.json saved with the weights.")
    for ours, theirs in family.fields:  # before anything is listed per layer, or multiplied
        most = MOST_LAYERS if ours == "num_layers" else MOST_ROWS
        if isinstance(values.get(theirs), int) and values[theirs] > most:
            raise CheckpointError(
                f"{path}: {theirs} must be at most {most}. Received: {theirs}={values[theirs]!r:.100}. Use the "
                "config.json saved with the weights."
            )
    values = {**family.defaults, **values}
    found = {}
    for ours, theirs in family.fields:
        if theirs in values and not (values[theirs] is None and ours == "pad_token_id"):
            found[ours] = _activation(values[theirs], theirs, path) if ours in ACTIVATION_FIELDS else values[theirs]
    try:
        found = family.read(found, values)
        base = CONFIGS[family.name]
        changes = {name: value for name, value in found.items() if not name.startswith("heads.")}
        heads = {name.removeprefix("heads."): value for name, value in found.items() if name.startswith("heads.")}
        changes["heads"] = {**base.to_dict()["heads"], **heads}
        if base.positions == "after_padding":  # config.json counts the rows of the table
            changes["max_length"] -= changes.get("pad_token_id", base.pad_token_id) + 1
        return base.replace(**changes)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {error}") from error


def _activation(name, key, path):
    if name not in tuple(ACTIVATIONS):  # a list in config.json cannot be looked up in a dict
        raise CheckpointError(f"{path}: {key} must be one of {', '.join(ACTIVATIONS)}. Received: {key}={name!r:.100}.")
    return ACTIVATIONS[name]


def _read_arrays(directory):
    """The arrays of a directory by foreign name, from safetensors where there are both."""
    present = {name for name in (WEIGHTS_FILE, TORCH_FILE) if _is_there(directory, name)}
    if present == {TORCH_FILE}:
        from keras_bert_suite.checkpoints.arrays.torch_file import read_torch

        return read_torch(directory)
    return read_safetensors(directory)


def _is_there(directory, name):
    return (directory / name).exists() or (directory / f"{name}.index.json").exists()


def _canonical(arrays, family, directory):
    """Return `(foreign name, array)` by canonical name: without prefix, vintage and buffers."""
    canonical = {}
    for key, array in arrays.items():
        bare = key.removeprefix(family.prefix)
        for old, new in ((".gamma", ".weight"), (".beta", ".bias")):
            if bare.endswith(old):
                bare = bare.removesuffix(old) + new
        if bare in BUFFERS:
            continue
        if bare in canonical:
            raise CheckpointError(f"{directory}: two weights mean {bare}. Remove one of them.")
        canonical[bare] = (key, array)
    for alias, name in family.aliases.items():
        if alias in canonical:
            # Where both are there, the alias is what the class computes with; else it stands for the name.
            canonical[name] = canonical.pop(alias)
    return canonical


def _named(arrays, family, config, tied):
    """Return the weights by our path, and the canonical names of those that have none."""
    weights, known = {}, set()
    for name in family.table(config):
        if name.theirs not in arrays:
            continue
        known.add(name.theirs)
        if name.ours == "masked_lm/kernel" and tied:
            continue  # a copy of the token embeddings
        weights[name.ours] = in_our_layout(arrays[name.theirs][1], name)
    return weights, [key for key in arrays if key not in known]


def _heads(architectures, family, weights):
    """The heads that the weights include: those of the class that config.json names, or all that there may be."""
    candidates = [head for head in family.heads if f"{HEADS[head][-1]}/bias" in weights]
    for name in architectures if isinstance(architectures, list) else ():
        if str(name).endswith("ForPreTraining"):
            return tuple(head for head in family.pretraining if head in candidates)
        for ending, heads in CLASSES.items():
            if str(name).endswith(ending):
                return tuple(head for head in heads if head in candidates)
    return tuple(candidates)


def _each_once(weights, table, heads):
    """The weights without those that other heads than `heads` call theirs too: one array, one place."""
    layers = head_layers(heads)
    names = {name.ours: name.theirs for name in table}
    taken = {names[path] for path in weights if layer_of(path) in layers}
    return {
        path: array
        for path, array in weights.items()
        if layer_of(path) not in HEAD_LAYERS - layers or names[path] not in taken
    }


def labels_from_json(values, path, weights):
    """Return the label names in order, or `None` where a config.json has none."""
    names = values.get("id2label")
    if names is None:
        count = values.get("num_labels")
        if count is None:
            return None
        outputs = max((array.shape[0] for key, array in weights.items() if key.endswith("/bias")), default=0)
        if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= max(outputs, MOST_LABELS):
            raise CheckpointError(f"{path}: num_labels must be a count of labels. Received: {count!r:.100}.")
        return [f"LABEL_{index}" for index in range(count)]
    try:
        by_index = {int(index): str(name) for index, name in names.items()}
    except (AttributeError, ValueError) as error:
        raise CheckpointError(f"{path}: id2label must map indices to names.") from error
    if sorted(by_index) != list(range(len(by_index))):
        raise CheckpointError(
            f"{path}: id2label must number its labels from 0 without a gap. Received: {sorted(by_index)!s:.200}."
        )
    return [by_index[index] for index in range(len(by_index))]


def labels_to_json(labels):
    """Return the entries of config.json that name the labels."""
    return {
        "id2label": {str(index): name for index, name in enumerate(labels)},
        "label2id": {name: index for index, name in enumerate(labels)},
    }


def write_hugging_face(directory, checkpoint, allow_approximation=False):
    """Write `config.json` and `model.safetensors` into an existing directory.

    Args:
        directory: path of a directory that exists.
        checkpoint: `Checkpoint`.
        allow_approximation: bool. Whether another epsilon, or the other form of
            GELU, will do where the format has no place for the checkpoint's.
    Raises:
        CheckpointError: if the family has no such head.
    """
    directory = Path(directory)
    family = FAMILIES[checkpoint.config.family]
    architecture = _architecture(checkpoint, family)
    values = {**config_to_json(checkpoint, family), "architectures": [architecture]}
    back = config_from_json(values, family, directory / CONFIG_FILE)
    check_expressed(checkpoint, back, f"transformers' {family.name}", allow_approximation)
    arrays = _foreign_arrays(checkpoint, family, prefix="" if architecture.endswith("Model") else family.prefix)
    write_safetensors(directory, arrays)
    write_config(directory / CONFIG_FILE, values)


def check_expressed(checkpoint, back, subject, allow_approximation=False):
    """Raise unless reading what is being written gives the checkpoint's config back.

    Args:
        checkpoint: `Checkpoint`.
        back: `EncoderConfig` that reading the files gives.
        subject: str, for the error: what lacks a place for a value.
        allow_approximation: bool. Whether another epsilon, or the other form of GELU, will do.
    Raises:
        CheckpointError: naming every value that would be lost.
    """
    found = telling_values(back, checkpoint.heads)
    meant = telling_values(checkpoint.config, checkpoint.heads)
    lost = {name for name, value in meant.items() if name not in found or found[name] != value}
    close = {name for name in lost if name in found and is_close(name, meant[name], found[name])}
    if lost - (close if allow_approximation else set()):
        faults = [f"{name}={meant[name]!r}, where it has {found.get(name)!r}" for name in meant if name in lost]
        remedy = "A tolerance above 1e-4 accepts what it has" if lost == close else "Use another family or format"
        raise CheckpointError(f"{checkpoint.path}: {subject} cannot express {shortened(faults)}. {remedy}.")


def write_config(path, values):
    """Write a dict as a config.json."""
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _architecture(checkpoint, family):
    """The name of the `transformers` class that has the checkpoint's heads."""
    heads = tuple(checkpoint.heads)
    unknown = [head for head in heads if head not in family.heads]
    if unknown:
        raise CheckpointError(
            f"{checkpoint.path}: transformers has no class for a {family.name} with the head {', '.join(unknown)}. "
            f"It has {', '.join(family.heads)}."
        )
    if not heads:
        return f"{family.class_name}Model"
    if set(heads) <= set(family.pretraining) and (len(heads) > 1 or heads[0] in ("sentence_order", "replaced_token")):
        return f"{family.class_name}ForPreTraining"
    return f"{family.class_name}{next(ending for ending, found in CLASSES.items() if found == heads[:1])}"


def config_to_json(checkpoint, family):
    """Return the entries of config.json: the source's own, then what this package knows better."""
    config = checkpoint.config
    known = {"model_type": family.name, **family.required_values, "tie_word_embeddings": checkpoint.tied}
    source = checkpoint.values
    for ours, theirs in family.fields:
        value = getattr(config.heads, ours[6:]) if ours.startswith("heads.") else getattr(config, ours)
        if ours in ACTIVATION_FIELDS:
            if value is None or ACTIVATIONS.get(_hashable(source.get(theirs))) == value:
                continue  # nothing of its own, or the source's own spelling of the same
            value = next(name for name, activation in ACTIVATIONS.items() if activation == value)
        known[theirs] = value
    if config.positions == "after_padding":
        known["max_position_embeddings"] += config.position_offset
    labels = checkpoint.labels
    if labels is None and checkpoint.heads[:1] in (("text_classifier",), ("token_classifier",)):
        labels = [f"LABEL_{index}" for index in range(checkpoint.num_outputs(checkpoint.heads[0]))]
    known.update(labels_to_json(labels) if labels is not None else {})
    return {**source, **family.write(known, config), "dtype": checkpoint.dtype}


def _hashable(value):
    return value if isinstance(value, str) else None


def _foreign_arrays(checkpoint, family, prefix):
    """The arrays by foreign name, in the foreign layout, the encoder's names with `prefix`."""
    names = [name for name in family.table(checkpoint.config, checkpoint.heads) if name.ours in checkpoint.weights]
    lost = set(checkpoint.weights) - {name.ours for name in names}
    if lost:
        raise CheckpointError(
            f"{checkpoint.path}: transformers' {family.name} has no place for {shortened(sorted(lost))}. "
            "Leave that part out."
        )
    encoder = {name.theirs for name in family.table(checkpoint.config, heads=())}
    grouped = {}
    for name in names:
        grouped.setdefault(prefix + name.theirs if name.theirs in encoder else name.theirs, []).append(name)
    arrays = {theirs: in_their_layout(checkpoint.weights, group) for theirs, group in grouped.items()}
    if not checkpoint.tied:  # the output's bias is tied where its matrix is; else both names hold one
        arrays.update({alias: arrays[name] for alias, name in family.aliases.items() if name in arrays})
    return arrays

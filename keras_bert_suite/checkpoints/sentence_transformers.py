"""The sentence-transformers layout: what `modules.json` and its folders put after a transformer, read and written.

The transformer itself is a Hugging Face directory, at the root or in a folder.
No class that a file names is ever imported: what is not known here is refused
by its name.
"""

import dataclasses
import json
import re
from pathlib import Path, PurePosixPath

import numpy as np

from keras_bert_suite.checkpoints.arrays.safetensors_files import read_safetensors, write_safetensors
from keras_bert_suite.checkpoints.arrays.stored import (
    MAX_JSON_BYTES,
    Malformed,
    StoredArray,
    file_size,
    opened,
    quoted,
    take,
)
from keras_bert_suite.checkpoints.arrays.torch_file import read_torch
from keras_bert_suite.checkpoints.hugging_face import CONFIG_FILE, read_config, write_config
from keras_bert_suite.checkpoints.layout import in_our_layout, in_their_layout
from keras_bert_suite.checkpoints.names import WeightName
from keras_bert_suite.errors import CheckpointError, shortened

__all__ = ["Projection", "SentenceModules", "has_modules", "read_modules", "read_projection", "write_modules"]

MODULES_FILE = "modules.json"
MODEL_FILE = "config_sentence_transformers.json"

#: Where the transformer module keeps its values; the others are what its first versions called it.
TRANSFORMER_FILES = (
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
)

#: The modules that are known. Their home inside the library moved between its versions.
MODULE = re.compile(r"sentence_transformers\.(?:\w+\.)*(Transformer|Pooling|Dense|Normalize)")
#: The spelling that every version reads.
WRITTEN_TYPE = "sentence_transformers.models.{}"

#: Our modes of pooling -> theirs, and the flag of older files, in the order in which flags are put side by side.
POOLINGS = {
    "first": ("cls", "pooling_mode_cls_token"),
    "max": ("max", "pooling_mode_max_tokens"),
    "mean": ("mean", "pooling_mode_mean_tokens"),
    "mean_sqrt_length": ("mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens"),
    "weighted_mean": ("weightedmean", "pooling_mode_weightedmean_tokens"),
    "last": ("lasttoken", "pooling_mode_lasttoken"),
}

#: Class of PyTorch -> our name.
ACTIVATIONS = {"Identity": None, "Tanh": "tanh", "ReLU": "relu", "GELU": "gelu", "SiLU": "silu"}
#: Our name -> where PyTorch has the class.
ACTIVATION_HOMES = {
    ours: f"torch.nn.modules.{'linear' if ours is None else 'activation'}.{theirs}"
    for theirs, ours in ACTIVATIONS.items()
}

SIMILARITIES = ("cosine", "dot", "euclidean", "manhattan")

KERNEL = WeightName("kernel", "linear.weight", transposed=True)
BIAS = WeightName("bias", "linear.bias")
FLOATS = ("float16", "bfloat16", "float32", "float64")

#: The values of the transformer module that change what it computes -> what they must be, where they are there.
TRANSFORMER_VALUES = {
    "transformer_task": ("feature-extraction",),
    "module_output_name": ("token_embeddings",),
    "query_length": (None,),
    "document_length": (None,),
    "query_expansion": (None,),
    "processing_kwargs": (None, {}),
}


@dataclasses.dataclass(frozen=True)
class Projection:
    """A dense layer after the pooling.

    Args:
        kernel: `StoredArray` `(in, out)`.
        bias: optional `StoredArray` `(out,)`.
        activation: optional str, as in `EncoderConfig`.
    """

    kernel: StoredArray
    bias: StoredArray | None = None
    activation: str | None = None


@dataclasses.dataclass(frozen=True)
class SentenceModules:
    """What makes an encoder a model of sentence embeddings.

    Args:
        hidden_dim: int. Width of the encoder's vectors.
        pooling: tuple of str, as in `layers.Pooling`; several are put side by side.
        projections: tuple of `Projection`.
        normalize: bool. Whether vectors have length 1.
        max_length: optional int. Longer texts are cut, in tokens.
        lowercase: bool. Whether texts are lower-cased before the tokenizer sees them.
        include_prompt: bool. Whether the tokens of a prompt have a part in the pooling.
        prompts: dict of str: texts to put before a text, by the name of what they are for.
        default_prompt: optional str. The name of the prompt where none is asked for.
        similarity: str: `"cosine"`, `"dot"`, `"euclidean"` or `"manhattan"`.
        folder: str. Where the transformer lies, relative to the directory; `""` is its root.
    """

    hidden_dim: int
    pooling: tuple = ("mean",)
    projections: tuple = ()
    normalize: bool = False
    max_length: int | None = None
    lowercase: bool = False
    include_prompt: bool = True
    prompts: dict = dataclasses.field(default_factory=dict)
    default_prompt: str | None = None
    similarity: str = "cosine"
    folder: str = ""


# Reading ---------------------------------------------------------------------------------


def has_modules(directory):
    """Return whether a directory is in the sentence-transformers layout."""
    return (Path(directory) / MODULES_FILE).is_file()


def read_modules(directory):
    """Read what follows the transformer in a sentence-transformers directory.

    Args:
        directory: str or path. Holds `modules.json`.
    Returns:
        `SentenceModules`.
    Raises:
        CheckpointError: if a file is missing or damaged, or asks for what this
            package does not compute.
    """
    directory = Path(directory)
    path = directory / MODULES_FILE
    modules = [_module(path, entry) for entry in _read_list(path)]
    kinds = [kind for kind, _ in modules]
    if not re.fullmatch(r"Transformer Pooling( Dense)*( Normalize)?", " ".join(kinds)):
        raise CheckpointError(
            f"{path}: the modules must be a Transformer, a Pooling, and then perhaps Dense and last Normalize. "
            f"Received: {', '.join(kinds) or 'none'}."
        )
    folders = [folder for _, folder in modules]
    values = {"folder": folders[0], "normalize": kinds[-1] == "Normalize"}
    if values["normalize"]:
        _check_names(directory / folders[-1], _optional(directory / folders[-1], CONFIG_FILE))
    values |= _read_pooling(directory / folders[1])
    width = values["hidden_dim"] * len(values["pooling"])
    projections = []
    for kind, folder in modules[2:]:
        if kind == "Dense":
            projections.append(_read_dense(directory / folder, width))
            width = projections[-1].kernel.shape[1]
    return SentenceModules(
        **values, projections=tuple(projections), **_read_transformer(directory / folders[0]), **_read_model(directory)
    )


def _read_list(path):
    """The list of dicts in `modules.json`."""
    with opened(path) as file:
        size = file_size(file)
        if size > MAX_JSON_BYTES:
            raise Malformed(f"more than {MAX_JSON_BYTES} bytes of JSON")
        content = take(file, 0, size)
        try:
            entries = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise Malformed(f"not valid JSON: {shortened([str(error)[:100]])}") from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise CheckpointError(f"{path}: must hold a list of modules. Use the file saved with the model.")
    return entries


def _module(path, entry):
    """Return the kind of a module and its folder, both held to the rules."""
    name, folder = entry.get("type"), entry.get("path", "")
    found = MODULE.fullmatch(name) if isinstance(name, str) else None
    if found is None:
        raise CheckpointError(
            f"{path}: a module must be a Transformer, Pooling, Dense or Normalize of sentence_transformers. "
            f"Received: {quoted(name)}. Code that comes with a model is never run."
        )
    parts = PurePosixPath(folder).parts if isinstance(folder, str) else None
    if parts is None or ".." in parts or folder.startswith("/") or any(sign in folder for sign in "\\:\0"):
        raise CheckpointError(
            f"{path}: a module must lie in a folder beside {MODULES_FILE}. Received: path={quoted(folder)} of "
            f"{found[1]}. Use the file saved with the model."
        )
    if entry.get("kwargs"):
        raise CheckpointError(f"{path}: kwargs of a module are not supported. Received: {entry['kwargs']!s:.100}.")
    return found[1], "" if not parts else str(PurePosixPath(folder))


def _optional(directory, *names):
    """The dict of the first of some JSON files that is there, or an empty one."""
    name = next((name for name in names if (directory / name).is_file()), None)
    return {} if name is None else read_config(directory, name)


def _check_values(path, values, allowed):
    """Raise unless each value that is there is among those that this package computes."""
    for key, choices in allowed.items():
        if key in values and not any(values[key] is one or values[key] == one for one in choices):
            raise CheckpointError(
                f"{path}: {key} must be {' or '.join(map(repr, choices))}. Received: {key}={values[key]!r:.100}."
            )


def _check_names(path, values):
    """Raise unless a module works on the embedding, not on something else that it names."""
    names = ("sentence_embedding",)
    _check_values(path, values, {"module_input_name": names, "module_output_name": (*names, None)})


def _typed(path, values, key, kind, default):
    """Return a value of a JSON file that must be of one type, where it is there at all."""
    value = values.get(key)
    if value is None:
        return default
    if not isinstance(value, kind) or (kind is int and (isinstance(value, bool) or value <= 0)):
        wanted = "a whole number above 0" if kind is int else f"a {kind.__name__}"
        raise CheckpointError(f"{path}: {key} must be {wanted}. Received: {key}={value!r:.100}.")
    return value


def _read_transformer(directory):
    """The length and the case of texts."""
    values = _optional(directory, *TRANSFORMER_FILES)
    path = directory / TRANSFORMER_FILES[0]
    _check_values(path, values, TRANSFORMER_VALUES)
    text = {"method": "forward", "method_output_name": "last_hidden_state"}
    modalities = _typed(path, values, "modality_config", dict, {"text": text})
    if modalities.get("text") != text:
        raise CheckpointError(
            f"{path}: text must be embedded from the last hidden states. Received: modality_config={modalities!s:.100}."
        )
    options = {}
    for key in ("tokenizer_args", "processor_kwargs"):
        options |= _typed(path, values, key, dict, {})
    _check_values(path, options, dict.fromkeys(set(options) - {"model_max_length"}, (None,)))
    return {
        "max_length": _typed(path, values, "max_seq_length", int, None)
        or _typed(path, options, "model_max_length", int, None),
        "lowercase": _typed(path, values, "do_lower_case", bool, False),
    }


def _read_pooling(directory):
    """The modes of pooling, by whichever spelling the file has, and the width of what is pooled."""
    values, path = read_config(directory), directory / CONFIG_FILE
    width = _typed(path, {"embedding_dimension": values.get("word_embedding_dimension"), **values},
                   "embedding_dimension", int, None)  # fmt: skip
    if width is None:
        raise CheckpointError(f"{path}: missing embedding_dimension. Use the file saved with the model.")
    unknown = {key for key in values if key.startswith("pooling_mode_")} - {flag for _, flag in POOLINGS.values()}
    names = {theirs: ours for ours, (theirs, _) in POOLINGS.items()}
    modes = values.get("pooling_mode")
    if modes is None:
        modes = [theirs for theirs, flag in POOLINGS.values() if values.get(flag)] or ["mean"]
    modes = [modes] if isinstance(modes, str) else modes
    if any(values[key] for key in unknown):
        modes = sorted(unknown)
    if not isinstance(modes, list) or not modes or not all(isinstance(mode, str) and mode in names for mode in modes):
        raise CheckpointError(f"{path}: pooling must be one of {', '.join(names)}. Received: {modes!s:.100}.")
    return {
        "hidden_dim": width,
        "pooling": tuple(names[mode] for mode in modes),
        "include_prompt": _typed(path, values, "include_prompt", bool, True),
    }


def _read_dense(directory, width):
    """One dense layer, over vectors of `width`."""
    values, path = read_config(directory), directory / CONFIG_FILE
    _check_names(path, values)
    _check_values(path, values, {"use_residual": (False,)})
    units = [_typed(path, values, key, int, None) for key in ("in_features", "out_features")]
    if units[0] != width or units[1] is None:
        raise CheckpointError(
            f"{path}: in_features must be {width}, the width of what it reads, and out_features be there. "
            f"Received: in_features={units[0]}, out_features={units[1]}. Use the file saved with the model."
        )
    name = values.get("activation_function", ACTIVATION_HOMES["tanh"])
    activation = name.rpartition(".")[2] if isinstance(name, str) and name.startswith("torch.nn.") else None
    if activation not in tuple(ACTIVATIONS):
        raise CheckpointError(
            f"{path}: activation_function must be one of torch.nn's {', '.join(ACTIVATIONS)}. Received: {quoted(name)}."
        )
    wanted = (KERNEL, BIAS) if _typed(path, values, "bias", bool, True) else (KERNEL,)
    arrays = (read_safetensors if (directory / "model.safetensors").exists() else read_torch)(directory)
    shapes = {KERNEL: (units[1], units[0]), BIAS: (units[1],)}
    faults = [
        f"{weight.theirs} must be of shape {shapes[weight]}"
        for weight in wanted
        if weight.theirs not in arrays
        or tuple(arrays[weight.theirs].shape) != shapes[weight]
        or arrays[weight.theirs].dtype.name not in FLOATS
    ]
    faults += [f"there is no place for {name}" for name in sorted(set(arrays) - {weight.theirs for weight in wanted})]
    if faults:
        raise CheckpointError(f"{directory}: {shortened(faults)}. Use the config.json saved with these weights.")
    ours = [in_our_layout(arrays[weight.theirs], weight) for weight in wanted]
    return Projection(*ours, activation=ACTIVATIONS[activation])


def _read_model(directory):
    """Prompts and similarity."""
    values, path = _optional(directory, MODEL_FILE), directory / MODEL_FILE
    allowed = {"model_type": ("SentenceTransformer",), "truncate_dim": (None,)}
    _check_values(path, values, {**allowed, "similarity_fn_name": (None, *SIMILARITIES)})
    prompts = _typed(path, values, "prompts", dict, {})
    if not all(isinstance(prompt, str | None) for prompt in prompts.values()):
        raise CheckpointError(f"{path}: prompts must be texts by name. Received: prompts={prompts!s:.100}.")
    default = _typed(path, values, "default_prompt_name", str, None)
    if default is not None and default not in prompts:
        raise CheckpointError(
            f"{path}: default_prompt_name must be the name of a prompt. Received: {quoted(default)}; there are "
            f"{', '.join(map(quoted, prompts)) or 'none'}."
        )
    return {
        "prompts": {name: prompt or "" for name, prompt in prompts.items()},
        "default_prompt": default,
        "similarity": values.get("similarity_fn_name") or "cosine",
    }


def read_projection(projection):
    """Return the weights of a `Projection` as float32 arrays, kernel first.

    Raises:
        CheckpointError: if one is not finite, or its file has changed.
    """
    arrays = [stored.read().astype("float32") for stored in (projection.kernel, projection.bias) if stored is not None]
    if not all(np.isfinite(array).all() for array in arrays):
        raise CheckpointError("a Dense module has weights that are not finite. Download the model again.")
    return arrays


# Writing ---------------------------------------------------------------------------------


def write_modules(directory, modules):
    """Make a Hugging Face directory a sentence-transformers one too.

    Args:
        directory: str or path that holds the transformer at its root.
        modules: `SentenceModules`; its `folder` is left aside.
    """
    directory = Path(directory)
    kinds = ["Transformer", "Pooling", *["Dense"] * len(modules.projections), *["Normalize"] * modules.normalize]
    folders = ["", *(f"{index}_{kind}" for index, kind in enumerate(kinds[1:], start=1))]
    for folder in folders[1:]:
        (directory / folder).mkdir()
    write_config(directory / folders[1] / CONFIG_FILE, _pooling_values(modules))
    for folder, projection in zip(folders[2:], modules.projections, strict=False):
        _write_dense(directory / folder, projection)
    entries = zip(folders, kinds, strict=True)
    write_config(
        directory / MODULES_FILE,
        [
            {"idx": index, "name": str(index), "path": folder, "type": WRITTEN_TYPE.format(kind)}
            for index, (folder, kind) in enumerate(entries)
        ],
    )
    write_config(
        directory / TRANSFORMER_FILES[0], {"max_seq_length": modules.max_length, "do_lower_case": modules.lowercase}
    )
    write_config(
        directory / MODEL_FILE,
        {
            "model_type": "SentenceTransformer",
            "prompts": modules.prompts,
            "default_prompt_name": modules.default_prompt,
            "similarity_fn_name": modules.similarity,
        },
    )


def _pooling_values(modules):
    """The pooling as the flags that every version reads, unless its order is one that flags cannot say."""
    values = {"word_embedding_dimension": modules.hidden_dim}
    if not modules.include_prompt:
        values["include_prompt"] = False
    if tuple(mode for mode in POOLINGS if mode in modules.pooling) != tuple(modules.pooling):
        return values | {"pooling_mode": [POOLINGS[mode][0] for mode in modules.pooling]}
    # The oldest versions know four flags, and no more.
    modes = [mode for mode in POOLINGS if mode in modules.pooling or mode not in ("weighted_mean", "last")]
    return values | {POOLINGS[mode][1]: mode in modules.pooling for mode in modes}


def _write_dense(directory, projection):
    weights = {"kernel": projection.kernel, "bias": projection.bias}
    names = [name for name in (KERNEL, BIAS) if weights[name.ours] is not None]
    width, units = projection.kernel.shape
    values = {
        "in_features": width,
        "out_features": units,
        "bias": projection.bias is not None,
        "activation_function": ACTIVATION_HOMES[projection.activation],
    }
    write_config(directory / CONFIG_FILE, values)
    arrays = {name.theirs: in_their_layout(weights, [name]) for name in names}
    write_safetensors(directory, arrays)

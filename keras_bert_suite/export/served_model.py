"""The model that an artifact holds: ids in, named answers out. Plain Keras, the same on every backend."""

from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from keras_bert_suite.errors import check_choice
from keras_bert_suite.models import INPUT_NAMES, build_viterbi

__all__ = ["ServedModel", "build_served_model", "raw_outputs"]


class ServedModel(NamedTuple):
    """A model to be exported, and the names of its dimensions.

    Args:
        model: `keras.Model` from a dict of int32 arrays to a dict of arrays.
        inputs: dict from the name of an input to its dimensions, tuple of str.
        outputs: dict from the name of an output to its dimensions, tuple of str
            and int. `"batch"`, `"length"` and `"choices"` are open.
    """

    model: keras.Model
    inputs: dict
    outputs: dict


def build_served_model(task):
    """Build the model that artifacts of a task hold. Its layers are the task's own.

    B is the batch, T the length in tokens, L the number of labels.

    | Task | Outputs |
    |---|---|
    | one label of several | `probabilities` `(B, L)` |
    | any number of labels | `probabilities` `(B, L)`, each for itself |
    | regression | `score` `(B, 1)` |
    | tagging | `probabilities` `(B, T, L)` |
    | tagging with a conditional random field | `tags` int32 `(B, T)`, -1 where `word_mask` is 0; `logits` `(B, T, L)` |
    | questions | `start_logits` and `end_logits` `(B, T)` |
    | multiple choice | `logits` `(B, C)` |
    | embeddings | `embedding` `(B, D)` |
    | fill-mask | `logits` `(B, T, V)` |

    Inputs are `token_ids`, `segment_ids` and `padding_mask`, int32 `(B, T)`;
    `(B, C, T)` for multiple choice. A conditional random field also takes
    `word_mask`, int32 `(B, T)`: 1 at the first token of each word.

    Args:
        task: any task of `keras_bert_suite.tasks` with a model.
    Returns:
        `ServedModel`.
    Raises:
        ValueError: if artifacts of the task cannot be written.
    """
    check_choice("export", "task", task.task, tuple(BUILDERS))
    inputs, outputs, dims = BUILDERS[task.task](task)
    rows = ("batch", "choices", "length") if task.task == "multiple-choice" else ("batch", "length")
    inputs = {name: inputs[name] for name in (*INPUT_NAMES, "word_mask") if name in inputs}
    model = keras.Model(inputs, outputs, name=task.task.replace("-", "_"))
    return ServedModel(model, dict.fromkeys(inputs, rows), dims)


def raw_outputs(task, outputs):
    """Return what the model of a task gives, from what an artifact of it gives.

    Args:
        task: the task.
        outputs: dict of NumPy arrays, as `build_served_model` names them.
    Returns:
        NumPy array: the logits that the task's own methods read, up to a constant.
    """
    if task.task == "question-answering":
        return np.stack([outputs["start_logits"], outputs["end_logits"]], axis=-1)
    if getattr(task, "crf", False):  # what `layers.CRF` puts in front is read from the layer itself
        front = np.zeros((len(outputs["logits"]), 2 + outputs["logits"].shape[-1], outputs["logits"].shape[-1]))
        return np.concatenate([front.astype("float32"), outputs["logits"]], axis=1)
    if "probabilities" in outputs:
        chances = np.clip(outputs["probabilities"].astype("float64"), np.finfo("float32").tiny, 1)
        several = getattr(task, "problem_type", None) == "multi_label_classification"
        raw = np.log(chances) - (np.log(np.maximum(1 - chances, 1e-16)) if several else 0)
        return raw.astype("float32")
    return next(iter(outputs.values()))


def _classifier(task):
    model, num_labels = task.model, len(task.labels)
    logits = ops.cast(model.output, "float32")
    if task.problem_type == "regression":
        return model.input, {"score": logits}, {"score": ("batch", 1)}
    several = task.problem_type == "multi_label_classification"
    probabilities = ops.sigmoid(logits) if several else ops.softmax(logits)
    return model.input, {"probabilities": probabilities}, {"probabilities": ("batch", num_labels)}


def _tagger(task):
    num_labels = len(task.labels)
    shape = ("batch", "length", num_labels)
    if not task.crf:
        logits = ops.cast(task.model.output, "float32")
        return task.model.input, {"probabilities": ops.softmax(logits)}, {"probabilities": shape}
    viterbi = build_viterbi(task.model)
    outputs = {"tags": viterbi.output, "logits": task.model.output[:, 2 + num_labels :]}
    return viterbi.input, outputs, {"tags": ("batch", "length"), "logits": shape}


def _answerer(task):
    logits = ops.cast(task.model.output, "float32")
    outputs = {"start_logits": logits[..., 0], "end_logits": logits[..., 1]}
    return task.model.input, outputs, dict.fromkeys(outputs, ("batch", "length"))


def _chooser(task):
    return task.model.input, {"logits": task.model.output}, {"logits": ("batch", "choices")}


def _embedder(task):
    return task.model.input, {"embedding": task.model.output}, {"embedding": ("batch", task.model.output.shape[-1])}


def _masked_lm(task):
    vocabulary_size = task.model.output.shape[-1]
    return task.model.input, {"logits": task.model.output}, {"logits": ("batch", "length", vocabulary_size)}


#: Name of a task -> function from the task to inputs, outputs, and the dimensions of the outputs.
BUILDERS = {
    "text-classification": _classifier,
    "relation-classification": _classifier,
    "prompt-classification": _classifier,
    "few-shot-classification": _classifier,
    "token-classification": _tagger,
    "question-answering": _answerer,
    "multiple-choice": _chooser,
    "sentence-embedding": _embedder,
    "fill-mask": _masked_lm,
}

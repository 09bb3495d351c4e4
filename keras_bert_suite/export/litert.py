"""LiteRT (TFLite) of one fixed length, with the metadata that MediaPipe reads. Runs in the worker."""

import os

import numpy as np
import tensorflow as tf

from keras_bert_suite.errors import require
from keras_bert_suite.export.litert_file import check_builtin, input_order, read_length
from keras_bert_suite.export.litert_metadata import add_metadata, classifier_metadata

__all__ = ["export_litert", "load_litert"]

#: The names that MediaPipe expects, with ours.
INPUTS = {"ids": "token_ids", "mask": "padding_mask", "segment_ids": "segment_ids"}
#: How MediaPipe's tokenizer spells the special tokens, whatever the vocabulary calls them.
SPELLINGS = {"cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]", "pad_token": "[PAD]"}


def export_litert(task, path, length, int8=False):
    """Write a `.tflite` file, with MediaPipe's metadata where it has a tokenizer of the kind.

    It has the int32 `(1, length)` inputs `ids`, `mask` and `segment_ids`, one
    float32 output `score` `(1, L)` of probabilities, a signature with these
    names, and only operations that every LiteRT runtime has.

    Args:
        task: `TextClassifier`.
        path: path of the file to write.
        length: int. Tokens in every row, padding included.
        int8: bool. Whether to store weights in 8 bits (dynamic range).
    Returns:
        list of str: what a user should know.
    Raises:
        ArtifactError: if the model needs an operation that LiteRT lacks.
    """
    specs = [tf.TensorSpec((1, length), tf.int32, name=name) for name in INPUTS]

    @tf.function(input_signature=specs)
    def classify(ids, mask, segment_ids):
        inputs = {"token_ids": ids, "padding_mask": mask, "segment_ids": segment_ids}
        return {"score": tf.nn.softmax(tf.cast(task.model(inputs, training=False), tf.float32))}

    module = tf.Module()
    module.weights = [weight.value for weight in task.model.weights]
    converter = tf.lite.TFLiteConverter.from_concrete_functions([classify.get_concrete_function()], module)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if int8:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    model = converter.convert()
    check_builtin(model)
    if task.tokenizer.kind == "WordPiece":
        description = f"Text classifier, {len(task.labels)} labels, {length} tokens."
        metadata = classifier_metadata(input_order(model), description)
        files = {"vocab.txt": _vocabulary(task.tokenizer), "labels.txt": _lines(task.labels)}
        model = add_metadata(model, metadata, files)
    path.write_bytes(model)
    return _notes(task)


def load_litert(path):
    """Open a `.tflite` file; return its function of ids, which takes rows one by one and pads them."""
    interpreter = require("ai_edge_litert.interpreter", "running LiteRT").Interpreter(
        str(path), num_threads=min(4, os.cpu_count() or 1)
    )
    classify = interpreter.get_signature_runner()
    length = read_length(path)

    def run(ids):
        padding = ((0, 0), (0, length - ids["token_ids"].shape[1]))
        padded = {theirs: np.pad(ids[ours], padding) for theirs, ours in INPUTS.items()}
        rows = [{name: column[[row]] for name, column in padded.items()} for row in range(len(ids["token_ids"]))]
        return np.concatenate([classify(**row)["score"] for row in rows])

    return {"ids": run}


def _vocabulary(tokenizer):
    """The vocabulary as MediaPipe reads it: a token a line, none of them empty."""
    tokens = [token or f"[unused-id-{index}]" for index, token in enumerate(tokenizer.vocabulary)]
    for name, spelling in SPELLINGS.items():
        tokens[tokenizer.token_to_id(tokenizer.special_tokens[name])] = spelling
    return _lines(tokens)


def _lines(values):
    """One value a line; line breaks inside would shift all that follow."""
    return "".join(" ".join(value.splitlines()) + "\n" for value in values)


def _notes(task):
    kind = task.tokenizer.kind
    if kind != "WordPiece":
        return [f"litert: MediaPipe has no tokenizer of kind {kind}, so that the file has no metadata for it."]
    notes = []
    if task.pair:
        notes.append("litert: MediaPipe's TextClassifier passes one text, so that it cannot serve a model of pairs.")
    if not task.tokenizer.lowercase:
        notes.append(
            "litert: MediaPipe lower-cases every text, so that a model with a cased vocabulary may answer differently "
            "there. Tokenize on the host instead."
        )
    return notes

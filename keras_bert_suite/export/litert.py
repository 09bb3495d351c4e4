"""LiteRT (TFLite) files of fixed lengths, with the metadata that MediaPipe reads. Runs in the worker."""

import functools
import re
import tempfile

import tensorflow as tf

from keras_bert_suite.errors import ArtifactError, check_choice
from keras_bert_suite.export.litert_file import INPUTS, LABELS, VOCABULARY, check_builtin, input_order
from keras_bert_suite.export.litert_metadata import classifier_metadata, embedder_metadata
from keras_bert_suite.export.litert_pack import pack_litert
from keras_bert_suite.export.litert_quantize import QUANTIZATIONS, check_calibration, quantize_litert
from keras_bert_suite.files import replaced_file

__all__ = ["export_litert"]

#: How MediaPipe's tokenizer spells the special tokens, whatever the vocabulary calls them.
SPELLINGS = {"cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]", "pad_token": "[PAD]"}
#: Tasks whose answer depends on the plain text alone, as MediaPipe passes it.
PLAIN_TEXT = ("text-classification", "few-shot-classification", "sentence-embedding")


def export_litert(task, served, path, lengths, *, quantization=None, calibration=None, files=None):
    """Write a `.tflite` file: one signature for each length, over the same weights.

    The inputs `ids`, `mask` and `segment_ids` (`word_mask` too, for a
    conditional random field) are int32 `(1, T)`. Outputs have the names of
    `build_served_model`, but for `probabilities` of a text, which MediaPipe
    knows as `score`; rows of multiple choice are choices. The signature
    `serving_default` has the greatest length; where there are several,
    `length_T` has length T. Every runtime has the operations that are used.

    Of one length, classifiers and embedders with a WordPiece tokenizer carry the
    metadata with which MediaPipe's `TextClassifier` and `TextEmbedder` open the
    file. MediaPipe refuses files of several.

    Args:
        task: any task that `build_served_model` takes.
        served: `ServedModel` of it.
        path: path of the file to write.
        lengths: list of int, ascending. Tokens in every row, padding included.
        quantization: `None`, `"float16"` (weights), or as in `quantize_litert`.
        calibration: optional dict of int32 `(N, T)` with the names of the
            model's inputs: rows like those of later use, for `"full-int8"`.
        files: optional dict from name to bytes. Files to pack in, compressed.
    Returns:
        list of str: what a user should know.
    Raises:
        ArtifactError: if the model needs an operation that LiteRT lacks.
        ImportError: if `quantization` needs a module that is not installed.
        ValueError: if it is unknown, or lacks its calibration.
    """
    check_choice("export", "quantization", quantization, (None, "float16", *QUANTIZATIONS))
    check_calibration(quantization, calibration)
    arguments = served.model, tuple(served.inputs), tuple(lengths)
    model = _convert(*arguments, float16=True) if quantization == "float16" else _convert_once(*arguments)
    if quantization in QUANTIZATIONS:
        theirs = (
            {name: calibration[ours] for name, ours in INPUTS.items() if ours in calibration} if calibration else None
        )
        model = quantize_litert(model, quantization, theirs)
    check_builtin(model)
    signatures = {_key(index): (f"length_{length}",) for index, length in enumerate(reversed(lengths))}
    longest = ("serving_default",) if len(lengths) == 1 else (f"length_{lengths[-1]}", "serving_default")
    signatures[_key(0)] = longest
    metadata = _metadata(task, served, model, lengths)
    packed = pack_litert(model, signatures, metadata, _text_files(task, served), files)
    with replaced_file(path, "wb") as file:
        file.write(packed)
    return _notes(task, served, lengths)


@functools.lru_cache(maxsize=1)
def _convert_once(model, input_names, lengths):
    """Convert to float32, from which every quantized form is made."""
    return _convert(model, input_names, lengths, float16=False)


def _convert(model, input_names, lengths, float16):
    """Convert a Keras model; its signatures are named so that the greatest length comes first."""
    names = [theirs for theirs, ours in INPUTS.items() if ours in input_names]
    module = tf.Module()
    module.weights = [weight.value for weight in model.weights]

    def concrete(length):
        @tf.function(input_signature=[tf.TensorSpec((1, length), tf.int32, name=name) for name in names])
        def serve(*columns):
            batch = dict(zip((INPUTS[name] for name in names), columns, strict=True))
            if len(model.inputs[0].shape) == 3:  # a choice a row
                batch = {name: column[:, None] for name, column in batch.items()}
            return _named_for_mediapipe(model(batch, training=False))

        return serve.get_concrete_function()

    signatures = {_key(index): concrete(length) for index, length in enumerate(reversed(lengths))}
    with tempfile.TemporaryDirectory() as directory:
        tf.saved_model.save(module, directory, signatures=signatures)
        converter = tf.lite.TFLiteConverter.from_saved_model(directory, signature_keys=list(signatures))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if float16:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        try:
            return bytes(converter.convert())
        except Exception as error:  # the converter's own class is private
            lacking = re.search(r"(?:Select|Custom) ops: (.*)", str(error))
            raise ArtifactError(
                "LiteRT export must need built-in operations alone. "
                f"Received: {lacking.group(1) if lacking else str(error)[:300]}. Report the model."
            ) from error


def _key(index):
    """The converter sorts subgraphs by the name of their signature, and a runtime that knows none runs the first."""
    return f"signature_{index:04d}"


def _named_for_mediapipe(outputs):
    """MediaPipe knows the probabilities of a text as `score`."""
    of_text = [name for name, value in outputs.items() if name == "probabilities" and len(value.shape) == 2]
    return {"score" if name in of_text else name: value for name, value in outputs.items()}


def _metadata(task, served, model, lengths):
    if task.tokenizer.kind != "WordPiece" or len(lengths) > 1 or not _known_to_mediapipe(task, served):
        return None
    if "embedding" in served.outputs:
        return embedder_metadata(input_order(model), f"Sentence embedder, {lengths[0]} tokens.")
    return classifier_metadata(input_order(model), f"Text classifier, {len(task.labels)} labels, {lengths[0]} tokens.")


def _known_to_mediapipe(task, served):
    return task.task in PLAIN_TEXT and "score" not in served.outputs


def _text_files(task, served):
    """The vocabulary and the labels, as MediaPipe reads them."""
    files = {}
    if task.tokenizer.kind == "WordPiece":
        files[VOCABULARY] = _vocabulary(task.tokenizer)
    if {"probabilities", "tags"} & set(served.outputs):
        files[LABELS] = _lines(task.labels)
    return files


def _vocabulary(tokenizer):
    """The vocabulary as MediaPipe reads it: a token a line, none of them empty."""
    tokens = [token or f"[unused-id-{index}]" for index, token in enumerate(tokenizer.vocabulary)]
    for name, spelling in SPELLINGS.items():
        tokens[tokenizer.token_to_id(tokenizer.special_tokens[name])] = spelling
    return _lines(tokens)


def _lines(values):
    """One value a line; line breaks inside would shift all that follow."""
    return "".join(" ".join(value.splitlines()) + "\n" for value in values).encode()


def _notes(task, served, lengths):
    """What differs in MediaPipe, for the tasks that it knows."""
    if not _known_to_mediapipe(task, served):
        return []
    kind = task.tokenizer.kind
    if kind != "WordPiece":
        return [f"litert: MediaPipe has no tokenizer of kind {kind}, so that the file has no metadata for it."]
    if len(lengths) > 1:
        return ["litert: MediaPipe opens files of one length alone. Export with one litert_length to use it there."]
    notes = []
    if getattr(task, "pair", False):
        notes.append("litert: MediaPipe's TextClassifier passes one text, so that it cannot serve a model of pairs.")
    if not task.tokenizer.lowercase:
        notes.append(
            "litert: MediaPipe lower-cases every text, so that a model with a cased vocabulary may answer differently "
            "there. Tokenize on the host instead."
        )
    return notes

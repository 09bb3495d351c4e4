"""SavedModel for TF Serving and plain TensorFlow, the tokenizer in its graph. Runs in the worker."""

import contextlib

import numpy as np
import tensorflow as tf

from keras_bert_suite.errors import require
from keras_bert_suite.models import encoder_config
from keras_bert_suite.text.in_graph import build_in_graph_tokenizer

__all__ = ["export_saved_model", "load_saved_model"]

ID_NAMES = ("token_ids", "segment_ids", "padding_mask")


def export_saved_model(task, path, max_length):
    """Write a SavedModel with the signatures `serving_default` and `ids`.

    `serving_default` takes strings `text` `(B,)`, and `text_b` `(B,)` for a
    model of pairs; `ids` takes int32 `(B, T)` arrays `token_ids`,
    `segment_ids` and `padding_mask`. Both return `label` `(B,)`, its `score`
    `(B,)`, `probabilities` `(B, L)` and, in their order, `labels` `(B, L)`.
    Where the tokenizer cannot go into the graph, `serving_default` is `ids`.

    Args:
        task: `TextClassifier`.
        path: path of the directory to write.
        max_length: int. Longer texts are cut, in tokens.
    Returns:
        list of str: what a user should know.
    """
    module = tf.Module(name="text_classifier")
    # The variables alone, each once; a Keras model would bring its optimizer and its layers' Python side.
    module.weights = [weight.value for weight in task.model.weights]
    classify = _classifier(task)
    longest = encoder_config(task.encoder).max_length

    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.int32, name=name) for name in ID_NAMES])
    def classify_ids(token_ids, segment_ids, padding_mask):
        message = f"a row must have at most {longest} tokens"
        with tf.control_dependencies([tf.debugging.assert_less_equal(tf.shape(token_ids)[1], longest, message)]):
            token_ids = tf.identity(token_ids)
        return classify({"token_ids": token_ids, "segment_ids": segment_ids, "padding_mask": padding_mask})

    signatures, notes = {"ids": classify_ids, "serving_default": classify_ids}, []
    try:
        tokenizer = build_in_graph_tokenizer(task.tokenizer, max_length)
    except (ImportError, ValueError) as error:
        notes.append(f"saved_model takes ids only, no strings: {error}")
    else:
        module.tokenizer = tokenizer
        signatures["serving_default"] = _classify_strings(classify, tokenizer, task.pair)
    tf.saved_model.save(module, str(path), signatures=signatures)
    return notes


def load_saved_model(path):
    """Open a SavedModel; return a function of texts, where it takes them, and one of ids."""
    with contextlib.suppress(ImportError):
        import tensorflow_text  # noqa: F401  registers the tokenizer's kernel
    try:
        loaded = tf.saved_model.load(str(path))
    except (OSError, RuntimeError) as error:
        if "FastWordpiece" in str(error):
            require("tensorflow_text", "a SavedModel that takes strings")
        raise

    def run_ids(ids):
        return answer("ids", {name: ids[name] for name in ID_NAMES})

    def run_text(texts, pairs):
        return answer("serving_default", {"text": texts} if pairs is None else {"text": texts, "text_b": pairs})

    def answer(signature, columns):
        arguments = {name: tf.constant(column) for name, column in columns.items()}
        return loaded.signatures[signature](**arguments)["probabilities"].numpy()

    takes_text = "text" in loaded.signatures["serving_default"].structured_input_signature[1]
    return {"text": run_text, "ids": run_ids} if takes_text else {"ids": run_ids}


def _classifier(task):
    """The function from ids to the outputs of every signature."""
    names = np.array([label.encode("utf-8") for label in task.labels], dtype=object)

    def classify(inputs):
        probabilities = tf.nn.softmax(tf.cast(task.model(inputs, training=False), tf.float32))  # (B, L)
        labels = tf.constant(names)
        return {
            "label": tf.gather(labels, tf.argmax(probabilities, axis=-1)),
            "score": tf.reduce_max(probabilities, axis=-1),
            "probabilities": probabilities,
            # A copy per row, because TF Serving's row format wants every output to have the batch's size.
            "labels": tf.repeat(labels[tf.newaxis], tf.shape(probabilities)[0], axis=0),
        }

    return classify


def _classify_strings(classify, tokenizer, pair):
    column = tf.TensorSpec((None,), tf.string)
    if pair:
        return tf.function(
            lambda text, text_b: classify(tokenizer.encode_pairs(text, text_b)), input_signature=[column, column]
        )
    return tf.function(lambda text: classify(tokenizer.encode_texts(text)), input_signature=[column])

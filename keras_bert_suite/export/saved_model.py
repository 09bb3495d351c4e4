"""SavedModel for TF Serving and plain TensorFlow, the tokenizer in its graph. Runs in the worker."""

import shutil

import tensorflow as tf

from keras_bert_suite.export.description import write_description
from keras_bert_suite.export.signatures import examples_signature, string_signature, with_labels
from keras_bert_suite.models import encoder_config

__all__ = ["export_saved_model"]


def export_saved_model(task, served, path, max_length, files=None):
    """Write a SavedModel with the signatures `serving_default`, `ids` and `examples`.

    `serving_default` takes strings, `ids` what `build_served_model` describes,
    and `examples` serialized `tf.Example`s. Where the tokenizer cannot go into
    the graph, `serving_default` is `ids`, and there is no `examples`.

    Args:
        task: the task.
        served: `ServedModel` of it.
        path: path of the directory to write.
        max_length: int. Longer texts are cut, or parted, in tokens.
        files: optional dict from name to bytes, as `describe` returns it; they
            go into `assets.extra`.
    Returns:
        list of str: what a user should know.
    """
    module = tf.Module(name=served.model.name)
    # The variables alone, each once; a Keras model would bring its optimizer and its layers' Python side.
    module.weights = [weight.value for weight in served.model.weights]
    compute = with_labels(task, lambda inputs: served.model(inputs, training=False))
    longest = encoder_config(task.encoder).max_length
    shape = {name: [None] * len(dimensions) for name, dimensions in served.inputs.items()}

    @tf.function(input_signature=[tf.TensorSpec(shape[name], tf.int32, name=name) for name in served.inputs])
    def run_ids(*arrays):
        inputs = dict(zip(served.inputs, arrays, strict=True))
        shape, least = tf.shape(inputs["token_ids"]), tf.reduce_min(inputs["token_ids"])
        message = f"a row must have at most {longest} tokens"
        checks = [
            tf.debugging.assert_less_equal(shape[-1], longest, message),
            tf.debugging.assert_greater_equal(least, 0, "token_ids must not be below 0"),
        ]
        for name, dimensions in served.inputs.items():
            if dimensions == served.inputs["token_ids"]:  # or they would be broadcast
                checks.append(
                    tf.debugging.assert_equal(tf.shape(inputs[name]), shape, f"{name} must be like token_ids")
                )
        with tf.control_dependencies(checks):
            inputs["token_ids"] = tf.identity(inputs["token_ids"])
        return compute(inputs)

    signatures, method, notes = {"ids": run_ids, "serving_default": run_ids}, "predict", []
    try:
        module.tokenizer, serve = string_signature(task, compute, max_length)
    except (ImportError, ValueError) as error:
        notes.append(f"saved_model takes ids only, no strings: {error}")
    else:
        signatures["serving_default"] = serve
        signatures["examples"], method = examples_signature(task, serve)
    tf.saved_model.save(module, str(path), signatures=signatures)
    if method != "predict":  # which TensorFlow names already
        _set_method(path, "examples", method)
    shutil.rmtree(path / "assets", ignore_errors=True)  # TensorFlow leaves an empty folder
    write_description(files or {}, path / "assets.extra")
    return notes


def _set_method(path, signature, method):
    """Name the call of TF Serving that a signature answers, beside `predict`."""
    from tensorflow.core.protobuf import saved_model_pb2

    file = path / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    saved.meta_graphs[0].signature_def[signature].method_name = f"tensorflow/serving/{method}"
    file.write_bytes(saved.SerializeToString(deterministic=True))

"""Requests that TF Serving sends to a model before its clients do: the first of each kind takes the longest."""

import json

import numpy as np
import tensorflow as tf

from keras_bert_suite.errors import require

__all__ = ["write_warmup"]

FILE = "assets.extra/tf_serving_warmup_requests"
#: Words of a warm-up text; each is about a token.
LENGTHS = (4, 16, 32, 64, 128)
WORDS = "please tell me where my order is and when it will come to this address in the city"


def write_warmup(task, saved_model, name, max_length):
    """Write the warm-up requests of a SavedModel.

    Args:
        task: the task.
        saved_model: path of the SavedModel.
        name: str. The name under which it is served.
        max_length: int. The longest text, in tokens.
    Returns:
        str: the body of a REST request, as an example.
    """
    log_pb2 = require("tensorflow_serving.apis.prediction_log_pb2", "TF Serving's warm-up requests")
    loaded = tf.saved_model.load(str(saved_model))
    words = (WORDS.split() * max_length)[:max_length]
    texts = [" ".join(words[:length]) for length in sorted({min(length, max_length) for length in LENGTHS})]
    requests = []
    for signature, function in loaded.signatures.items():
        inputs = function.structured_input_signature[1]
        for text in texts:
            columns = {one: _column(task, one, spec, text) for one, spec in inputs.items()}
            function(**{one: tf.constant(column) for one, column in columns.items()})  # it must not fail there
            requests.append((signature, columns))
    path = saved_model / FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, columns in requests:
            log = log_pb2.PredictionLog()
            request = log.predict_log.request
            request.model_spec.name = name
            request.model_spec.signature_name = signature
            for one, column in columns.items():
                request.inputs[one].CopyFrom(tf.make_tensor_proto(column))
            writer.write(log.SerializeToString())
    signature, columns = next(found for found in requests if found[0] == "serving_default")
    row = {one: _plain(column[0]) for one, column in columns.items()}
    return json.dumps({"instances": [row if len(row) > 1 else next(iter(row.values()))]})


def _column(task, name, spec, text):
    """Return one row of an input."""
    if spec.dtype == tf.string:
        mask = task.tokenizer.special_tokens.get("mask_token") if task.task == "fill-mask" else None
        value = f"{text} {mask}" if mask else text
        if name == "inputs":
            value = _example(value).SerializeToString()
        row = np.array([value.encode() if isinstance(value, str) else value], object)
        return row if spec.shape.rank == 1 else np.stack([row, row], axis=1)
    ids = task.tokenizer([text], max_length=task.max_length)["token_ids"]
    array = ids if name == "token_ids" else np.zeros_like(ids) if name == "segment_ids" else np.ones_like(ids)
    return array if spec.shape.rank == 2 else np.stack([array, array], axis=1)


def _example(text):
    """Return a `tf.Example` that every task can read: two choices, one of all else."""
    counts = {"text": 1, "text_b": 1, "question": 1, "context": 1, "choices": 2}
    texts = {name: tf.train.BytesList(value=[text.encode()] * count) for name, count in counts.items()}
    features = {name: tf.train.Feature(bytes_list=values) for name, values in texts.items()}
    return tf.train.Example(features=tf.train.Features(feature=features))


def _plain(value):
    """Return a row of an input as JSON has it."""
    if isinstance(value, bytes):
        return value.decode()
    return [_plain(one) for one in value.tolist()] if isinstance(value, np.ndarray) else value

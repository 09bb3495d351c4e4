"""ONNX with a dynamic batch and length. Runs in the worker.

tf2onnx carries constants through every one of its passes, which takes half a
minute for a small BERT. Here it converts a graph whose weights are inputs, in
about a second, and the weights become initializers afterwards.
"""

import json

import tensorflow as tf

from keras_bert_suite.errors import require

__all__ = ["export_onnx", "load_onnx"]

ID_NAMES = ("token_ids", "segment_ids", "padding_mask")
#: Known to ONNX Runtime since 1.12 (2022); later ones bring nothing that this graph uses.
OPSET = 17
#: A protocol buffer, hence a file with its weights inside, is below 2 GiB.
LARGEST_FILE = 2**31 - 2**26


def export_onnx(task, path, max_length):
    """Write an ONNX file.

    Inputs are int32 `("batch", "length")`: `token_ids`, `segment_ids` and
    `padding_mask`; the output is float32 `probabilities` `("batch", L)`. The
    file's metadata has `labels` (JSON) and `max_length`; `tokenizer.json` lies
    beside it. Weights of more than 2 GiB go into `model.onnx.data`.

    Args:
        task: `TextClassifier`.
        path: path of the file to write.
        max_length: int, in tokens; recorded for the client that tokenizes.
    Returns:
        list of str: what a user should know; nothing here.
    """
    onnx = require("onnx", "ONNX export")
    weights = {f"weight_{index}": weight for index, weight in enumerate(task.model.weights)}
    graph = _convert(task.model, weights)
    _fix_inputs(graph.graph, weights, len(task.labels))
    properties = {"labels": json.dumps(task.labels, ensure_ascii=False), "max_length": str(max_length)}
    onnx.helper.set_model_props(graph, properties)
    graph.producer_name, graph.producer_version = "keras_bert_suite", ""
    graph.doc_string = "text classifier"
    if graph.ByteSize() > LARGEST_FILE:
        onnx.save(graph, str(path), save_as_external_data=True, location=f"{path.name}.data")
    else:
        onnx.save(graph, str(path))
    (path.parent / "tokenizer.json").write_text(task.tokenizer.to_json(), encoding="utf-8")
    return []


def load_onnx(path):
    """Open an ONNX file in ONNX Runtime; return its function of ids."""
    onnxruntime = require("onnxruntime", "running ONNX")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return {"ids": lambda ids: session.run(["probabilities"], {name: ids[name] for name in ID_NAMES})[0]}


def _convert(model, weights):
    """Convert `model` to ONNX with its weights, a dict from name to variable, as inputs."""
    convert = require("tf2onnx.convert", "ONNX export")
    names = {id(weight): name for name, weight in weights.items()}

    @tf.function
    def classify(ids, values):
        state = (
            [values[names[id(v)]] if id(v) in names else v.value for v in variables]  # the rest: seeds of dropout
            for variables in (model.trainable_variables, model.non_trainable_variables)
        )
        logits, _ = model.stateless_call(*state, ids, training=False)
        return tf.nn.softmax(tf.cast(logits, tf.float32))

    traced = classify.get_concrete_function(
        {name: tf.TensorSpec((None, None), tf.int32, name=name) for name in ID_NAMES},
        {name: tf.TensorSpec(weight.shape, weight.dtype, name=name) for name, weight in weights.items()},
    )
    inputs = [*ID_NAMES, *weights]
    (output,) = traced.outputs
    graph, _ = convert._convert_common(
        traced.graph.as_graph_def(),
        name="text_classifier",
        opset=OPSET,
        input_names=[f"{name}:0" for name in inputs],
        output_names=[output.name],
        tensors_to_rename={**{f"{name}:0": name for name in inputs}, output.name: "probabilities"},
    )
    return graph


def _fix_inputs(graph, weights, num_labels):
    """Make initializers of the weights among the inputs, and name the dimensions that stay open."""
    onnx = require("onnx", "ONNX export")
    initializers = [
        onnx.numpy_helper.from_array(weights[value.name].value.numpy(), value.name)
        for value in graph.input
        if value.name in weights
    ]
    del graph.input[:], graph.output[:]
    int32, float32 = onnx.TensorProto.INT32, onnx.TensorProto.FLOAT
    graph.input.extend(onnx.helper.make_tensor_value_info(name, int32, ("batch", "length")) for name in ID_NAMES)
    graph.output.append(onnx.helper.make_tensor_value_info("probabilities", float32, ("batch", num_labels)))
    graph.initializer.extend(initializers)

"""ONNX of any task, with a dynamic batch and length. Runs in the worker.

tf2onnx carries constants through every one of its passes, which takes half a
minute for a small BERT. Here it converts a graph whose weights are inputs, in
about a second, and the weights become initializers afterwards. The graph has
only standard operations, in the forms that ONNX Runtime fuses when it opens a
file: see `onnx_operations`.
"""

import functools
import json
import os

import tensorflow as tf

from keras_bert_suite.errors import check_choice, require
from keras_bert_suite.export.onnx_calibration import activation_ranges
from keras_bert_suite.export.onnx_file import save_onnx
from keras_bert_suite.export.onnx_operations import HANDLERS, divide_before_erf, onnx_operations
from keras_bert_suite.export.onnx_quantization import quantize_weights
from keras_bert_suite.export.signatures import prompt_of
from keras_bert_suite.text.in_onnx import build_onnx_tokenizer

__all__ = ["convert_to_onnx", "export_onnx"]

#: The first with an operation for layer normalization. Known to ONNX Runtime since 1.12 (2022) and to OpenVINO;
#: of what later ones bring, runtimes fuse GELU and attention out of older operations as well.
OPSET = 17
QUANTIZATIONS = (None, "int8", "static-int8")
#: ONNX Runtime's documentation, "Quantize ONNX models", on products of unsigned and signed bytes.
PRECISION_NOTE = (
    "onnx int8: on x86 processors without VNNI (before 2019), ONNX Runtime may saturate sums; its session option "
    "session.x64quantprecision=1 makes them exact there, and slow everywhere."
)
#: Tasks that read more than whole texts: words and their places, windows, choices, a text inside of a prompt.
PARTED = ("token-classification", "question-answering", "multiple-choice", "prompt-classification")


def export_onnx(task, served, path, max_length, *, quantization=None, calibration=None):
    """Write an ONNX file.

    Its inputs and outputs are those of the served model, by name, with the
    dimensions `"batch"`, `"length"` and `"choices"` open. The file's metadata
    has `task`, `labels` (JSON) and `max_length`; `tokenizer.json` lies beside
    it, and, for tasks that read whole texts, `tokenizer.onnx`, which takes
    strings. Weights of more than 2 GiB go into `model.onnx.data`.

    Args:
        task: the task.
        served: `ServedModel` of the task.
        path: path of the file to write.
        max_length: int, in tokens; recorded for the client that tokenizes.
        quantization: optional str. `"int8"`: weights and tables in 8 bits,
            activations rounded by the range that each has when it is computed.
            `"static-int8"`: by ranges that `calibration` shows.
        calibration: dict of int32 arrays `(N, T)` by the names of the inputs,
            or `(N, C, T)` for multiple choice; needed for `"static-int8"`.
    Returns:
        list of str: what a user should know.
    Raises:
        ValueError: if `quantization` is unknown, or `calibration` is missing.
    """
    check_choice("export_onnx", "quantization", quantization, QUANTIZATIONS)
    if quantization == "static-int8" and not calibration:
        raise ValueError(
            f"export_onnx: static-int8 needs calibration, a dict of int32 arrays of typical texts. "
            f"Received: calibration={calibration}. Give some, or use int8."
        )
    model = convert_to_onnx(served)
    if quantization is not None:
        ranges = activation_ranges(model, calibration) if quantization == "static-int8" else None
        quantize_weights(model, ranges)
    properties = {"task": task.task, "max_length": str(max_length)}
    if getattr(task, "labels", None):
        properties["labels"] = json.dumps(task.labels, ensure_ascii=False)
    require("onnx", "ONNX export").helper.set_model_props(model, properties)
    save_onnx(model, path)
    (path.parent / "tokenizer.json").write_text(task.tokenizer.to_json(), encoding="utf-8")
    notes = [] if quantization is None else [PRECISION_NOTE]
    if task.task not in PARTED:
        try:
            tokenizer = _tokenizer(task.tokenizer, max_length, bool(getattr(task, "pair", False)), prompt_of(task))
        except ValueError as error:
            notes.append(f"onnx has no tokenizer.onnx: {error}")
        else:
            save_onnx(tokenizer, path.parent / "tokenizer.onnx")
    return notes


#: Several formats of one export have the same one.
_tokenizer = functools.lru_cache(maxsize=1)(build_onnx_tokenizer)


def convert_to_onnx(served):
    """Convert a `ServedModel` to float32 ONNX.

    Args:
        served: `ServedModel`, whose model runs on TensorFlow.
    Returns:
        `onnx.ModelProto`.
    """
    weights = {f"weight_{index}": weight for index, weight in enumerate(served.model.weights)}
    with onnx_operations():
        model = _convert(served, weights)
    _fix_inputs(model.graph, served, weights)
    divide_before_erf(model.graph)
    model.producer_name, model.producer_version = "keras_bert_suite", ""
    model.doc_string = served.model.name
    return model


def _convert(served, weights):
    """Convert a model to ONNX with its weights, a dict from name to variable, as inputs."""
    convert = require("tf2onnx.convert", "ONNX export")
    model, names = served.model, {id(weight): name for name, weight in weights.items()}

    @tf.function
    def answer(inputs, values):
        state = (
            [values[names[id(v)]] if id(v) in names else v.value for v in variables]  # the rest: seeds of dropout
            for variables in (model.trainable_variables, model.non_trainable_variables)
        )
        outputs, _ = model.stateless_call(*state, inputs, training=False)
        return {name: tf.identity(output) for name, output in outputs.items()}

    traced = answer.get_concrete_function(
        {name: tf.TensorSpec((None,) * len(dims), tf.int32, name=name) for name, dims in served.inputs.items()},
        {name: tf.TensorSpec(weight.shape, weight.dtype, name=name) for name, weight in weights.items()},
    )
    os.environ.setdefault("TF2ONNX_CATCH_ERRORS", "FALSE")  # else it copies the whole graph before each of its passes
    inputs = [*served.inputs, *weights]
    outputs = {output.name: name for name, output in zip(sorted(served.outputs), traced.outputs, strict=True)}
    graph, _ = convert._convert_common(
        traced.graph.as_graph_def(),
        name=model.name,
        opset=OPSET,
        custom_op_handlers=dict(HANDLERS),
        input_names=[f"{name}:0" for name in inputs],
        output_names=list(outputs),
        tensors_to_rename={**{f"{name}:0": name for name in inputs}, **outputs},
    )
    return graph


def _fix_inputs(graph, served, weights):
    """Make initializers of the weights among the inputs, and name the dimensions of what remains."""
    onnx = require("onnx", "ONNX export")
    used = {name for node in graph.node for name in _read_by(node)}
    graph.initializer.extend(
        onnx.numpy_helper.from_array(weights[value.name].value.numpy(), value.name)
        for value in graph.input
        if value.name in weights and value.name in used
    )
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.input, *graph.output)}
    del graph.input[:], graph.output[:]
    for values, dims in ((graph.input, served.inputs), (graph.output, served.outputs)):
        values.extend(onnx.helper.make_tensor_value_info(name, types[name], dims[name]) for name in dims)


def _read_by(node):
    """Yield the names that a node and the bodies of its loops read."""
    yield from node.input
    for attribute in node.attribute:
        for inner in attribute.g.node:
            yield from _read_by(inner)

"""`tf.Example`s of classify and regress requests, and what the answers are made of."""

import numpy as np

from keras_bert_suite.errors import require
from keras_bert_suite.serving.json_requests import decode_base64, encode_text, is_base64
from keras_bert_suite.serving.status import StatusError

__all__ = [
    "EXAMPLES",
    "check_classifies",
    "check_regresses",
    "classes_and_scores",
    "examples_from_json",
    "examples_from_proto",
    "numbers",
]

#: The input of either call, and their outputs.
EXAMPLES, CLASSES, SCORES, NUMBERS = "inputs", "classes", "scores", "outputs"


def check_classifies(signature):
    """Return the outputs that classify reads, or raise `StatusError` where a signature does not classify."""
    if len(signature.inputs) != 1:
        raise _invalid("Expected one input Tensor.")
    if len(signature.outputs) not in (1, 2):
        raise _invalid(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    if EXAMPLES not in signature.inputs:
        raise _invalid(f"No classification inputs found in SignatureDef: {sorted(signature.inputs)}")
    names = tuple(name for name in (CLASSES, SCORES) if name in signature.outputs)
    if not names:
        raise _invalid(
            f'Expected classification signature outputs to contain at least one of "{CLASSES}" or "{SCORES}". '
            f"Outputs are: {sorted(signature.outputs)}"
        )
    return names


def check_regresses(signature):
    """Return the output that regress reads, or raise `StatusError` where a signature does not regress."""
    if len(signature.inputs) != 1:
        raise _invalid("Expected one input Tensor.")
    if len(signature.outputs) != 1:
        raise _invalid("Expected one output Tensor.")
    if EXAMPLES not in signature.inputs or NUMBERS not in signature.outputs:
        raise _invalid(
            f"No regression inputs and outputs found in SignatureDef: {sorted(signature.inputs)} to "
            f"{sorted(signature.outputs)}"
        )
    return (NUMBERS,)


def numbers(outputs, rows):
    """Return the values of a regression, float array `(B,)`."""
    (array,) = outputs.values()
    if array.shape not in ((rows,), (rows, 1)):
        raise _invalid(
            f"Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got {list(array.shape)}"
        )
    return array.reshape(rows)


def classes_and_scores(outputs, rows):
    """Return a list per row of `(label, score)`; a label is bytes.

    Args:
        outputs: dict with `classes`, string `(B, C)`, or `scores`, float `(B, C)`, or both.
        rows: int. B.
    """
    for name, array in outputs.items():
        if array.ndim != 2:
            raise _invalid(f"Expected Tensor shape: [batch_size num_classes] but got {list(array.shape)}")
        if array.shape[0] != rows:
            raise _invalid(f"Expected {name} output batch size of {rows}. Got: {array.shape[0]}")
    if len({array.shape for array in outputs.values()}) > 1:
        raise _invalid("Tensors class and score should match in dim_size(1).")
    columns = next(iter(outputs.values())).shape[1]
    classes = outputs.get(CLASSES, np.full((rows, columns), b"", object))
    scores = outputs.get(SCORES, np.zeros((rows, columns), "float32"))
    return [list(zip(labels, values, strict=True)) for labels, values in zip(classes, scores, strict=True)]


def examples_from_json(request):
    """Return the serialized examples of a classify request: string array `(B,)`.

    Args:
        request: dict, from `parse_body`.
    """
    examples = request.get("examples")
    if examples is None:
        raise _invalid("When method is classify, key 'examples' is expected and was not found")
    if not isinstance(examples, list):
        raise _invalid("Expecting 'examples' value to be an list/array")
    if not examples:
        raise _invalid("'examples' value is an empty array")
    context = _example(request["context"]) if "context" in request else b""
    # Serialized messages of one type, put one after the other, are merged where they are parsed.
    return _strings([context + _example(example) for example in examples])


def examples_from_proto(request):
    """Return the serialized examples of an `Input`: string array `(B,)`."""
    kind = request.WhichOneof("kind")
    found = getattr(request, kind) if kind else None
    if found is None or not found.examples:
        raise _invalid("Input is empty.")
    context = found.context.SerializeToString() if kind == "example_list_with_context" else b""
    return _strings([context + example.SerializeToString() for example in found.examples])


def _example(values):
    """Return a serialized `tf.Example` of a JSON object."""
    example_pb2 = require("tensorflow.core.example.example_pb2", "classify")
    if not isinstance(values, dict):
        raise _invalid("Example must be JSON object")
    example = example_pb2.Example()
    for name, value in values.items():
        encode_text(name)
        feature = example.features.feature[name]
        try:
            for item in value if isinstance(value, list) else [value]:
                _add(name, item, feature)
        except (ValueError, OverflowError) as error:
            raise _invalid(f"Feature: {name} has a number out of range: {error}") from error
    return example.SerializeToString()


def _add(name, value, feature):
    if isinstance(value, str) or is_base64(value):
        kind, value = "bytes_list", encode_text(value) if isinstance(value, str) else decode_base64(value)
    elif isinstance(value, (bool, int)):
        kind, value = "int64_list", int(value)
    elif isinstance(value, float):
        kind = "float_list"
    else:
        raise _invalid(f"Feature: {name} has element with unexpected JSON type: {type(value).__name__}")
    if feature.WhichOneof("kind") not in (None, kind):
        raise _invalid(
            f"Unexpected element type in feature: {name} expecting type: "
            f"{feature.WhichOneof('kind').removesuffix('_list')}"
        )
    getattr(feature, kind).value.append(value)


def _strings(values):
    array = np.empty(len(values), object)
    array[:] = values
    return array


def _invalid(message):
    return StatusError("INVALID_ARGUMENT", message)

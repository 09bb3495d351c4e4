"""Writing layers as the operations that ONNX has for them. Runs in the worker.

Keras computes a layer normalization on TensorFlow in a dozen operations that
no ONNX runtime puts together again, and a scan in a form that tf2onnx cannot
convert. While a model is traced inside `onnx_operations`, such layers call
what tf2onnx knows, or leave a mark: an `IdentityN`, named for an operation of
ONNX, that `HANDLERS` turns into it.
"""

import contextlib

import keras
import numpy as np
import tensorflow as tf

from keras_bert_suite.errors import require

__all__ = ["HANDLERS", "divide_before_erf", "onnx_operations"]

MARK = "onnx_layer_normalization"


@contextlib.contextmanager
def onnx_operations():
    """Trace models inside in the way that ONNX has them."""
    replaced = {
        (keras.layers.LayerNormalization, "call"): _normalize,
        (keras.layers.Embedding, "call"): _look_up,
        (keras.ops, "scan"): _scan,
        (keras.ops, "argmax"): _argmax,
    }
    originals = {key: getattr(*key) for key in replaced}
    try:
        for (owner, name), function in replaced.items():
            setattr(owner, name, function)
        yield
    finally:
        for (owner, name), function in originals.items():
            setattr(owner, name, function)


def _normalize(layer, inputs):
    """Mark a layer normalization; its epsilon is the mark's last input."""
    scale = tf.ones(inputs.shape[-1:]) if layer.gamma is None else tf.convert_to_tensor(layer.gamma)
    shift = [] if layer.beta is None else [tf.convert_to_tensor(layer.beta)]
    return tf.identity_n([inputs, scale, *shift, tf.constant(layer.epsilon, tf.float32)], name=MARK)[0]


def _look_up(layer, ids):
    """Look up rows. Keras counts negative ids from the end of the table; there are none."""
    return tf.gather(tf.convert_to_tensor(layer.embeddings), ids)


def _argmax(x, axis=None):
    """Keras tells -0.0 from 0.0 by their bits, which ONNX cannot read."""
    return tf.argmax(x, axis=axis, output_type=tf.int32)


def _scan(f, init, xs, reverse=False):
    """Scan an array. What comes out must be written in the order of the steps."""
    count = tf.shape(xs)[0]
    order = tf.range(count - 1, -1, -1) if reverse else tf.range(count)
    xs = tf.gather(xs, order)
    arrays = tf.nest.map_structure(
        lambda y: tf.TensorArray(y.dtype, size=count, element_shape=y.shape), f(init, xs[0])[1]
    )

    def step(index, carry, arrays):
        carry, ys = f(carry, tf.gather(xs, index))
        return index + 1, carry, tf.nest.map_structure(lambda array, y: array.write(index, y), arrays, ys)

    start = (tf.constant(0), init, arrays)
    _, carry, arrays = tf.while_loop(lambda index, *_: index < count, step, start, maximum_iterations=count)
    return carry, tf.nest.map_structure(lambda array: tf.gather(array.stack(), order), arrays)


def _convert_identity(ctx, node, name, args):
    """Turn a mark into its operation; any other `IdentityN` passes its inputs on. Called by tf2onnx."""
    inputs, outputs, shapes, dtypes = list(node.input), list(node.output), node.output_shapes, node.output_dtypes
    if MARK not in name:
        ctx.remove_node(node.name)
        for place, output in enumerate(outputs):
            ctx.make_node("Identity", [inputs[place]], outputs=[output], shapes=[shapes[place]], dtypes=[dtypes[place]])
        return
    epsilon = float(ctx.get_node_by_output(inputs.pop()).get_tensor_value())
    ctx.remove_node(node.name)
    ctx.make_node(
        "LayerNormalization",
        inputs,
        attr={"axis": -1, "epsilon": epsilon},
        name=node.name,
        outputs=outputs[:1],
        shapes=shapes[:1],
        dtypes=dtypes[:1],
    )


#: Type of a TensorFlow operation -> how tf2onnx is to convert it.
HANDLERS = {"IdentityN": (_convert_identity, [])}


def divide_before_erf(graph):
    """Write `erf(x * sqrt(1 / 2))` as `erf(x / sqrt(2))`, in which ONNX Runtime looks for an exact GELU."""
    helper = require("onnx.numpy_helper", "ONNX export")
    constants = {one.name: one for one in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    divisor, factor = "sqrt_2", np.float32(0.5**0.5)
    for node in graph.node:
        made = makers.get(node.input[0]) if node.op_type == "Erf" else None
        if made is None or made.op_type != "Mul":
            continue
        for x, other in (made.input, reversed(made.input)):
            if other in constants and np.array_equal(helper.to_array(constants[other]).ravel(), [factor]):
                made.op_type, made.input[:] = "Div", [x, divisor]
                break
    if any(divisor in node.input for node in graph.node):
        graph.initializer.append(helper.from_array(np.array(2**0.5, "float32"), divisor))

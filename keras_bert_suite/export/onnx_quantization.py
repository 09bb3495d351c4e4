"""Weights and tables of an ONNX graph in 8 bits, activations rounded at run time. Plain ONNX operations.

Each column of a matrix and each row of a table has a scale of its own, and
rounds to -127 to 127 around 0. A table that is also the matrix of a product,
as a masked language model ties them, is stored once.

Dynamic: `MatMulInteger` on what `DynamicQuantizeLinear` makes of the
activations, by the range that they have then. Static: activations pass through
`QuantizeLinear` and `DequantizeLinear` with a range that is known before, a
form that any runtime reads. ONNX Runtime fuses either into one kernel.
"""

import numpy as np

from keras_bert_suite.errors import require

__all__ = ["quantize_weights"]

#: Numbers in the smallest weight that is worth rounding.
SMALLEST = 4096
#: Of int32.
LARGEST = 2**31 - 1
#: `onnx.TensorProto.FLOAT`.
FLOAT32 = 1


def quantize_weights(model, ranges=None):
    """Round the weights of matrix products and tables, in place.

    Args:
        model: `onnx.ModelProto`, as `convert_to_onnx` returns it.
        ranges: optional dict from the name of an activation to `(least,
            largest)`, as `activation_ranges` returns it. Static where it is
            given, else dynamic.
    """
    graph = model.graph
    constants = {one.name: one for one in graph.initializer}
    axes = _quantizable(graph)
    writer = _DynamicWriter(constants, axes) if ranges is None else _StaticWriter(constants, axes, ranges)
    for node in graph.node:
        writer.write(node)
    used = {name for node in writer.nodes for name in (*node.input, *_read_inside(node))}
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(one for one in constants.values() if one.name in used)
    graph.node.extend(writer.nodes)


def _quantizable(graph):
    """Return the weights that only products and look-ups read: dict from name to the axis of their scales."""
    uses, transposed = {}, {}
    for node in graph.node:
        for place, name in enumerate(node.input):
            uses.setdefault(name, set()).add(_use(node, place))
        for name in _read_inside(node):
            uses.setdefault(name, set()).add(None)
        if node.op_type == "Transpose":
            transposed.setdefault(node.input[0], []).append(node.output[0])
    axes = {}
    for one in graph.initializer:
        found = uses.get(one.name, set())
        if "transpose" in found:
            multiplied = all(uses[name] == {"columns"} for name in transposed[one.name])
            found = found - {"transpose"} | {"rows" if multiplied else None}
        if len(one.dims) == 2 and np.prod(one.dims) >= SMALLEST and found in ({"columns"}, {"rows"}):
            axes[one.name] = 1 if found == {"columns"} else 0
    return axes


def _use(node, place):
    """Say by which of its lines a node reads a weight, or `None` where it may not be rounded."""
    uses = {("MatMul", 1): "columns", ("Gather", 0): "rows", ("Transpose", 0): "transpose"}
    return uses.get((node.op_type, place))


def _read_inside(node):
    """Yield the names that the bodies of a loop read."""
    for attribute in node.attribute:
        for inner in attribute.g.node:
            yield from inner.input
            yield from _read_inside(inner)


class _DynamicWriter:
    """The nodes and the constants of the rounded graph.

    Args:
        constants: dict from name to `onnx.TensorProto`.
        axes: what `_quantizable` returns.
    """

    def __init__(self, constants, axes):
        self.constants = constants
        self.axes = axes
        self.nodes = []
        self._rounded = {}  # name of a weight, or of its transpose -> the names of its integers and scales
        self._made = {}  # name -> what was made of it, once for all who read it

    def write(self, node):
        """Write a node of the float32 graph, or what stands for it."""
        if node.op_type == "Transpose" and node.input[0] in self.axes:
            integers, scales = self.weight(node.input[0])
            turned = self.add("Transpose", [integers], f"{node.output[0]}/int8", perm=[1, 0])
            self._rounded[node.output[0]] = (turned, scales)
        elif node.op_type == "Gather" and node.input[0] in self.axes:
            self.write_look_up(*node.input, *node.output)
        elif node.op_type == "MatMul" and (node.input[1] in self.axes or node.input[1] in self._rounded):
            self.write_product(*node.input, *node.output)
        else:
            self.nodes.append(node)

    def write_look_up(self, table, ids, output):
        integers, scales = self.weight(table)
        column = self.once(
            f"{table}/column", lambda name: self.add("Unsqueeze", [scales, self.store([1], "axis_1")], name)
        )
        rows = self.add("Gather", [integers, ids], f"{output}/int8")
        rows = self.add("Cast", [rows], f"{output}/cast", to=FLOAT32)
        self.add("Mul", [rows, self.add("Gather", [column, ids], f"{output}/scale")], output)

    def write_product(self, x, w, output):
        integers, scales = self.weight(w)
        parts = [f"{x}/uint8", f"{x}/scale", f"{x}/zero"]
        rounded, scale, zero = self.once(f"{x}/parts", lambda _: self.add("DynamicQuantizeLinear", [x], parts))
        product = self.add("MatMulInteger", [rounded, integers, zero], f"{output}/int32")
        product = self.add("Cast", [product], f"{output}/cast", to=FLOAT32)
        self.add("Mul", [product, self.add("Mul", [scale, scales], f"{output}/steps")], output)

    def weight(self, name):
        """Return the names of a weight's integers and of their scales, a vector."""
        if name not in self._rounded:
            weight, across = self.array(name), 1 - self.axes[name]
            scales = np.maximum(np.abs(weight).max(axis=across), np.finfo("float32").tiny) / 127
            integers = np.rint(weight / np.expand_dims(scales, across)).astype("int8")
            self._rounded[name] = (self.store(integers, f"{name}/int8"), self.store(scales, f"{name}/scales"))
        return self._rounded[name]

    def array(self, name):
        return require("onnx.numpy_helper", "ONNX export").to_array(self.constants[name])

    def store(self, array, name):
        """Store a constant, once, and return its name."""
        if name not in self.constants:
            array = np.ascontiguousarray(array)
            self.constants[name] = require("onnx.numpy_helper", "ONNX export").from_array(array, name)
        return name

    def once(self, name, make):
        """Return what `make` makes of a name, or made of it before."""
        if name not in self._made:
            self._made[name] = make(name)
        return self._made[name]

    def add(self, operation, inputs, outputs, **attributes):
        """Add a node and return the names of its outputs, or the name of its only one."""
        names = outputs if isinstance(outputs, list) else [outputs]
        make_node = require("onnx.helper", "ONNX export").make_node
        self.nodes.append(make_node(operation, inputs, names, name=f"{names[0]}/{operation}", **attributes))
        return outputs


class _StaticWriter(_DynamicWriter):
    """The same with activations rounded by known ranges, and the biases of products as well.

    ONNX Runtime multiplies in 8 bits only where all that goes into a product and its addition is rounded.
    """

    def __init__(self, constants, axes, ranges):
        super().__init__(constants, axes)
        self.ranges = ranges
        self._steps = {}  # name of a product -> the size of 1 in its integers

    def write(self, node):
        if node.op_type == "Add":
            product, bias = sorted(node.input, key=lambda name: name not in self._steps)
            if product in self._steps and bias in self.constants and len(self.constants[bias].dims) == 1:
                self.write_bias(product, bias, node.output[0])
                return
        super().write(node)

    def write_product(self, x, w, output):
        integers, scales = self.weight(w)
        low, high = self.ranges[x]
        step = np.array(max(high - low, 1e-6) / 255, "float32")

        def round_activation(name):
            ends = [self.store(step, f"{x}/scale"), self.store(np.rint(-low / step).astype("uint8"), f"{x}/zero")]
            return self.add("DequantizeLinear", [self.add("QuantizeLinear", [x, *ends], f"{x}/uint8"), *ends], name)

        x_rounded = self.once(f"{x}/rounded", round_activation)
        # All 0, but without them ONNX Runtime does not see that the product is one of integers.
        zeros = self.store(np.zeros(self.array(scales).shape, "int8"), f"{w}/zeros")
        parts = [integers, scales, zeros]
        w_rounded = self.once(f"{w}/rounded", lambda name: self.add("DequantizeLinear", parts, name, axis=1))
        self.add("MatMul", [x_rounded, w_rounded], output)
        self._steps[output] = step * self.array(scales)

    def write_bias(self, product, bias, output):
        steps = self._steps[product]
        integers = np.clip(np.rint(self.array(bias) / steps.astype("float64")), -LARGEST, LARGEST).astype("int32")
        # Named for the sum: layers that share a bias have steps of their own.
        parts = [self.store(integers, f"{output}/bias/int32"), self.store(steps, f"{output}/bias/steps")]
        self.add("Add", [product, self.add("DequantizeLinear", parts, f"{output}/bias", axis=0)], output)

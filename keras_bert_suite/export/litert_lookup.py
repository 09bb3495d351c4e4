"""The lookups of embedding tables in a `.tflite` model, as the operation that reads rows of a scale each."""

import re

import numpy as np

from keras_bert_suite.errors import require

__all__ = ["TABLES", "look_up_embeddings"]

#: Tables that rows are looked up in. A conditional random field looks up its transitions, which stay as they are.
TABLES = r".*/embeddings(_\d+)?/.*"
#: The version of `EMBEDDING_LOOKUP` that knows a scale for each row; a runtime that lacks it refuses the file.
PER_ROW = 4


def look_up_embeddings(model):
    """Return a float32 model (bytes), to be quantized, whose embedding tables are read by `EMBEDDING_LOOKUP`.

    The converter writes `GATHER`, which takes one scale for a whole table of
    integers. `EMBEDDING_LOOKUP` takes one for each row: small rows keep their
    bits, and a table that is also the kernel of a dense layer, as of a masked
    language model, is stored once for both. It takes ids of one dimension, so
    that they and what it returns are reshaped.
    """
    tools = require("ai_edge_litert.tools.flatbuffer_utils", "LiteRT export")
    opened = tools.read_model_from_bytearray(bytearray(model))
    editor = _Editor(opened)
    for subgraph in opened.subgraphs:
        operators = []
        for operator in subgraph.operators:
            operators += editor.lookup(subgraph, operator) if editor.is_table(subgraph, operator) else [operator]
        subgraph.operators = operators
    return bytes(tools.convert_object_to_bytearray(opened))


class _Editor:
    """Operations, tensors and constants to add to a model."""

    def __init__(self, model):
        self.model = model
        self.schema = require("ai_edge_litert.schema_py_generated", "LiteRT export")
        self.codes = {}

    def is_table(self, subgraph, operator):
        gather = self.model.operatorCodes[operator.opcodeIndex].builtinCode == self.schema.BuiltinOperator.GATHER
        return gather and bool(re.match(TABLES, subgraph.tensors[operator.outputs[0]].name.decode()))

    def lookup(self, subgraph, operator):
        """Return what takes the place of a `GATHER`: flat ids, their rows, and these in the shape of before."""
        table, ids = operator.inputs
        (found,) = operator.outputs
        count = int(np.prod(subgraph.tensors[ids].shape))
        types = self.schema.TensorType
        flat = self._tensor(subgraph, ids, "ids", types.INT32, [count])
        rows = self._tensor(subgraph, found, "rows", types.FLOAT32, [count, subgraph.tensors[table].shape[1]])
        return [
            self._reshape(subgraph, ids, flat),
            self._operator(self.schema.BuiltinOperator.EMBEDDING_LOOKUP, [flat, table], rows, PER_ROW),
            self._reshape(subgraph, rows, found),
        ]

    def _reshape(self, subgraph, source, target):
        shape = np.array(subgraph.tensors[target].shape, "int32")
        self.model.buffers.append(self.schema.BufferT(data=shape.view("uint8")))
        buffer = len(self.model.buffers) - 1
        constant = self._tensor(subgraph, target, "shape", self.schema.TensorType.INT32, shape.shape, buffer)
        return self._operator(self.schema.BuiltinOperator.RESHAPE, [source, constant], target)

    def _tensor(self, subgraph, beside, suffix, dtype, shape, buffer=0):
        """Add a tensor named after another and return its index; buffer 0 is that of no constant."""
        name = subgraph.tensors[beside].name + f"/{suffix}".encode()
        subgraph.tensors.append(
            self.schema.TensorT(name=name, shape=np.array(shape, "int32"), type=dtype, buffer=buffer)
        )
        return len(subgraph.tensors) - 1

    def _operator(self, builtin, inputs, output, version=1):
        if builtin not in self.codes:
            self.codes[builtin] = len(self.model.operatorCodes)
            code = self.schema.OperatorCodeT(builtinCode=builtin, deprecatedBuiltinCode=builtin, version=version)
            self.model.operatorCodes.append(code)
        return self.schema.OperatorT(
            opcodeIndex=self.codes[builtin], inputs=np.array(inputs, "int32"), outputs=np.array([output], "int32")
        )

"""Putting a converted model together as a `.tflite` file: signatures, metadata, packed files."""

import io
import zipfile

import numpy as np

from keras_bert_suite.errors import require
from keras_bert_suite.export.litert_file import ARCHIVE

__all__ = ["pack_litert"]

METADATA = b"TFLITE_METADATA"


def pack_litert(model, signatures, metadata=None, stored=None, deflated=None):
    """Name the signatures of a model and put metadata and files into it.

    Args:
        model: bytes of a `.tflite` model.
        signatures: dict from the present name of a signature to its new names, tuple of str.
        metadata: optional bytes, as `classifier_metadata` returns them.
        stored: optional dict from name to bytes: files that readers map as they are.
        deflated: optional dict from name to bytes: other files. MediaPipe refuses a
            zip in which one is compressed, so that these lie in a zip of their own inside.
    Returns:
        bytes. They end in a zip, be it empty, so that a file cut short is noticed.
    """
    tools = require("ai_edge_litert.tools.flatbuffer_utils", "LiteRT export")
    schema = require("ai_edge_litert.schema_py_generated", "LiteRT export")
    opened = tools.read_model_from_bytearray(bytearray(model))
    definitions = []
    for found in opened.signatureDefs:
        for name in signatures[found.signatureKey.decode()]:
            opened.subgraphs[found.subgraphIndex].name = name.encode()
            definitions.append(
                schema.SignatureDefT(
                    inputs=found.inputs,
                    outputs=found.outputs,
                    signatureKey=name.encode(),
                    subgraphIndex=found.subgraphIndex,
                )
            )
    opened.signatureDefs = definitions
    _share_scales(opened)
    if metadata is not None:
        opened.buffers.append(schema.BufferT(data=np.frombuffer(metadata, "uint8")))
        entry = schema.MetadataT(name=METADATA, buffer=len(opened.buffers) - 1)
        opened.metadata = [*(opened.metadata or []), entry]
    stored = dict(stored or {})
    if deflated:
        stored[ARCHIVE] = _archive(deflated, zipfile.ZIP_DEFLATED)
    return _archive(stored, zipfile.ZIP_STORED, after=tools.convert_object_to_bytearray(opened))


def _archive(files, compression, after=b""):
    """Return the bytes of a zip, appended to others."""
    archive = io.BytesIO()
    archive.write(after)
    with zipfile.ZipFile(archive, "a", compression) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return archive.getvalue()


def _share_scales(model):
    """Let tensors that are quantized alike, as kernels in every signature are, share one description of it."""
    shared = {}
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors:
            if tensor.quantization is not None:
                key = repr(sorted((name, str(value)) for name, value in vars(tensor.quantization).items()))
                tensor.quantization = shared.setdefault(key, _Shared(tensor.quantization))


class _Shared:
    """A part of a model that is written once, however often it is referred to."""

    def __init__(self, part):
        self.part = part
        self.offset = None

    def Pack(self, builder):
        if self.offset is None:
            self.offset = self.part.Pack(builder)
        return self.offset

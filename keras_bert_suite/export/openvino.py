"""OpenVINO's own format, written from an ONNX file. Runs in the worker."""

from keras_bert_suite.errors import ArtifactError, require
from keras_bert_suite.export.process import explain

__all__ = ["export_openvino"]

#: What a loop computes, in a form that OpenVINO cannot read.
DECODED = ("tags",)
DECODED_NOTE = "openvino: its outputs have no tags, which keras_bert_suite decodes from the logits instead."


def export_openvino(onnx_path, path):
    """Write `model.xml`, and `model.bin` with its weights, in float32.

    Inputs and outputs are those of the ONNX file, by name, but for the `tags` of
    a conditional random field and the `word_mask` that they need: who has the
    logits decodes them.

    Args:
        onnx_path: path of a float32 ONNX file, or of a static int8 one, as `export_onnx` writes them.
        path: path of the `.xml` file to write.
    Returns:
        list of str: what a user should know.
    Raises:
        ArtifactError: if OpenVINO cannot read the ONNX file.
        ImportError: if OpenVINO is not installed.
    """
    openvino = require("openvino", "OpenVINO export")
    onnx = require("onnx", "OpenVINO export")
    try:
        graph = onnx.load(str(onnx_path), load_external_data=False).graph
        outputs = [value.name for value in graph.output if value.name not in DECODED]
        decodes = len(outputs) < len(graph.output)
        model = openvino.convert_model(str(onnx_path), output=outputs if decodes else None)
    except Exception as error:  # classes of protobuf's and of its own
        raise ArtifactError(
            f"{onnx_path}: OpenVINO cannot convert it: {explain(error)} Export it again, or leave openvino out."
        ) from error
    openvino.save_model(model, str(path), compress_to_fp16=False)
    return [DECODED_NOTE] if decodes else []

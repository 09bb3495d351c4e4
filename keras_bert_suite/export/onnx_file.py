"""Writing an ONNX file, its weights beside it where they are too large."""

from keras_bert_suite.errors import require

__all__ = ["save_onnx"]

#: A protocol buffer, hence a file with its weights inside, is below 2 GiB.
LARGEST_FILE = 2**31 - 2**26


def save_onnx(model, path):
    """Write an `onnx.ModelProto`; weights of more than 2 GiB go into a file with `.data` after its name.

    Args:
        model: `onnx.ModelProto`.
        path: `pathlib.Path` of the file.
    """
    onnx = require("onnx", "ONNX export")
    if sum(len(weight.raw_data) for weight in model.graph.initializer) > LARGEST_FILE:
        path.with_name(f"{path.name}.data").unlink(missing_ok=True)  # it would be appended to
        onnx.save(model, str(path), save_as_external_data=True, location=f"{path.name}.data")
    else:
        onnx.save(model, str(path))

"""Running an ONNX file in ONNX Runtime. Needs NumPy and the runtime alone."""

from pathlib import Path

from keras_bert_suite.errors import ArtifactError, require
from keras_bert_suite.export.process import explain

__all__ = ["load_onnx"]

#: Errors, and nothing below.
SEVERITY = 3


def load_onnx(path, num_threads=None):
    """Open an ONNX file.

    Args:
        path: path of the file.
        num_threads: optional int. Threads of one operation. Defaults to what
            ONNX Runtime chooses: one for each core.
    Returns:
        function from a dict of int32 arrays to a dict of arrays, by the names in
        the file. Arrays that the model does not take are left out.
    Raises:
        ArtifactError: if the file is damaged, or its weights beside it are missing.
        ImportError: if ONNX Runtime is not installed.
    """
    onnxruntime = require("onnxruntime", "running ONNX")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = SEVERITY
    if num_threads is not None:
        options.intra_op_num_threads = num_threads
    if not Path(path).is_file():
        raise ArtifactError(f"{path}: there is no such file. Give an ONNX file that kbs export wrote.")
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # classes of its own, one for each status
        raise ArtifactError(f"{path}: ONNX Runtime cannot open it: {explain(error)} Export it again.") from error
    inputs = [value.name for value in session.get_inputs()]
    outputs = [value.name for value in session.get_outputs()]

    def run(arrays):
        return dict(zip(outputs, session.run(outputs, {name: arrays[name] for name in inputs}), strict=True))

    return run

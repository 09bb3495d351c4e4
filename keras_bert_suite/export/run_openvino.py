"""Running an OpenVINO model on the CPU. Needs NumPy and the runtime alone."""

from pathlib import Path

from keras_bert_suite.errors import ArtifactError, require
from keras_bert_suite.export.process import explain

__all__ = ["load_openvino"]


def load_openvino(path, num_threads=None):
    """Open an OpenVINO model, or an ONNX file, in OpenVINO.

    It computes in float32, also on processors on which OpenVINO would choose bfloat16.

    Args:
        path: path of the `.xml` file; the `.bin` file lies beside it.
        num_threads: optional int. Defaults to what OpenVINO chooses: one for each core.
    Returns:
        function from a dict of int32 arrays to a dict of arrays, by the names in
        the file. Arrays that the model does not take are left out.
    Raises:
        ArtifactError: if a file is damaged or missing.
        ImportError: if OpenVINO is not installed.
    """
    openvino = require("openvino", "running OpenVINO")
    path = Path(path)
    for needed in (path, path.with_suffix(".bin")) if path.suffix == ".xml" else (path,):
        if not needed.is_file():
            raise ArtifactError(f"{needed}: there is no such file. OpenVINO needs model.xml and model.bin.")
    settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    if num_threads is not None:
        settings["INFERENCE_NUM_THREADS"] = num_threads
    try:
        compiled = openvino.Core().compile_model(str(path), "CPU", settings)
    except Exception as error:  # classes of its own
        raise ArtifactError(f"{path}: OpenVINO cannot open it: {explain(error)} Export it again.") from error
    inputs = [port.any_name for port in compiled.inputs]
    outputs = [port.any_name for port in compiled.outputs]
    request = compiled.create_infer_request()

    def run(arrays):
        found = request.infer({name: arrays[name] for name in inputs})
        return {name: found[place].copy() for place, name in enumerate(outputs)}

    return run

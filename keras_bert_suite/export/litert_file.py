"""Facts read off a `.tflite` file: its operations, its inputs, its length. Light enough for any process."""

from keras_bert_suite.errors import ArtifactError, require

__all__ = ["check_builtin", "input_order", "read_length"]


def check_builtin(model):
    """Raise `ArtifactError` unless a model (bytes) is made of built-in operations alone."""
    opened = _open(model)
    codes = [opened.OperatorCodes(index) for index in range(opened.OperatorCodesLength())]
    custom = sorted(code.CustomCode().decode() for code in codes if code.CustomCode())
    if custom:
        raise ArtifactError(
            f"LiteRT export must need built-in operations alone. Received: {', '.join(custom)}. "
            "Phones and MediaPipe would refuse this file; report the model."
        )


def input_order(model):
    """Return the names of a model's inputs as its signature spells them, in the order of its tensors."""
    opened = _open(model)
    signature, subgraph = opened.SignatureDefs(0), opened.Subgraphs(0)
    inputs = [signature.Inputs(index) for index in range(signature.InputsLength())]
    names = {tensor.TensorIndex(): tensor.Name().decode() for tensor in inputs}
    return [names[subgraph.Inputs(index)] for index in range(subgraph.InputsLength())]


def read_length(path):
    """Return the fixed length of a file's inputs, in tokens.

    Raises:
        ArtifactError: if it is not a `.tflite` file with inputs `(1, length)`.
    """
    model = path.read_bytes()
    try:
        if model[4:8] != b"TFL3":
            raise ValueError("its identifier is missing")
        subgraph = _open(model).Subgraphs(0)
        return int(subgraph.Tensors(subgraph.Inputs(0)).Shape(1))
    except Exception as error:  # damaged offsets lead anywhere
        raise ArtifactError(f"{path}: not a whole .tflite file ({error}). Export it again.") from error


def _open(model):
    schema = require("ai_edge_litert.schema_py_generated", "LiteRT export")
    return schema.Model.GetRootAs(model, 0)

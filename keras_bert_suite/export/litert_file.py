"""Facts read off a `.tflite` file: operations, inputs, lengths, packed files. Light enough for any process."""

import io
import zipfile
from pathlib import Path

from keras_bert_suite.errors import ArtifactError, require

__all__ = [
    "ARCHIVE",
    "INPUTS",
    "LABELS",
    "VOCABULARY",
    "check_builtin",
    "input_order",
    "read_files",
    "read_lengths",
]

#: The names of a file's inputs, with ours. The first three are those that MediaPipe expects.
INPUTS = {"ids": "token_ids", "mask": "padding_mask", "segment_ids": "segment_ids", "word_mask": "word_mask"}
#: The packed file of labels, which classifiers and taggers have.
LABELS = "labels.txt"
#: The packed file of tokens, where the tokenizer is WordPiece.
VOCABULARY = "vocab.txt"
#: The packed zip of all other files.
ARCHIVE = "files.zip"


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
    """Return the names of a model's inputs as its first signature spells them, in the order of its tensors."""
    opened = _open(model)
    signature, subgraph = opened.SignatureDefs(0), opened.Subgraphs(0)
    inputs = [signature.Inputs(index) for index in range(signature.InputsLength())]
    names = {tensor.TensorIndex(): tensor.Name().decode() for tensor in inputs}
    return [names[subgraph.Inputs(index)] for index in range(subgraph.InputsLength())]


def read_lengths(path, keys=False):
    """Return the lengths of a file's signatures, ascending, in tokens.

    Args:
        path: str or path.
        keys: bool. Whether to return a dict from each length to the name of its
            signature. Defaults to False: a list of int.
    Raises:
        ArtifactError: if it is not a `.tflite` file with inputs `(1, length)`.
    """
    model = Path(path).read_bytes()
    lengths = {}
    try:
        if model[4:8] != b"TFL3":
            raise ValueError("its identifier is missing")
        opened = _open(model)
        for index in range(opened.SignatureDefsLength()):
            signature = opened.SignatureDefs(index)
            subgraph = opened.Subgraphs(signature.SubgraphIndex())
            length = int(subgraph.Tensors(subgraph.Inputs(0)).Shape(1))
            lengths[length] = signature.SignatureKey().decode()
        if not lengths:
            raise ValueError("it has no signature")
    except Exception as error:  # damaged offsets lead anywhere
        raise ArtifactError(f"{path}: not a whole .tflite file ({error}). Export it again.") from error
    lengths = dict(sorted(lengths.items()))
    return lengths if keys else list(lengths)


def read_files(path):
    """Return what is packed in a `.tflite` file after the model: dict from name to bytes.

    Raises:
        ArtifactError: if nothing can be read there, as in a file cut short.
    """
    try:
        files = _unpacked(path)
        return files | (_unpacked(io.BytesIO(files.pop(ARCHIVE))) if ARCHIVE in files else {})
    except (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError) as error:
        raise ArtifactError(f"{path}: not a whole .tflite file ({error}). Export it again.") from error


def _unpacked(source):
    with zipfile.ZipFile(source) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


def _open(model):
    schema = require("ai_edge_litert.schema_py_generated", "LiteRT export")
    return schema.Model.GetRootAs(model, 0)

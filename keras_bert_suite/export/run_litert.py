"""Running a `.tflite` file on ids, with NumPy and LiteRT alone."""

import os

import numpy as np

from keras_bert_suite.errors import ArtifactError, require
from keras_bert_suite.export.litert_file import INPUTS, LABELS, read_files, read_lengths

__all__ = ["load_litert", "read_files", "read_lengths"]

#: Outputs with one number a token; those of three dimensions have a vector a token.
TOKEN_OUTPUTS = ("tags", "start_logits", "end_logits")


def load_litert(path, num_threads=None):
    """Open a `.tflite` file; return its function of ids.

    Rows run one by one, each in the smallest length of the file that holds its
    tokens. An output with a number or a vector for each token is cut or padded
    to the length that was given: with -1 where it holds tags, else with 0.

    Args:
        path: str or path.
        num_threads: optional int. Defaults to the cores, at most 4.
    Returns:
        function from a dict of int32 `(B, T)`, `token_ids`, `segment_ids` and
        `padding_mask` (`word_mask` too, where the file takes it), to a dict of
        arrays with the names that `build_served_model` gives. It raises
        `ValueError` on rows of more tokens than the file's greatest length.
    Raises:
        ArtifactError: if it is not a whole `.tflite` file of this package.
    Example:
        run = load_litert("out/litert/model.tflite")
        run(tokenizer(["Where is my order?"], max_length=128))["probabilities"]
    """
    keys = read_lengths(path, keys=True)
    classifies = LABELS in read_files(path)
    runtime = require("ai_edge_litert.interpreter", "running LiteRT")
    try:
        interpreter = runtime.Interpreter(str(path), num_threads=num_threads or min(4, os.cpu_count() or 1))
        runners = {length: interpreter.get_signature_runner(key) for length, key in keys.items()}
    except (RuntimeError, ValueError) as error:
        raise ArtifactError(f"{path}: LiteRT cannot open it ({error}). Export it again.") from error
    taken = {theirs: ours for theirs, ours in INPUTS.items() if theirs in runners[max(runners)].get_input_details()}

    def run(batch):
        columns = {theirs: np.asarray(batch[ours], "int32") for theirs, ours in taken.items()}
        sizes = _sizes(columns["mask"])
        if sizes.max(initial=0) > max(runners):
            raise ValueError(
                f"{path}: a row must have at most {max(runners)} tokens. Received: {sizes.max()}. "
                "Truncate when tokenizing, or export a greater length."
            )
        rows = []
        for row, size in enumerate(sizes):
            length = min(length for length in runners if length >= size)
            fitted = {name: _fitted(column[[row]], length) for name, column in columns.items()}
            rows.append(runners[length](**fitted))
        return _stacked(rows, columns["mask"].shape[1], classifies)

    return run


def _sizes(mask):
    """Tokens of each row up to its last real one, `(B,)`."""
    return ((mask != 0) * np.arange(1, mask.shape[1] + 1)).max(axis=1, initial=0)


def _fitted(column, length, fill=0):
    """Cut or pad `(1, T, ...)` to `(1, length, ...)`."""
    column = column[:, :length]
    missing = [(0, 0), (0, length - column.shape[1])] + [(0, 0)] * (column.ndim - 2)
    return np.pad(column, missing, constant_values=fill)


def _stacked(rows, length, classifies):
    """Outputs of rows as arrays, with the names of the served model."""
    outputs = {}
    for name in rows[0]:
        values = [row[name] for row in rows]
        if name in TOKEN_OUTPUTS or values[0].ndim == 3:
            values = [_fitted(value, length, -1 if name == "tags" else 0) for value in values]
        outputs["probabilities" if name == "score" and classifies else name] = np.concatenate(values)
    return outputs

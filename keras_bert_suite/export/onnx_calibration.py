"""The range that each activation has on typical texts, seen by ONNX Runtime. Runs in the worker."""

import tempfile
from pathlib import Path

import numpy as np

from keras_bert_suite.export.onnx_file import save_onnx
from keras_bert_suite.export.run_onnx import load_onnx

__all__ = ["activation_ranges"]


def activation_ranges(model, calibration):
    """Run a float32 model row by row and return the range of each left factor of a matrix product.

    A row is cut to its own length: what padding would add to the ranges, no text
    has. The range is the mean over the rows of each one's least and largest
    value, so that one odd text does not coarsen the rounding of all others.

    Args:
        model: `onnx.ModelProto`, float32.
        calibration: dict of int32 arrays `(N, T)` or `(N, C, T)`.
    Returns:
        dict from the name of a tensor to `(least, largest)`, with 0 in between.
    """
    watched = type(model)()
    watched.CopyFrom(model)
    names = dict.fromkeys(node.input[0] for node in model.graph.node if node.op_type == "MatMul")
    del watched.graph.output[:]
    watched.graph.output.extend(type(model.graph.output[0])(name=name) for name in names)
    ends = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        save_onnx(watched, path)
        run = load_onnx(path)
        for row in range(len(calibration["token_ids"])):
            mask = calibration["padding_mask"][row]
            length = 1 + np.flatnonzero(mask.reshape(-1, mask.shape[-1]).any(axis=0)).max(initial=0)
            arrays = {
                name: np.ascontiguousarray(array[row : row + 1, ..., :length]) for name, array in calibration.items()
            }
            for name, output in run(arrays).items():
                ends[name].append((output.min(), output.max()))
    means = {name: np.mean(pairs, axis=0) for name, pairs in ends.items()}
    return {name: (min(float(low), 0.0), max(float(high), 0.0)) for name, (low, high) in means.items()}

"""Weights and activations of a `.tflite` model in few bits, by ai-edge-quantizer."""

import contextlib
import io
import warnings

import numpy as np

from keras_bert_suite.errors import check_choice, require
from keras_bert_suite.export.litert_lookup import TABLES, look_up_embeddings

__all__ = ["QUANTIZATIONS", "check_calibration", "quantize_litert"]

#: What `quantize_litert` knows.
QUANTIZATIONS = ("int8", "full-int8", "int4")
#: Rows that ranges of activations are taken from, at most.
CALIBRATION_ROWS = 64
#: Dense layers whose inputs and outputs have even ranges. What the others put out is summed along the residual
#: connections, where a few numbers are far larger than the rest: one fixed scale for all would leave these no bits.
EVEN_LAYERS = r".*/(query|key|value|intermediate)(_\d+)?/.*"
FEED_FORWARD = r".*/feed_forward(_\d+)?/.*"


def quantize_litert(model, quantization, calibration=None):
    """Quantize a float32 model.

    Embedding tables have 8 bits and a scale for each row, kernels of dense layers
    a scale for each output. Norms, softmax and products of attention compute in
    float32, so that the mask is never rounded.

    - `"int8"`: dense layers multiply integers; the ranges of their inputs are
      found at run time.
    - `"full-int8"`: as `"int8"`, but the dense layers of attention and the first
      of each feed-forward take and give integers whose ranges come from
      `calibration`.
    - `"int4"`: as `"int8"`, but the kernels of feed-forwards, two thirds of all
      kernels, have 4 bits, clipped where that lowers the mean squared error.
      Attention does not stand 4 bits as well, and embedding tables cannot have them.

    Args:
        model: bytes of a `.tflite` file.
        quantization: str out of `QUANTIZATIONS`.
        calibration: dict from the name of an input to int32 `(N, T)`, as the
            file names them; needed by `"full-int8"`, which uses 64 rows at most.
    Returns:
        bytes.
    Raises:
        ValueError: if there is no calibration where it is needed.
        ImportError: if ai-edge-quantizer is not installed.

    Source: Sakr et al. 2022, section 3, for the clipping.
    """
    check_choice("quantize_litert", "quantization", quantization, QUANTIZATIONS)
    check_calibration(quantization, calibration)
    quantizer = require("ai_edge_quantizer.quantizer", "quantizing LiteRT files")
    model = look_up_embeddings(model)
    engine = quantizer.Quantizer(bytearray(model), _recipe(quantization))
    with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():  # progress bars, advice on debugging
        warnings.simplefilter("ignore", UserWarning)
        ranges = None
        if quantization == "full-int8":
            modes = require("ai_edge_quantizer.calibrator", "quantizing LiteRT files").CalibrationMode
            rows = _rows(model, calibration)
            ranges = engine.calibrate(rows, num_threads=1, mode=modes.CALIBRATION_PROFILER_BASED)
        return bytes(engine.quantize(ranges, enable_progress_bar=False, enable_progress_report=False).quantized_model)


def check_calibration(quantization, calibration):
    """Raise `ValueError` where a quantization needs rows and there are none."""
    rows = 0 if not calibration else len(next(iter(calibration.values())))
    if quantization == "full-int8" and not rows:
        raise ValueError(
            "export: full-int8 needs calibration, texts from which the ranges of activations are taken. "
            "Received: none. Give some that are like those of later use."
        )


def _recipe(quantization):
    qtyping = require("ai_edge_quantizer.qtyping", "quantizing LiteRT files")
    algorithms = require("ai_edge_quantizer.algorithm_manager", "quantizing LiteRT files").AlgorithmName
    recipe = require("ai_edge_quantizer.recipe_manager", "quantizing LiteRT files").RecipeManager()
    operations = qtyping.TFLOperationName
    integers = {"activation_num_bits": 8, "weight_num_bits": 8}
    recipe.add_dynamic_config(".*", operations.FULLY_CONNECTED, num_bits=8)
    if quantization == "int4":
        recipe.add_dynamic_config(FEED_FORWARD, operations.FULLY_CONNECTED, num_bits=4, algorithm_key=algorithms.OCTAV)
    if quantization == "full-int8":
        recipe.add_static_config(EVEN_LAYERS, operations.FULLY_CONNECTED, **integers)
    recipe.add_dynamic_config(TABLES, operations.EMBEDDING_LOOKUP, num_bits=8)
    return recipe.get_quantization_recipe()


def _rows(model, calibration):
    """For each signature, a list of inputs: rows of `calibration`, cut or padded to its length."""
    runtime = require("ai_edge_litert.interpreter", "quantizing LiteRT files")
    interpreter = runtime.Interpreter(model_content=bytes(model))
    found = {}
    for key in interpreter.get_signature_list():
        shapes = {name: d["shape"] for name, d in interpreter.get_signature_runner(key).get_input_details().items()}
        found[key] = [
            {name: _row(calibration, name, row, shape) for name, shape in shapes.items()}
            for row in range(min(CALIBRATION_ROWS, len(calibration["ids"])))
        ]
    return found


def _row(calibration, name, row, shape):
    values = np.zeros(shape, "int32")
    given = calibration[name][row, : shape[1]]
    values[0, : len(given)] = given
    return values

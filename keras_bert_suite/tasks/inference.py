"""Running a model over many encoded texts, with hardly any padding, in the caller's order."""

import keras
import numpy as np
from tqdm import tqdm

from keras_bert_suite.data import plan_prediction_batches
from keras_bert_suite.training.backend import compiles_per_shape
from keras_bert_suite.training.dataset import fixed_shape, model_buckets, tokens_per_batch

__all__ = ["predict_encoded"]


def predict_encoded(model, encoded, max_length, progress=None):
    """Return the model's output for every encoded text.

    Rows are sorted into buckets by length; each bucket has one batch shape, and
    the answers are put back in the caller's order.

    Args:
        model: `keras.Model` with one output of shape `(B, ...)`.
        encoded: `text.Ragged`.
        max_length: int. No row is longer, in tokens.
        progress: optional `tqdm` bar, advanced by texts.
    Returns:
        NumPy array `(N, ...)`.
    """
    plan = plan_prediction_batches(
        encoded.lengths, model_buckets(max_length), tokens_per_batch(), fixed_shapes=compiles_per_shape()
    )
    answers = None
    for batch in plan:
        outputs = np.asarray(keras.ops.convert_to_numpy(model.predict_on_batch(fixed_shape(encoded, batch))))
        outputs = outputs[: len(batch.rows)]
        if answers is None:
            answers = np.empty((len(encoded), *outputs.shape[1:]), outputs.dtype)
        answers[batch.rows] = outputs
        if progress is not None:
            progress.update(len(batch.rows))
    return answers


def progress_bar(total, description, shown):
    """Return a bar on standard error that counts texts; hidden unless `shown` and a terminal is there."""
    return tqdm(total=total, desc=description, unit=" texts", disable=None if shown else True)

"""Running a model over many encoded texts, with hardly any padding, in the caller's order."""

from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
from tqdm import tqdm

from keras_bert_suite.data import plan_prediction_batches
from keras_bert_suite.training.backend import compiles_per_shape, concurrent_batches
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

    def compute(batch):
        outputs = keras.ops.convert_to_numpy(model.predict_on_batch(fixed_shape(encoded, batch)))
        return batch.rows, np.asarray(outputs)[: len(batch.rows)]

    for rows, outputs in _in_turn(compute, plan):
        if answers is None:
            answers = np.empty((len(encoded), *outputs.shape[1:]), outputs.dtype)
        answers[rows] = outputs
        if progress is not None:
            progress.update(len(rows))
    return answers


def _in_turn(compute, plan):
    """Yield `compute(batch)` for each batch in order, several at a time where that is faster."""
    workers = concurrent_batches()
    alone = 2 if workers > 1 else len(plan)  # The first two shapes make TensorFlow trace; threads only run.
    yield from map(compute, plan[:alone])
    if len(plan) <= alone:
        return
    pool = ThreadPoolExecutor(workers)
    try:
        yield from pool.map(compute, plan[alone:])
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C waits for the batches at work, not for all.


def progress_bar(total, description, shown):
    """Return a bar on standard error that counts texts; hidden unless `shown` and a terminal is there."""
    return tqdm(total=total, desc=description, unit=" texts", disable=None if shown else True)

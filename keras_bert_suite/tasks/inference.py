"""Running a model over many encoded texts, with hardly any padding, in the caller's order."""

from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
from tqdm import tqdm

from keras_bert_suite.data import plan_prediction_batches
from keras_bert_suite.training.backend import compiles_per_shape, concurrent_batches
from keras_bert_suite.training.dataset import fixed_shape, model_buckets, tokens_per_batch
from keras_bert_suite.training.memory import freed_memory_kept

__all__ = ["predict_batches", "predict_encoded", "progress_bar"]


def predict_encoded(model, encoded, max_length, progress=None, max_rows=None):
    """Return the model's output for every encoded text.

    Rows are sorted into buckets by length; each bucket has one batch shape, and
    the answers are put back in the caller's order.

    Args:
        model: `keras.Model` with one output of shape `(B, ...)`.
        encoded: `text.Ragged`.
        max_length: int. No row is longer, in tokens.
        progress: optional `tqdm` bar, advanced by texts.
        max_rows: optional int. Rows of a batch at most. Defaults to what suits the device.
    Returns:
        NumPy array `(N, ...)`.
    """
    answers = None
    for rows, outputs in predict_batches(model, encoded, max_length, max_rows=max_rows):
        if answers is None:
            answers = np.empty((len(encoded), *outputs.shape[1:]), outputs.dtype)
        answers[rows] = outputs
        if progress is not None:
            progress.update(len(rows))
    return answers


def predict_batches(model, encoded, max_length, *, inputs=None, max_rows=None, finish=None):
    """Yield what the model makes of each batch, for outputs too large to hold for all texts.

    Args:
        model, encoded, max_length, max_rows: as in `predict_encoded`.
        inputs: optional dict of arrays `(N, ...)`: what the model takes beside the texts.
        finish: optional function from the rows of a batch, int `(R,)`, and the
            output for them, `(R, ...)`, to what is yielded instead of it. It
            runs where the batch was computed, so that outputs do not pile up.
    Yields:
        `(rows, answers)`: int `(R,)` and NumPy array `(R, ...)`.
    """
    fixed_shapes = compiles_per_shape()
    if not model.compiled:
        model.jit_compile = fixed_shapes  # Keras' own choice is XLA wherever it can be had.
    plan = plan_prediction_batches(
        encoded.lengths, model_buckets(max_length), tokens_per_batch(), fixed_shapes=fixed_shapes
    )

    def compute(batch):
        arrays = fixed_shape(encoded, batch)
        filled = np.resize(batch.rows, batch.size)  # what rows beyond them hold is of no account
        arrays.update({name: values[filled] for name, values in (inputs or {}).items()})
        outputs = np.asarray(keras.ops.convert_to_numpy(model.predict_on_batch(arrays)))[: len(batch.rows)]
        return batch.rows, outputs if finish is None else finish(batch.rows, outputs)

    with freed_memory_kept():
        yield from _in_turn(compute, plan if max_rows is None else list(_split(plan, max_rows)))


def _split(plan, max_rows):
    """Cut batches into parts of at most `max_rows` rows, all parts of a batch of one size."""
    for batch in plan:
        size = min(batch.size, max_rows)
        for start in range(0, len(batch.rows), size):
            yield batch._replace(rows=batch.rows[start : start + size], size=size)


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

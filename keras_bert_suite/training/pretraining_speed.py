"""How fast a pretraining goes: tokens a second, and the share of what the device can compute."""

import threading
import time

import keras
import numpy as np

__all__ = ["PretrainingSpeed", "measured_peak_flops"]

#: Rows and columns of the matrices that are multiplied.
SIZE = 2048


def measured_peak_flops(dtype="float32", seconds=0.5):
    """Measure how many floating point operations a second the running device does in matrix products.

    Args:
        dtype: str. Of the matrices.
        seconds: float. How long to measure.
    Returns:
        float. Of the best product.
    """
    ones = keras.ops.ones((SIZE, SIZE), dtype)
    best, end = np.inf, time.perf_counter() + seconds
    while time.perf_counter() < end or best == np.inf:
        began = time.perf_counter()
        largest = keras.ops.cast(keras.ops.max(keras.ops.matmul(ones, ones)), "float32")
        keras.ops.convert_to_numpy(largest)  # waits for it
        best = min(best, time.perf_counter() - began)
    return 2 * SIZE**3 / best


class PretrainingSpeed(keras.callbacks.Callback):
    """Put `tokens_per_second` and, where the peak is known, `flops_utilization` into the epoch logs.

    The first step of an epoch, which may compile, is left out where there are more.

    Args:
        tokens_per_batch: function of the epoch, from 0: float. Padding not
            counted.
        flops_per_batch: function of the epoch: float, from
            `models.pretraining.pretraining_flops`.
        peak_flops: optional float. What the device can do, floating point
            operations a second.
    """

    async_safe = True

    def __init__(self, tokens_per_batch, flops_per_batch, peak_flops=None):
        super().__init__()
        self.tokens_per_batch = tokens_per_batch
        self.flops_per_batch = flops_per_batch
        self.peak_flops = peak_flops
        self._lock = threading.Lock()

    def on_epoch_begin(self, epoch, logs=None):
        self._first = self._last = None

    def on_train_batch_begin(self, batch, logs=None):
        if self._first is None:
            self._first = self._last = (batch, time.monotonic())

    def on_train_batch_end(self, batch, logs=None):
        with self._lock:  # Keras does not promise the order of asynchronous calls.
            done, now = batch + 1, time.monotonic()
            if done <= self._last[0]:
                return
            if self._last == self._first:
                self._warm = (done, now)
            self._last = (done, now)

    def on_epoch_end(self, epoch, logs=None):
        if self._first is None or logs is None:
            return
        first = self._warm if self._last[0] > self._warm[0] else self._first
        steps_per_second = (self._last[0] - first[0]) / max(self._last[1] - first[1], 1e-9)
        logs["tokens_per_second"] = steps_per_second * self.tokens_per_batch(epoch)
        if self.peak_flops:
            logs["flops_utilization"] = steps_per_second * self.flops_per_batch(epoch) / self.peak_flops

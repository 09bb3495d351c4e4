"""Two ways in which training fails, told as what to do about it: a loss that is no number, and too little memory."""

import contextlib
import math
import threading

import keras

from keras_bert_suite.training.progress import learning_rate_by_batch

__all__ = ["NonFiniteLoss", "first_line", "memory_guard"]


class NonFiniteLoss(keras.callbacks.Callback):
    """Stop with an error at the first batch after which the loss is NaN or infinite.

    It reads the mean loss that Keras hands to callbacks anyway. Gradients that
    overflow under loss scaling pass: their step is left out, and the loss stays finite.

    Raises:
        FloatingPointError: naming epoch, step and learning rate.
    Example:
    >>> import keras
    >>> model = keras.Sequential([keras.layers.Dense(1)])
    >>> model.compile(optimizer="sgd", loss="mse")
    >>> inputs = np.full((2, 3), np.nan)
    >>> model.fit(inputs, np.ones(2), verbose=0, callbacks=[NonFiniteLoss()])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    FloatingPointError: the loss became nan in epoch 1, batch 1, at a learning rate of 0.01. ...
    """

    #: Keras may then call `on_train_batch_end` off the thread that trains, for several batches at once: reading a
    #: loss waits for its step.
    async_safe = True

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        self._first = None
        self._running = set()  # batches that have begun and not ended
        self._ended = threading.Condition()
        self._broken = {}  # batches of which the loss is no number, with it
        self._learning_rate = learning_rate_by_batch(self.model.optimizer)

    def on_train_batch_begin(self, batch, logs=None):
        if self._first is None:
            self._first = batch  # above 0 where the training starts within an epoch
        with self._ended:
            self._running.add(batch)

    def on_train_batch_end(self, batch, logs=None):
        loss = (logs or {}).get("loss")
        finite = loss is None or math.isfinite(loss)
        with self._ended:
            # Keras calls once for several steps of one execution, with the number of the last.
            self._running.discard(max((begun for begun in self._running if begun <= batch), default=None))
            if not finite:
                self._broken[batch] = loss
            self._ended.notify_all()
            if finite:
                return
            # Keras raises what one of the failed calls raised, not always the first: all tell of the first.
            self._ended.wait_for(lambda: all(begun > batch for begun in self._running))
            batch, loss = min(self._broken.items())
        rate = self._learning_rate(batch - self._first)
        raise FloatingPointError(
            f"the loss became {loss} in epoch {self._epoch + 1}, batch {batch + 1}"
            f"{'' if rate is None else f', at a learning rate of {rate:.3g}'}. Lower the learning rate, or warm up "
            "longer; train in float32 where the precision is float16. A state saved earlier is from before this batch."
        )


@contextlib.contextmanager
def memory_guard(batch_shape=None):
    """Raise one error, which says what to do, where the backend's own says that memory is used up.

    Args:
        batch_shape: optional tuple of ints, rows and tokens of the largest batch, for the message.
    Raises:
        MemoryError: in the place of the error that the backend raised inside the block.
    Example:
    >>> with memory_guard((32, 512)):  # doctest: +ELLIPSIS
    ...     raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1000 bytes.")
    Traceback (most recent call last):
    MemoryError: training needs more memory than the device has, with batches of 32 x 512 tokens. Halve ...
    """
    try:
        yield
    except Exception as error:
        if not _is_out_of_memory(error):
            raise
        shape = "" if batch_shape is None else f", with batches of {' x '.join(map(str, batch_shape))} tokens"
        raise MemoryError(
            f"training needs more memory than the device has{shape}. Halve the batch size and double the accumulation "
            f"steps, which gives the same training, or shorten max_length. ({first_line(error)})"
        ) from error


def _is_out_of_memory(error):
    """Tell by names and messages, so that no backend has to be imported."""
    if isinstance(error, MemoryError):
        return True
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & {"ResourceExhaustedError", "OutOfMemoryError"}:  # TensorFlow, PyTorch on an accelerator
        return True
    said = str(error)
    return isinstance(error, RuntimeError) and (
        "RESOURCE_EXHAUSTED" in said  # JAX
        or "can't allocate memory" in said  # PyTorch on a CPU
        or "not enough memory" in said
    )


def first_line(error):
    """Return the name and the first line of an error, for a message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__

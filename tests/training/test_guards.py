"""Failures of a training are told as what to do about them."""

import keras
import numpy as np
import pytest

from keras_bert_suite.training.guards import NonFiniteLoss, memory_guard


def compiled_model(rate):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(rate), "mse")
    return model


def fit(model, inputs, callbacks=()):
    callbacks = [NonFiniteLoss(), *callbacks]
    model.fit(inputs, np.ones(len(inputs)), 2, shuffle=False, verbose=0, callbacks=callbacks)


class EveryBatch(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        self.last = batch


# Keras may call the guard alone from another thread, and not the other.
@pytest.mark.parametrize("callbacks", [[], [EveryBatch()]])
def test_a_loss_that_is_no_number_stops_the_training(callbacks):
    inputs = np.ones((40, 3))
    inputs[6, 1] = np.nan
    schedule = keras.optimizers.schedules.PolynomialDecay(0.04, 4, 0.0)
    with pytest.raises(
        FloatingPointError,
        match=r"became nan in epoch 1, batch 4, at a learning rate of 0\.01\. Lower the learning rate",
    ):
        fit(compiled_model(schedule), inputs, callbacks)


def test_an_infinite_loss_stops_the_training():
    inputs = np.ones((40, 3))
    inputs[6] = 1e30
    with pytest.raises(FloatingPointError, match="the loss became inf in epoch 1, batch 4, at a learning rate of 0.01"):
        fit(compiled_model(0.01), inputs)


def test_gradients_that_overflow_pass_under_loss_scaling():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, dtype="mixed_float16")])
    inner = keras.optimizers.SGD(1e-3)
    optimizer = keras.optimizers.LossScaleOptimizer(inner, initial_scale=2.0**30)
    model.compile(optimizer, "mse")
    fit(model, np.ones((8, 3)))
    assert float(keras.ops.convert_to_numpy(optimizer.dynamic_scale)) < 2.0**30


def ask_for_too_much():
    if keras.backend.backend() != "tensorflow":
        keras.ops.convert_to_numpy(keras.ops.zeros((10**8, 10**8)))
    import tensorflow as tf

    # It waits for ten seconds before it gives up.
    raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[32,512]")


def test_the_memory_error_of_the_backend_says_what_to_do():
    with (
        pytest.raises(
            MemoryError, match=r"batches of 8 x 128 tokens\. Halve the batch size and double the accum.*max_l"
        ),
        memory_guard((8, 128)),
    ):
        ask_for_too_much()


class ResourceExhaustedError(Exception):
    """Named as TensorFlow's."""


class OutOfMemoryError(RuntimeError):
    """Named as PyTorch's on an accelerator."""


@pytest.mark.parametrize(
    "error",
    [
        ResourceExhaustedError("OOM when allocating tensor with shape[32,512]\nmore"),
        OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8 bytes"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_every_backend_has_its_own_error_for_the_same(error):
    with (
        pytest.raises(MemoryError, match=f"than the device has. Halve .*{type(error).__name__}") as raised,
        memory_guard(),
    ):
        raise error
    assert raised.value.__cause__ is error
    assert "\n" not in str(raised.value)


def test_other_errors_pass_as_they_are():
    with pytest.raises(RuntimeError, match="^shapes differ$"), memory_guard():
        raise RuntimeError("shapes differ")

"""`keras.distribution`: data and weights laid out over a mesh of devices, of one host or several."""

import math
import os
import random

import keras
import numpy as np

from keras_bert_suite.models import encoder_config
from keras_bert_suite.training.distribution.base import Distribution, GoOnTogether
from keras_bert_suite.training.distribution.shares import SharedDataset, check_divisible, check_same_data

__all__ = ["JAXDistribution"]

#: What tells a process of the others, as for `keras.distribution.initialize`.
VARIABLES = ("KERAS_DISTRIBUTION_JOB_ADDRESSES", "KERAS_DISTRIBUTION_NUM_PROCESSES", "KERAS_DISTRIBUTION_PROCESS_ID")

#: How the weights of a block are split. A head, or a unit of the feed-forward part, is computed on one device from the
#: first matrix to the second; only the sums after the second pass between devices. Vocabularies have any size, so token
#: embeddings are split by width.
LAYOUTS = {
    r"(.*/)?block_\d+/self_attention/(query|key|value)/kernel": (None, "model"),
    r"(.*/)?block_\d+/self_attention/(query|key|value)/bias": ("model",),
    r"(.*/)?block_\d+/self_attention/output/kernel": ("model", None),
    r"(.*/)?block_\d+/feed_forward/intermediate/kernel": (None, "model"),
    r"(.*/)?block_\d+/feed_forward/intermediate/bias": ("model",),
    r"(.*/)?block_\d+/feed_forward/output/kernel": ("model", None),
    r"(.*/)?embeddings/token/embeddings": (None, "model"),
}


class JAXDistribution(Distribution):
    """A `keras.distribution.Distribution`, kept as `distribution`.

    XLA computes what one device would, wherever the parts are. Batches need
    only be divisible.
    """

    def __init__(self, name, devices=None, model_parallel=None, timeout=300.0):
        self.name = name
        _join_hosts(timeout)
        devices = list(devices or keras.distribution.list_devices())
        if name == "data-parallel":
            self.distribution = keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False)
        else:
            self.model_parallel = _checked_width(model_parallel, len(devices))
            self.distribution = _model_parallel(devices, self.model_parallel)
        self.num_replicas = self.distribution.num_model_replicas
        self.num_processes = self.distribution.num_processes
        self.process_index = _process_index()

    def scope(self):
        return self.distribution.scope()

    def dataset(self, dataset):
        size = self.num_replicas // min(self.num_processes, self.num_replicas)
        first = self.distribution.data_shard_id * size
        shared = SharedDataset(dataset, self.num_replicas, slice(first, first + size), equal_weights=False)
        check_divisible(dataset, self.num_replicas)
        check_same_data(self, dataset)
        return shared

    def callbacks(self):
        checks = [CheckHeads(self.model_parallel)] if self.name == "model-parallel" else []
        return [*checks, GoOnTogether(self)]

    def gather(self, numbers):
        if self.num_processes == 1:
            return super().gather(numbers)
        from jax.experimental import multihost_utils

        return multihost_utils.process_allgather(np.array(numbers, "int32"))


class CheckHeads(keras.callbacks.Callback):
    """Refuse to train a model whose attention heads cannot be divided between the devices that share them.

    It would be right but slow: parts of heads would pass between devices.
    """

    def __init__(self, model_parallel):
        super().__init__()
        self.model_parallel = model_parallel

    def on_train_begin(self, logs=None):
        num_heads = encoder_config(self.model).num_heads
        if num_heads % self.model_parallel:
            raise ValueError(
                f"distribute: model_parallel must divide the attention heads of the model. "
                f"Received: model_parallel={self.model_parallel}, num_heads={num_heads}. "
                f"Use one of {_divisors(num_heads)}."
            )


def _join_hosts(timeout):
    """Meet the other processes, where the environment says that there are any.

    `keras.distribution.initialize` reads the same variables, but has no timeouts and imports TensorFlow.
    """
    import jax
    from jax.experimental import multihost_utils

    addresses, count, index = (os.environ.get(name) for name in VARIABLES)
    if addresses is None or jax.distributed.is_initialized():
        return
    seconds = math.ceil(timeout)
    jax.distributed.initialize(
        addresses.split(",")[0],
        len(addresses.split(",")) if count is None else int(count),
        None if index is None else int(index),
        initialization_timeout=seconds,
        heartbeat_timeout_seconds=seconds,
        shutdown_timeout_seconds=seconds,
    )
    # Keras draws the seeds of new weights and dropout from here: they must be the same everywhere.
    random.seed(int(multihost_utils.broadcast_one_to_all(np.uint32(random.getrandbits(32)))))


def _process_index():
    import jax

    return jax.process_index()


def _checked_width(model_parallel, num_devices):
    width = num_devices if model_parallel is None else model_parallel
    if num_devices % width:
        raise ValueError(
            f"distribute: model_parallel must divide the number of devices. Received: model_parallel={width}, "
            f"{num_devices} devices. Use one of {_divisors(num_devices)}."
        )
    return width


def _model_parallel(devices, width):
    mesh = keras.distribution.DeviceMesh((len(devices) // width, width), ["batch", "model"], devices)
    layouts = keras.distribution.LayoutMap(mesh)
    layouts.update(LAYOUTS)
    _check_hosts(mesh, width)
    return CheckedModelParallel(layout_map=layouts, batch_dim_name="batch", auto_shard_dataset=False)


def _check_hosts(mesh, width):
    """Raise if weights would be split between processes: none could read them whole, to save them."""
    import jax

    if any(len({device.process_index for device in replica}) > 1 for replica in mesh.backend_mesh.devices):
        raise ValueError(
            f"distribute: model_parallel must divide the devices of each process, as weights that no process has whole "
            f"cannot be saved. Received: model_parallel={width}, {jax.local_device_count()} devices in this process. "
            f"Use one of {_divisors(jax.local_device_count())}."
        )


class CheckedModelParallel(keras.distribution.ModelParallel):
    """`ModelParallel` that says in plain words which weight cannot be split."""

    def get_variable_layout(self, variable):
        layout = super().get_variable_layout(variable)
        sizes = [size for size, axis in zip(variable.shape, layout.axes, strict=True) if axis == "model"]
        width = self.device_mesh.shape[1]
        if any(size % width for size in sizes):
            raise ValueError(
                f"distribute: model_parallel must divide the sizes of the weights that are split. "
                f"Received: model_parallel={width}, {variable.path} of shape {tuple(variable.shape)}."
            )
        return layout


def _divisors(number):
    return ", ".join(str(divisor) for divisor in range(1, number + 1) if number % divisor == 0)

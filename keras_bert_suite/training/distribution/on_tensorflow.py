"""`tf.distribute` strategies: the devices of a host, several hosts, or a TPU."""

import functools
import json
import os

import keras

from keras_bert_suite.training.distribution.base import Distribution, GoOnTogether
from keras_bert_suite.training.distribution.shares import SharedDataset, check_divisible, check_same_data

__all__ = ["ClipTogether", "TensorFlowDistribution"]


class TensorFlowDistribution(Distribution):
    """A `tf.distribute.Strategy`, kept as `strategy`.

    TensorFlow itself divides each batch between replicas, in the order of its
    rows, and between workers; Keras takes the mean over each replica's rows and
    then over replicas. `SharedDataset` orders the rows so that this is right.
    """

    def __init__(self, name, devices=None, tpu=None, timeout=300.0):
        if name == "data-parallel":
            name = "multi-worker" if devices is None and "TF_CONFIG" in os.environ else "mirrored"
        self.name = name
        if name == "mirrored":
            self.strategy = _mirrored(None if devices is None else tuple(devices))
        elif name == "tpu":
            self.strategy = _tpu(tpu)
        else:
            self.process_index, self.num_processes = _task()
            self.strategy = _multi_worker(timeout)
        self.num_replicas = self.strategy.num_replicas_in_sync

    def scope(self):
        return self.strategy.scope()

    def dataset(self, dataset):
        shared = SharedDataset(dataset, self.num_replicas)
        check_divisible(dataset, self.num_replicas)
        check_same_data(self, dataset)
        return shared

    def callbacks(self):
        return [ClipTogether(self.num_replicas), GoOnTogether(self)]

    def gather(self, numbers):
        if self.num_processes == 1:
            return super().gather(numbers)
        import tensorflow as tf

        return self.strategy.gather(tf.constant([numbers], "int64"), axis=0).numpy()


class ClipTogether(keras.callbacks.Callback):
    """Clip the gradient of the whole batch.

    Keras clips what each replica has, its part of a sum, and adds up afterwards.
    Here the parts are added up first; the optimizer then gets an equal part of
    the sum in each replica, and as small a part of the bound. Gradients of
    embeddings become dense before: Adam would square each occurrence of a token alone.
    """

    BOUNDS = ("clipnorm", "clipvalue", "global_clipnorm")

    def __init__(self, num_replicas):
        super().__init__()
        self.num_replicas = num_replicas
        self._optimizer = None

    def on_train_begin(self, logs=None):
        self.on_train_end()  # of a training that an error ended
        _check_accumulation(self.model.optimizer)
        optimizer = self._optimizer = self.model.optimizer
        self._bounds = {name: getattr(optimizer, name, None) for name in self.BOUNDS}
        self._bounds = {name: bound for name, bound in self._bounds.items() if bound is not None}
        for name, bound in self._bounds.items():
            setattr(optimizer, name, bound / self.num_replicas)
        apply, clips, num_replicas = optimizer.apply, bool(self._bounds), self.num_replicas

        def apply_together(gradients, trainable_variables=None):
            import tensorflow as tf

            gradients = [None if gradient is None else tf.convert_to_tensor(gradient) for gradient in gradients]
            if clips:
                found = [gradient for gradient in gradients if gradient is not None]
                sums = iter(tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, found))
                gradients = [None if gradient is None else next(sums) / num_replicas for gradient in gradients]
            return apply(gradients, trainable_variables)

        optimizer.apply = apply_together

    def on_train_end(self, logs=None):
        if self._optimizer is not None:
            del self._optimizer.apply
            for name, bound in self._bounds.items():
                setattr(self._optimizer, name, bound)
            self._optimizer = None


def _check_accumulation(optimizer):
    """Raise if an optimizer gathers gradients over batches: TensorFlow has no branches where replicas exchange."""
    steps = getattr(optimizer, "inner_optimizer", optimizer).gradient_accumulation_steps or 1
    if steps > 1:
        raise ValueError(
            "distribute: on the tensorflow backend a strategy cannot accumulate gradients. "
            f"Received: accumulation_steps={steps}. Leave it out, as the devices share each batch, "
            "or train on the jax or torch backend."
        )


@functools.cache  # two strategies over the same devices would confuse each other's exchanges
def _mirrored(devices):
    import tensorflow as tf

    if devices is None:
        found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        devices = [device.name for device in found]
    return tf.distribute.MirroredStrategy(list(devices))


def _task():
    """Return the index of this process and the number of them, as `TF_CONFIG` has it."""
    try:
        values = json.loads(os.environ["TF_CONFIG"])
        tasks = [(kind, index) for kind in ("chief", "worker") for index in range(len(values["cluster"].get(kind, ())))]
        return tasks.index((values["task"]["type"], int(values["task"]["index"]))), len(tasks)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            "distribute: strategy='multi-worker' needs the environment variable TF_CONFIG with this host's task, e.g. "
            '{"cluster": {"worker": ["10.0.0.1:12345", "10.0.0.2:12345"]}, "task": {"type": "worker", "index": 0}}. '
            f"Received: {os.environ.get('TF_CONFIG')!r}."
        ) from error


@functools.cache
def _multi_worker(timeout):
    """Return the one strategy of this process: TensorFlow joins a cluster once."""
    import tensorflow as tf

    class MultiWorker(tf.distribute.MultiWorkerMirroredStrategy):
        """One that `fit` can use: Keras reduces dicts of values, and scalars over their first axis.

        TensorFlow refuses both between hosts (keras-team/keras, issue 20329).
        """

        def reduce(self, reduce_op, value, axis):
            def reduced(one):
                scalar = self.experimental_local_results(one)[0].shape.rank == 0
                return super(MultiWorker, self).reduce(reduce_op, one, None if scalar else axis)

            return tf.nest.map_structure(reduced, value)

    return MultiWorker(communication_options=tf.distribute.experimental.CommunicationOptions(timeout_seconds=timeout))


def _tpu(name):
    import tensorflow as tf

    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=name)
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, tf.errors.OpError) as error:
        raise ValueError(f"distribute: strategy='tpu' found no TPU under tpu={name!r} ({error}).") from error
    return tf.distribute.TPUStrategy(resolver)

"""Processes started by torchrun, one for each device, that average their gradients with `torch.distributed`."""

import atexit
import contextlib
import datetime
import os

import keras

from keras_bert_suite.training.distribution.base import Distribution, GoOnTogether
from keras_bert_suite.training.distribution.shares import SharedDataset, check_divisible, check_same_data

__all__ = ["AverageGradients", "TorchDistribution"]

#: What torchrun tells each process that it starts.
VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class TorchDistribution(Distribution):
    """One of several processes, each with one device, all weights, and its share of each batch."""

    def __init__(self, name, timeout=300.0):
        missing = [variable for variable in VARIABLES if variable not in os.environ]
        if missing:
            raise ValueError(
                f"distribute: strategy={name!r} on the torch backend needs one process for each device. "
                f"Start the script with: torchrun --nproc-per-node=2 script.py. Missing: {', '.join(missing)}."
            )
        self.name = name
        self.process_index = int(os.environ["RANK"])
        self.num_processes = self.num_replicas = int(os.environ["WORLD_SIZE"])
        self.averaging = False
        self._timeout = datetime.timedelta(seconds=timeout)
        self._unused = False

    @contextlib.contextmanager
    def scope(self):
        import torch

        has_gpus = torch.cuda.is_available()
        if has_gpus:
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
        if not torch.distributed.is_initialized():  # once for all blocks of a process
            torch.distributed.init_process_group("nccl" if has_gpus else "gloo", timeout=self._timeout)
            atexit.register(torch.distributed.destroy_process_group)
        yield
        if self._unused:
            raise _without_averaging()
        torch.distributed.barrier()

    def dataset(self, dataset):
        own = slice(self.process_index, self.process_index + 1)
        shared = SharedDataset(dataset, self.num_replicas, own, on_batch=self._check_averaging)
        check_divisible(dataset, self.num_replicas)
        check_same_data(self, dataset)
        self._unused = True
        return shared

    def _check_averaging(self, index):
        if index > 1 and not self.averaging:  # The first two are looked at before any callback is called.
            raise _without_averaging()

    def callbacks(self):
        return [GoOnTogether(self), AverageGradients(self)]

    def gather(self, numbers, dtype="int64"):
        import torch

        own = torch.tensor(numbers, dtype=getattr(torch, dtype), device=_device())
        found = [torch.empty_like(own) for _ in range(self.num_processes)]
        torch.distributed.all_gather(found, own)
        return torch.stack(found).cpu().numpy()


class AverageGradients(keras.callbacks.Callback):
    """Keep the weights of all processes in step.

    The first process' weights and optimizer go out when the first epoch begins;
    each gradient is averaged as soon as it is there, while the others are still
    computed; and the logs of an epoch are averaged when it ends. Of a training
    that had ended before, which is resumed, nothing is exchanged.
    """

    def __init__(self, distribution):
        super().__init__()
        self.distribution = distribution

    def set_model(self, model):
        super().set_model(model)
        self.distribution._unused = False

    def on_train_begin(self, logs=None):
        self.distribution.averaging = True
        self._sent = False
        self._hooks = {}

    def on_epoch_begin(self, epoch, logs=None):
        import torch

        if self._sent:
            return
        self._sent = True
        with torch.no_grad():
            for variable in [*self.model.weights, *self.model.optimizer.variables]:
                torch.distributed.broadcast(variable.value.data, src=0)
        # Dropout draws from the global generator, which the processes may have seeded alike.
        torch.manual_seed(int(torch.randint(2**31, ())) + self.distribution.process_index)

    def on_train_batch_begin(self, batch, logs=None):
        for variable in self.model.trainable_variables:  # other callbacks may have unfrozen some
            parameter = variable.value
            if id(parameter) not in self._hooks:
                self._hooks[id(parameter)] = parameter.register_post_accumulate_grad_hook(self._average)

    def _average(self, parameter):
        import torch

        parameter.grad.div_(self.distribution.num_processes)  # gloo has no mean
        torch.distributed.all_reduce(parameter.grad)  # on GPUs it runs beside the rest of the backward pass

    def on_epoch_end(self, epoch, logs=None):
        names = sorted(logs or {})
        if names:
            mean = self.distribution.gather([float(logs[name]) for name in names], "float64").mean(axis=0)
            logs.update(zip(names, mean.tolist(), strict=True))

    def on_train_end(self, logs=None):
        self.distribution.averaging = False
        for hook in self._hooks.values():
            hook.remove()


def _device():
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _without_averaging():
    return RuntimeError(
        "distribute: on the torch backend each process has its share of the rows, and nothing has put them together. "
        "Pass callbacks=distribution.callbacks() to fit; evaluate and predict on the data set itself."
    )

"""`Distribution`: what a training needs to know of the devices it is spread over."""

import contextlib

import keras
import numpy as np

from keras_bert_suite.training.progress import num_updates

__all__ = ["Distribution", "GoOnTogether"]


class Distribution:
    """A training on one device, and the form that the backends' distributions share.

    Attributes:
        name: optional str. The strategy.
        num_replicas: int. Shares into which each batch is divided.
        process_index: int. Which of the processes this one is, from 0.
        num_processes: int.
    """

    name = None
    num_replicas = 1
    process_index = 0
    num_processes = 1

    @property
    def is_chief(self):
        """bool. Whether this is the one process that writes files and prints."""
        return self.process_index == 0

    @contextlib.contextmanager
    def scope(self):
        """Place what is built inside the block."""
        yield

    def dataset(self, dataset):
        """Return what to pass to `fit`, as `x` or `validation_data`, in the place of `dataset`.

        Args:
            dataset: `keras.utils.PyDataset` of global batches, the same in every
                process. Where it yields sample weights, rows may be added that
                weigh nothing, so pass a loss with
                `reduction="mean_with_sample_weight"` and weighted metrics.
        Raises:
            ValueError: if its batches cannot be shared out, or are not the same
                in every process.
        """
        return dataset

    def callbacks(self):
        """Return the callbacks to pass to `fit`, in front of all others."""
        return []

    def gather(self, numbers):
        """Return the numbers of every process; all of them must call this.

        Args:
            numbers: list of int in [0, 2**31).
        Returns:
            int array `(N, len(numbers))`, with a row from each process at least.
        """
        return np.array([numbers])


class GoOnTogether(keras.callbacks.Callback):
    """Refuse to train unless all processes are at the same place, as the gradients of different batches would be mixed.

    Args:
        distribution: `Distribution`.
    """

    def __init__(self, distribution):
        super().__init__()
        self.distribution = distribution

    def on_train_begin(self, logs=None):
        self._checked = False

    def on_epoch_begin(self, epoch, logs=None):
        if self._checked:
            return
        self._checked = True
        places = {tuple(row) for row in self.distribution.gather([epoch, num_updates(self.model.optimizer)]).tolist()}
        if len(places) > 1:
            found = ", ".join(f"epoch {epoch + 1} after {updates} updates" for epoch, updates in sorted(places))
            raise ValueError(
                f"distribute: every process must begin at the same place. Received: {found}. "
                "Let all of them read one directory of states, or remove it to begin anew."
            )

"""The rest of an epoch as a data set from which `fit` compiles the same program as from the whole."""

import keras

__all__ = ["OneEpoch"]


class OneEpoch(keras.utils.PyDataset):
    """The batches that are left of an epoch, as `fit` has to see them.

    On TensorFlow, `fit` takes what the first two batches have in common for the
    shape of all. Up to its first `on_epoch_end`, which it calls before it
    trains, it is shown those of the first epoch, so that it compiles the same
    program wherever a training goes on. A single batch is followed by another
    for that reason, which `steps_per_epoch` keeps from being trained.

    Args:
        batches: `keras.utils.PyDataset`.
        examples: list of one or two batches.
        can_add: bool. Whether to add a batch to a single one. Defaults to true.
    """

    def __init__(self, batches, examples, can_add=True):
        super().__init__(batches.workers, batches.use_multiprocessing, batches.max_queue_size)
        self._batches = batches
        self._examples = examples
        self._shown = False
        self.steps_per_epoch = 1 if can_add and batches.num_batches < len(examples) else None

    @property
    def num_batches(self):
        return len(self._examples) if self.steps_per_epoch else self._batches.num_batches

    def __len__(self):
        return self.num_batches

    def __getitem__(self, index):
        if not self._shown and index < len(self._examples):
            return self._examples[index]
        return self._batches[min(index, self._batches.num_batches - 1)]

    def on_epoch_end(self):
        self._shown = True

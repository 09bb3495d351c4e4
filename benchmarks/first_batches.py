"""The first batches of a data set, as a data set that `fit` reads to its end."""

import keras

__all__ = ["FirstBatches"]


class FirstBatches(keras.utils.PyDataset):
    """A part of an epoch, the same one every time.

    Args:
        dataset: `keras.utils.PyDataset`.
        count: int. Batches, at most.
    """

    def __init__(self, dataset, count):
        super().__init__()
        self.dataset = dataset
        self.count = min(count, dataset.num_batches)

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return self.dataset[index]

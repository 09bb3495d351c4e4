"""Several data sets in turn as one training, cut into parts of equal length."""

import hashlib
import json

import keras
import numpy as np

from keras_bert_suite.errors import check_positive_int
from keras_bert_suite.text.ragged import row_offsets
from keras_bert_suite.training.pretraining_dataset import Batches

__all__ = ["StagedDataset"]


class StagedDataset(keras.utils.PyDataset):
    """Batches of several data sets in turn: short rows for most of the steps, say, and long ones for the last.

    A stage that has more steps than its data set has batches goes over it again
    and again. Epochs are parts of equal length of the whole, as they suit who
    wants reports: they need not end where the data does.

    Args:
        stages: list of `(dataset, steps)`: `PretrainingDataset` and int.
        num_epochs: int. Parts of the whole. Steps are added to the last stage
            where it cannot be parted so.
    Raises:
        ValueError: if a stage has shorter rows than the one before.
    Example:
    >>> import keras_bert_suite as kbs
    >>> from keras_bert_suite.tasks.text_corpus import TextCorpus
    >>> from keras_bert_suite.training.pretraining_dataset import PretrainingDataset
    >>> tokenizer = kbs.WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad"])
    >>> short, long = (TextCorpus(["good bad " * 9], tokenizer, length) for length in (8, 16))
    >>> stages = [PretrainingDataset(short, tokenizer, batch_size=2), PretrainingDataset(long, tokenizer, batch_size=1)]
    >>> dataset = StagedDataset(list(zip(stages, (5, 3))), num_epochs=2)
    >>> [[len(inputs["token_ids"]) for inputs, _, _ in dataset.starting_at(epoch)] for epoch in (0, 1)]
    [[2, 2, 2, 2], [2, 1, 1, 1]]
    """

    def __init__(self, stages, num_epochs=1, **kwargs):
        super().__init__(**kwargs)
        check_positive_int("StagedDataset", num_epochs=num_epochs, **{"steps of a stage": min(n for _, n in stages)})
        self.datasets = [dataset for dataset, _ in stages]
        self.num_epochs = num_epochs
        steps = [steps for _, steps in stages]
        steps[-1] += -sum(steps) % num_epochs
        self.steps = steps
        self.bounds = row_offsets(steps)
        self.epoch = 0
        lengths = [dataset.longest for dataset in self.datasets]
        if lengths != sorted(lengths):
            raise ValueError(f"StagedDataset: stages must be in order of length. Received: lengths {lengths}.")

        # For who lets Keras on TensorFlow read them: see `PretrainingDataset.__getitem__`.
        first, lengths = self.datasets[0].length_of(0, 0), sorted({length for length, _ in self.shapes})
        self._second_length = next((length for length in lengths if length > first), lengths[-1])

    @property
    def shapes(self):
        """set of (int, int). As in `PretrainingDataset`."""
        return set.union(*(dataset.shapes for dataset in self.datasets))

    @property
    def shapes_vary(self):
        """bool. As in `PretrainingDataset`."""
        return len(self.shapes) > 1

    @property
    def num_batches(self):
        return int(self.bounds[-1]) // self.num_epochs

    def __len__(self):
        return self.num_batches

    @property
    def batch_size(self):
        """int. Rows of a batch, of the first stage."""
        return self.datasets[0].batch_size

    @property
    def num_examples(self):
        """int. Rows of an epoch, on average."""
        return self.num_examples_of()

    def num_examples_of(self, epoch=None):
        """Return how many rows one epoch has, as an int."""
        return round(self.mean([dataset.batch_size for dataset in self.datasets], epoch) * self.num_batches)

    @property
    def tokens_per_batch(self):
        """float. On average over all stages."""
        return self.mean([dataset.tokens_per_batch for dataset in self.datasets])

    def tokens_of(self, epoch):
        """Return how many tokens one epoch has, padding left out, as a float."""
        return self.mean([dataset.tokens_per_batch for dataset in self.datasets], epoch) * self.num_batches

    def mean(self, values, epoch=None):
        """Return the mean over the batches of an epoch, or of all of them, of what has one value a stage."""
        bounds = self.bounds
        if epoch is not None:
            first = epoch % self.num_epochs * self.num_batches
            bounds = np.clip(bounds, first, first + self.num_batches)
        return float(np.average(values, weights=np.diff(bounds)))

    def __getitem__(self, index):
        differs = index == 1 and self.shapes_vary and keras.backend.backend() == "tensorflow"
        return self.batch(max(self.epoch, 0), index, self._second_length if differs else None)

    def on_epoch_end(self):
        self.epoch += 1

    def starting_at(self, epoch, step=0):
        """As `PretrainingDataset.starting_at`."""
        return Batches(self, [(epoch, index) for index in range(step, self.num_batches)])

    def batch(self, epoch, index, at_least=None):
        """As `PretrainingDataset.batch`."""
        if not 0 <= index < self.num_batches:
            raise IndexError(f"there are {self.num_batches} batches. Received: index={index}.")
        step = (epoch * self.num_batches + index) % int(self.bounds[-1])
        stage = int(np.searchsorted(self.bounds, step, side="right")) - 1
        dataset = self.datasets[stage]
        turn, number = divmod(step - int(self.bounds[stage]), dataset.num_batches)
        return dataset.batch(turn, number, at_least)

    def fingerprint(self):
        """As in `PretrainingDataset`."""
        values = [self.bounds.tolist(), self.num_epochs, *(dataset.fingerprint() for dataset in self.datasets)]
        return hashlib.sha256(json.dumps(values).encode()).hexdigest()

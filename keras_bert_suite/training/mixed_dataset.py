"""Batches of several data sets, each for an output of its own, in one epoch."""

import hashlib

import keras
import numpy as np

__all__ = ["MixedDataset"]


class MixedDataset(keras.utils.PyDataset):
    """Draw each batch from one of several data sets; the outputs of the others weigh nothing in it.

    An epoch has as many batches as all data sets together. With `sampling` 1,
    each is drawn from as often as it has batches; with 0, all equally often.
    What is drawn from more often than it has batches begins anew, in another order.

    Args:
        datasets: dict from an output, or a tuple of outputs, to a `TextDataset`
            with targets for it.
        sampling: float in [0, 1], the power of the number of batches to which
            the chances are in proportion; or a dict of chances. Defaults to 1.
        seed: int. The order depends on this and on the epoch alone.
    """

    def __init__(self, datasets, sampling=1.0, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.datasets = datasets
        self.seed = seed
        self.epoch = 0
        sizes = np.array([len(dataset) for dataset in datasets.values()], "float64")
        chances = np.array([sampling[name] for name in datasets]) if isinstance(sampling, dict) else sizes**sampling
        if not (np.isfinite(chances).all() and (chances > 0).all()):
            raise ValueError(f"MixedDataset: each chance must be above 0. Received: sampling={sampling}.")
        self.chances = chances / chances.sum()
        self._blanks = {}
        for name, dataset in datasets.items():
            targets, weights = _by_output(name, *dataset[0][1:])
            self._blanks.update({one: (weights[one].ndim, targets[one]) for one in targets})
        self._left = self.starting_at(0)

    @property
    def num_examples(self):
        return sum(dataset.num_examples for dataset in self.datasets.values())

    @property
    def num_batches(self):
        return sum(len(dataset) for dataset in self.datasets.values())

    def __len__(self):
        return self.num_batches

    def __getitem__(self, index):
        return self._left[index]

    def on_epoch_end(self):
        self.epoch += 1
        self._left = self.starting_at(self.epoch)

    def starting_at(self, epoch, step=0):
        """Return the batches of one epoch from one on, as `TextDataset.starting_at` does."""
        rng = np.random.default_rng((self.seed, epoch))
        # Exact shares, in random order: chance decides when, not how often.
        shares = np.floor(self.chances * self.num_batches).astype("int64")
        rest = rng.choice(len(shares), self.num_batches - shares.sum(), p=self.chances)
        order = rng.permutation(np.concatenate([np.repeat(np.arange(len(shares)), shares), rest]))
        plan = []
        for number, dataset in enumerate(self.datasets.values()):
            drawn = int((order == number).sum())
            begun = epoch * drawn  # roughly how far it is; what matters is that it moves on
            plan.append([divmod(begun + index, len(dataset)) for index in range(drawn)])
        turns = [0] * len(plan)
        steps = []
        for number in order.tolist():
            steps.append((number, *plan[number][turns[number]]))
            turns[number] += 1
        return _Drawn(self, steps, step)

    def fingerprint(self):
        """As in `TextDataset`."""
        digest = hashlib.sha256(repr((self.seed, self.chances.tolist())).encode())
        for name, dataset in self.datasets.items():
            digest.update(f"{name} {dataset.fingerprint()}".encode())
        return digest.hexdigest()

    def _complete(self, name, batch):
        """Give a batch of one data set the targets, of no weight, of all other outputs."""
        inputs, *rest = batch
        targets, weights = _by_output(name, *rest)
        shape = inputs["token_ids"].shape
        for other, (axes, like) in self._blanks.items():
            if other not in targets:
                targets[other] = np.zeros((*shape[:axes], *like.shape[axes:]), like.dtype)
                weights[other] = np.zeros(shape[:axes], "float32")
        return inputs, {one: targets[one] for one in self._blanks}, {one: weights[one] for one in self._blanks}


def _by_output(name, targets, weights):
    """Return targets and weights as dicts by output, which those of a single output are not."""
    return (targets, weights) if isinstance(targets, dict) else ({name: targets}, {name: weights})


class _Drawn(keras.utils.PyDataset):
    """The batches of an epoch from one on: of each the number of its data set, and the epoch and the batch there."""

    def __init__(self, mixed, steps, first):
        super().__init__(mixed.workers, mixed.use_multiprocessing, mixed.max_queue_size)
        self._mixed = mixed
        self._steps = steps
        self._epochs = {}
        self._part_lengths()
        del steps[:first]

    def __len__(self):
        return len(self._steps)

    def __getitem__(self, index):
        number, epoch, batch = self._steps[index]
        return self._mixed._complete(list(self._mixed.datasets)[number], self._epoch(number, epoch)[batch])

    def _epoch(self, number, epoch):
        if (number, epoch) not in self._epochs:
            self._epochs[number, epoch] = list(self._mixed.datasets.values())[number].starting_at(epoch)
        return self._epochs[number, epoch]

    def _part_lengths(self):
        """Make the first two batches differ in length, if any do: as in `BucketedDataset`, for TensorFlow."""
        lengths = [self._epoch(number, epoch).length_of(batch) for number, epoch, batch in self._steps]
        other = next((index for index, length in enumerate(lengths) if length != lengths[0]), None)
        if other is not None:
            self._steps[1], self._steps[other] = self._steps[other], self._steps[1]

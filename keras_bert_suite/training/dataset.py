"""Encoded texts as batches of like length, for `model.fit` on any backend."""

import dataclasses
import hashlib
import json

import keras
import numpy as np

from keras_bert_suite.data import bucket_lengths, plan_prediction_batches, plan_training_batches
from keras_bert_suite.text.ragged import row_positions
from keras_bert_suite.training.backend import compiles_per_shape, has_accelerator

__all__ = [
    "IGNORED",
    "BucketedDataset",
    "TextDataset",
    "TokenTargets",
    "fixed_shape",
    "model_buckets",
    "tokens_per_batch",
    "without_ignored",
]

#: A target that weighs nothing: of a token that has no label, say.
IGNORED = -100


def model_buckets(max_length):
    """Return the padded lengths that suit the running backend, up to `max_length` tokens."""
    return bucket_lengths(max_length, "coarse" if compiles_per_shape() else "exact")


def tokens_per_batch():
    """Return how many padded tokens keep the running device busy: more wait in memory for nothing."""
    return 32768 if has_accelerator() else 1024


def fixed_shape(encoded, batch):
    """Pad the rows of one planned batch to its full shape.

    Args:
        encoded: `text.Ragged`.
        batch: `data.Batch`. Where it has fewer rows than its size, its first
            row fills the places left.
    Returns:
        dict of int32 `(size, length)`.
    """
    return encoded.pad(batch.filled(), length=batch.length)


@dataclasses.dataclass(frozen=True, eq=False)
class TokenTargets:
    """A target for each token of some encoded texts.

    Args:
        values: int array `(tokens, ...)`, one for each of `encoded.token_ids`;
            `IGNORED` for tokens without.
    """

    values: np.ndarray


class TextDataset(keras.utils.PyDataset):
    """What data sets of encoded texts have in common: an order for each epoch, planned ahead.

    A subclass gives `_plan(epoch)`, a list of planned batches, and
    `_inputs(planned)` and `_placed(planned, targets, weights)`, the arrays of
    one; its constructor ends with `_begin()`.

    Args:
        encoded: `text.Ragged`, from `tokenizer.encode`.
        targets: array `(N, ...)`, or `TokenTargets`; or, for a model with
            several outputs, a dict of such by output. Ints that are `IGNORED`
            weigh nothing.
        batch_size: int. Examples a batch.
        shuffle: bool. Whether each epoch has an order of its own. Defaults to true.
        seed: int. The order depends on this and on the epoch alone. Defaults to 0.
        weights: optional float array `(N,)`: how much each example counts.
    Attributes:
        epoch: int. How often `on_epoch_end` was called, as `fit` also does before its first epoch.
        num_examples: int. Of an epoch.
    """

    def __init__(self, encoded, targets, batch_size, shuffle=True, seed=0, weights=None, **kwargs):
        super().__init__(**kwargs)
        self.encoded = encoded
        self.targets = _as_targets(targets)
        self.weights = None if weights is None else np.asarray(weights, "float32")
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.epoch = 0

    def _begin(self):
        self._planned = self._plan(0)

    @property
    def num_examples(self):
        return len(self.encoded)

    @property
    def num_batches(self):
        return len(self._planned)

    def __len__(self):
        return len(self._planned)

    def __getitem__(self, index):
        return self._batch(self._planned[index])

    def on_epoch_end(self):
        self.epoch += 1
        if self.shuffle:
            self._planned = self._plan(self.epoch)

    def starting_at(self, epoch, step=0):
        """Return the batches of one epoch from one on: what is left to train after an interruption.

        Args:
            epoch: int, from 0.
            step: int. Batches of it that are left out.
        Returns:
            A `keras.utils.PyDataset` that keeps to this epoch. For
            `training.fit_resumable`; a mere `fit` on TensorFlow takes what its
            first two batches have in common for the shape of all.
        """
        return _RestOfEpoch(self, self._plan(epoch)[step:])

    def fingerprint(self):
        """Return the SHA-256 of all that decides what the batches are, as 64 hexadecimal digits."""
        digest = hashlib.sha256(json.dumps(self._settings(), sort_keys=True).encode())
        columns = self.targets if isinstance(self.targets, dict) else {"": self.targets}
        targets = [getattr(columns[name], "values", columns[name]) for name in sorted(columns)]
        weights = [] if self.weights is None else [self.weights]
        encoded = self.encoded
        for array in (encoded.token_ids, encoded.offsets, encoded.second_starts, *targets, *weights):
            digest.update(f"{array.dtype.str} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def _settings(self):
        names = ("batch_size", "shuffle", "seed")
        return {"kind": type(self).__name__, **{name: getattr(self, name) for name in names}}

    def _batch(self, planned):
        """Return `(inputs, targets, weights)` of a planned batch, the latter two by output where there are several."""
        if not isinstance(self.targets, dict):
            return self._inputs(planned), *self._placed(planned, self.targets, self.weights)
        placed = {name: self._placed(planned, column, self.weights) for name, column in self.targets.items()}
        targets, weights = ({name: pair[index] for name, pair in placed.items()} for index in (0, 1))
        return self._inputs(planned), targets, weights


def _as_targets(targets):
    if isinstance(targets, dict):
        return {name: _as_targets(column) for name, column in targets.items()}
    return targets if isinstance(targets, TokenTargets) else np.asarray(targets)


def without_ignored(targets, weights):
    """Return targets that are all valid, and weights that are 0 where they were `IGNORED`."""
    if targets.dtype.kind != "i":
        return targets, weights
    ignored = targets == IGNORED
    if not ignored.any():
        return targets, weights
    rows = ignored.reshape(*weights.shape, -1).all(axis=-1)
    return np.where(ignored, 0, targets).astype(targets.dtype), np.where(rows, 0, weights).astype("float32")


class _RestOfEpoch(keras.utils.PyDataset):
    def __init__(self, dataset, planned):
        super().__init__(dataset.workers, dataset.use_multiprocessing, dataset.max_queue_size)
        self._dataset = dataset
        self._planned = planned

    def __len__(self):
        return len(self._planned)

    def __getitem__(self, index):
        return self._dataset._batch(self._planned[index])

    def length_of(self, index):
        """Return to how many tokens the texts of a batch are padded."""
        return self._planned[index].length


class BucketedDataset(TextDataset):
    """Batches of texts of like length, padded to a few fixed lengths.

    Every row is met once an epoch. All batches have as many rows as the first;
    rows that only fill up the last one weigh nothing, so pass weighted metrics
    and a loss with `reduction="mean_with_sample_weight"`.

    Args:
        encoded, targets, shuffle, seed, weights: as in `TextDataset`.
        batch_size: int. Examples a batch; without `shuffle`, only an upper bound.
        max_length: int. No row is longer, in tokens.
    Example:
    >>> import keras_bert_suite as kbs
    >>> tokenizer = kbs.WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad"])
    >>> dataset = BucketedDataset(tokenizer.encode(["good", "bad bad"]), np.array([1, 0]), 2, max_length=8)
    >>> inputs, targets, weights = dataset[0]
    >>> sorted(inputs), len(inputs["token_ids"]), sorted(targets.tolist())
    (['padding_mask', 'segment_ids', 'token_ids'], 2, [0, 1])
    """

    def __init__(self, encoded, targets, batch_size, max_length, shuffle=True, seed=0, weights=None, **kwargs):
        super().__init__(encoded, targets, batch_size, shuffle, seed, weights, **kwargs)
        self.buckets = model_buckets(max_length)
        self._begin()

    def _settings(self):
        return {**super()._settings(), "buckets": list(self.buckets)}

    @property
    def _lengths(self):
        """int `(N,)`. Tokens of each example."""
        return self.encoded.lengths

    def _plan(self, epoch):
        lengths = self._lengths
        if self.shuffle:
            rng = np.random.default_rng((self.seed, epoch))
            plan = plan_training_batches(lengths, self.batch_size, self.buckets, rng)
        else:
            tokens = min(tokens_per_batch(), self.batch_size * int(self.buckets[-1]))
            plan = plan_prediction_batches(lengths, self.buckets, tokens)
        return self._with_two_lengths(plan)

    def _with_two_lengths(self, plan):
        """Make the first two batches differ in length, unless all batches of all epochs are of one.

        Keras on TensorFlow takes what those two have in common for the shape of all.
        """
        if keras.backend.backend() != "tensorflow" or len(plan) < 2 or len(self.buckets) == 1:
            return plan
        first, longest = plan[0], int(self.buckets[-1])
        if first.length < longest and all(batch.length == first.length for batch in plan):
            longer = next(int(length) for length in self.buckets if length > first.length)
            plan[1] = plan[1]._replace(length=longer)
        elif self.shuffle and all(batch.length == longest for batch in plan):
            plan = self._with_a_short_batch(plan)
        other = next((index for index, batch in enumerate(plan) if batch.length != first.length), 1)
        plan[1], plan[other] = plan[other], plan[1]
        return plan

    def _with_a_short_batch(self, plan):
        """Exchange rows so that the last batch has short ones alone, where there are enough; they may be, by chance."""
        lengths, shorter = self._lengths, np.array(self.buckets[:-1])
        rows = np.concatenate([batch.rows for batch in plan])
        last = len(rows) - len(plan[-1].rows)
        short = np.flatnonzero(lengths[rows] <= shorter[-1])[last - len(rows) :]
        if len(short) < len(rows) - last:
            return plan
        long = np.setdiff1d(np.arange(last, len(rows)), short)
        short = short[short < last]
        rows[long], rows[short] = rows[short], rows[long]
        *others, small = np.split(rows, np.cumsum([len(batch.rows) for batch in plan])[:-1])
        plan = [batch._replace(rows=rows) for batch, rows in zip(plan, others, strict=False)]
        length = int(shorter[np.searchsorted(shorter, lengths[small].max())])
        return [*plan, plan[-1]._replace(rows=small, length=length)]

    def _inputs(self, planned):
        """Return dict of int32 `(B, T)`."""
        return fixed_shape(self.encoded, planned)

    def _placed(self, planned, targets, weights):
        """Return targets `(B, ...)` and float32 weights `(B,)`; of tokens `(B, T, ...)` and `(B, T)`."""
        rows = planned.filled()
        counts = np.ones(len(rows), "float32") if weights is None else weights[rows]
        counts = np.where(np.arange(planned.size) < len(planned.rows), counts, 0).astype("float32")
        if not isinstance(targets, TokenTargets):
            return without_ignored(targets[rows], counts)
        lengths = self.encoded.lengths[rows]
        values = targets.values
        placed = np.full((planned.size, planned.length, *values.shape[1:]), IGNORED, values.dtype)
        places = np.arange(planned.length) < lengths[:, None]
        placed[places] = values[row_positions(self.encoded.offsets[rows], lengths)]
        return without_ignored(placed, np.where(places, counts[:, None], 0).astype("float32"))

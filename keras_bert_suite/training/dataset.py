"""Encoded texts as batches of like length, for `model.fit` on any backend."""

import keras
import numpy as np

from keras_bert_suite.data import bucket_lengths, plan_prediction_batches, plan_training_batches
from keras_bert_suite.training.backend import compiles_per_shape, has_accelerator

__all__ = ["BucketedDataset", "fixed_shape", "model_buckets", "tokens_per_batch"]


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
    filler = np.full(batch.size - len(batch.rows), batch.rows[0])
    return encoded.pad(np.concatenate([batch.rows, filler]).astype("int64"), length=batch.length)


class BucketedDataset(keras.utils.PyDataset):
    """Batches of texts of like length, padded to a few fixed lengths.

    Every row is met once an epoch. All batches have as many rows as the first;
    rows that only fill up the last one weigh nothing, so pass weighted metrics
    and a loss with `reduction="mean_with_sample_weight"`.

    Args:
        encoded: `text.Ragged`, from `tokenizer.encode`.
        targets: int array `(N,)`.
        batch_size: int. Rows a batch; without `shuffle`, only an upper bound.
        max_length: int. No row is longer, in tokens.
        shuffle: bool. Whether each epoch has an order of its own. Defaults to true.
        seed: int. The order depends on this and on the epoch alone. Defaults to 0.
    Example:
    >>> import keras_bert_suite as kbs
    >>> tokenizer = kbs.WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad"])
    >>> dataset = BucketedDataset(tokenizer.encode(["good", "bad bad"]), np.array([1, 0]), 2, max_length=8)
    >>> inputs, targets, weights = dataset[0]
    >>> sorted(inputs), len(inputs["token_ids"]), sorted(targets.tolist())
    (['padding_mask', 'segment_ids', 'token_ids'], 2, [0, 1])
    """

    def __init__(self, encoded, targets, batch_size, max_length, shuffle=True, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.encoded = encoded
        self.targets = np.asarray(targets)
        self.batch_size = batch_size
        self.buckets = model_buckets(max_length)
        self.shuffle = shuffle
        self.seed = seed
        self.epoch = 0
        self._plan = self._plan_epoch()

    def _plan_epoch(self):
        if self.shuffle:
            rng = np.random.default_rng((self.seed, self.epoch))
            plan = plan_training_batches(self.encoded.lengths, self.batch_size, self.buckets, rng)
        else:
            tokens = min(tokens_per_batch(), self.batch_size * int(self.buckets[-1]))
            plan = plan_prediction_batches(self.encoded.lengths, self.buckets, tokens)
        return self._with_two_lengths(plan)

    def _with_two_lengths(self, plan):
        """Make the first two batches differ in length.

        On TensorFlow, Keras takes what those two have in common for the shape of all.
        """
        if len(plan) < 2 or len(self.buckets) == 1:
            return plan
        first, longest = plan[0], self.buckets[-1]
        other = next((index for index, batch in enumerate(plan) if batch.length != first.length), None)
        if other is not None:
            plan[1], plan[other] = plan[other], plan[1]
        elif first.length < longest:
            plan[1] = plan[1]._replace(length=int(longest))
        else:
            self.buckets = (longest,)  # Every batch is of this length, so later epochs keep to it.
        return plan

    @property
    def num_batches(self):
        return len(self._plan)

    def __len__(self):
        return len(self._plan)

    def __getitem__(self, index):
        """Return `(inputs, targets, weights)`: dict of int32 `(B, T)`, `(B,)` and float32 `(B,)`."""
        batch = self._plan[index]
        filler = batch.size - len(batch.rows)
        targets = np.pad(self.targets[batch.rows], (0, filler), mode="edge")
        weights = np.pad(np.ones(len(batch.rows), "float32"), (0, filler))
        return fixed_shape(self.encoded, batch), targets, weights

    def on_epoch_end(self):
        self.epoch += 1
        if self.shuffle:
            self._plan = self._plan_epoch()

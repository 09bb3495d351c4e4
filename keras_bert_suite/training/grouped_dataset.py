"""Examples of several texts each: the choices of a question, or texts to be compared."""

import numpy as np

from keras_bert_suite.training.dataset import BucketedDataset

__all__ = ["GroupedDataset"]


class GroupedDataset(BucketedDataset):
    """Batches of groups of like length, each group a row of texts `(C, T)`.

    Args:
        encoded: `text.Ragged` of `N * group_size` texts, those of an example one after the other.
        targets: array `(N, ...)`.
        batch_size: int. Examples, not texts, a batch.
        max_length: int. No text is longer, in tokens.
        group_size: int. Texts of an example, C.
        shuffle, seed, weights: as in `TextDataset`.
    Example:
    >>> import keras_bert_suite as kbs
    >>> tokenizer = kbs.WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad"])
    >>> encoded = tokenizer.encode(["good", "bad", "good good", "bad bad"])
    >>> dataset = GroupedDataset(encoded, np.array([0, 1]), 2, max_length=8, group_size=2, shuffle=False)
    >>> dataset[0][0]["token_ids"].shape[:2]
    (2, 2)
    """

    def __init__(self, encoded, targets, batch_size, max_length, group_size, **kwargs):
        self.group_size = group_size
        super().__init__(encoded, targets, batch_size, max_length, **kwargs)

    def _settings(self):
        return {**super()._settings(), "group_size": self.group_size}

    @property
    def num_examples(self):
        return len(self.encoded) // self.group_size

    @property
    def _lengths(self):
        return self.encoded.lengths.reshape(-1, self.group_size).max(axis=1)

    def _inputs(self, planned):
        """Return dict of int32 `(B, C, T)`."""
        rows = (planned.filled()[:, None] * self.group_size + np.arange(self.group_size)).reshape(-1)
        shape = (planned.size, self.group_size, planned.length)
        arrays = self.encoded.pad(rows, length=planned.length)
        return {name: array.reshape(shape) for name, array in arrays.items()}

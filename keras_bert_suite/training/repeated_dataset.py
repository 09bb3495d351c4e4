"""Each example several times in a row, for losses that compare passes under different dropout."""

import keras
import numpy as np

__all__ = ["RepeatedDataset"]


class RepeatedDataset(keras.utils.PyDataset):
    """The batches of a data set with every row `copies` times in a row, as `RDropLoss` reads them.

    Args:
        dataset: `TextDataset`.
        copies: int. Defaults to 2.
    Example:
    >>> import keras_bert_suite as kbs
    >>> from keras_bert_suite.training import BucketedDataset
    >>> tokenizer = kbs.WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad"])
    >>> dataset = BucketedDataset(tokenizer.encode(["good", "bad"]), np.array([1, 0]), 2, max_length=8, shuffle=False)
    >>> RepeatedDataset(dataset)[0][1].tolist()
    [1, 1, 0, 0]
    """

    def __init__(self, dataset, copies=2):
        super().__init__(dataset.workers, dataset.use_multiprocessing, dataset.max_queue_size)
        self.dataset = dataset
        self.copies = copies

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        return keras.tree.map_structure(lambda array: np.repeat(array, self.copies, axis=0), self.dataset[index])

    def on_epoch_end(self):
        self.dataset.on_epoch_end()

    def starting_at(self, epoch, step=0):
        """As in `TextDataset`."""
        return RepeatedDataset(self.dataset.starting_at(epoch, step), self.copies)

    def fingerprint(self):
        """As in `TextDataset`."""
        return f"{self.copies} x {self.dataset.fingerprint()}"

"""Encoded texts as rows of several each, for models made by `build_packed`."""

import numpy as np

from keras_bert_suite.data import packed_places, packed_row_length, plan_packed_batches
from keras_bert_suite.text.ragged import row_positions
from keras_bert_suite.training.backend import compiles_per_shape
from keras_bert_suite.training.dataset import TextDataset, TokenTargets, without_ignored

__all__ = ["PackedDataset"]


class PackedDataset(TextDataset):
    """Batches of texts of any length, several of them in a row, with hardly any padding.

    Every text is met once an epoch. Places without a text weigh nothing, so
    pass weighted metrics and a loss with `reduction="mean_with_sample_weight"`:
    both are then by example, as they are without packing. In the mean of the
    losses of an epoch Keras weighs a batch by its rows; `MeanLoss` does not.

    Args:
        encoded, targets, shuffle, seed, weights: as in `TextDataset`.
        batch_size: int. Examples, not rows, a batch.
        max_length: int. No text is longer, in tokens.
        row_length: optional int. Tokens of a row. Defaults to `data.packed_row_length`.
    Raises:
        ValueError: if a text is longer than `max_length`.
    Example:
    >>> import keras_bert_suite as kbs
    >>> tokenizer = kbs.WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad"])
    >>> encoded = tokenizer.encode(["good", "bad bad"])
    >>> dataset = PackedDataset(encoded, np.array([1, 0]), 2, max_length=8, shuffle=False, row_length=8)
    >>> inputs, targets, weights = dataset[0]
    >>> inputs["sequence_ids"].tolist(), inputs["first_positions"].tolist()
    ([[1, 1, 1, 1, 2, 2, 2, 0]], [[0, 4]])
    >>> targets.tolist(), weights.tolist()
    ([[0, 1]], [[1.0, 1.0]])
    """

    def __init__(
        self, encoded, targets, batch_size, max_length, shuffle=True, seed=0, weights=None, row_length=None, **kwargs
    ):
        super().__init__(encoded, targets, batch_size, shuffle, seed, weights, **kwargs)
        longest = int(encoded.lengths.max(initial=0))
        if longest > max_length:
            raise ValueError(
                f"PackedDataset: no text may be longer than max_length. Received: a text of {longest} tokens, "
                f"max_length={max_length}. Encode with max_length."
            )
        self.row_length = packed_row_length(encoded.lengths) if row_length is None else row_length
        self.places = packed_places(encoded.lengths, self.row_length)
        self._begin()

    def _settings(self):
        return {**super()._settings(), "row_length": self.row_length, "places": self.places}

    def _plan(self, epoch):
        return plan_packed_batches(
            self.encoded.lengths,
            self.batch_size,
            self.row_length,
            np.random.default_rng((self.seed, epoch)),
            shuffle=self.shuffle,
            places=self.places,
            granularity="coarse" if compiles_per_shape() else "exact",
        )

    def _inputs(self, planned):
        """Return dict of int32 arrays, as `build_packed` says."""
        examples = self.encoded.take(planned.examples)
        lengths = examples.lengths
        tokens = self._tokens(planned)
        position_ids = row_positions(np.zeros_like(lengths), lengths)  # of each token in its own text
        values = {
            "token_ids": examples.token_ids,
            "segment_ids": position_ids >= np.repeat(examples.second_starts, lengths),
            "sequence_ids": np.repeat(planned.places + 1, lengths),
            "position_ids": position_ids,
        }
        inputs = {}
        for name, array in values.items():
            inputs[name] = np.full((planned.size, planned.length), self._filler(name), "int32")
            inputs[name].reshape(-1)[tokens] = array
        if not self._of_tokens:
            inputs["first_positions"] = np.zeros((planned.size, self.places), "int32")
            inputs["first_positions"][planned.rows, planned.places] = planned.starts
        return inputs

    def _placed(self, planned, targets, weights):
        """Return targets `(B, P, ...)` and float32 weights `(B, P)`; of tokens `(B, T, ...)` and `(B, T)`."""
        counts = np.ones(len(planned.examples), "float32") if weights is None else weights[planned.examples]
        if not isinstance(targets, TokenTargets):
            places = (planned.rows, planned.places)
            return self._scattered(targets[planned.examples], counts, places, (planned.size, self.places))
        lengths = self.encoded.lengths[planned.examples]
        values = targets.values[row_positions(self.encoded.offsets[planned.examples], lengths)]
        places = np.unravel_index(self._tokens(planned), (planned.size, planned.length))
        return self._scattered(values, np.repeat(counts, lengths), places, (planned.size, planned.length))

    def _tokens(self, planned):
        """Return where each token of a planned batch goes in the batch laid out flat."""
        lengths = self.encoded.lengths[planned.examples]
        return row_positions(planned.rows * planned.length + planned.starts, lengths)

    @staticmethod
    def _scattered(values, counts, places, shape):
        targets = np.zeros((*shape, *values.shape[1:]), values.dtype)
        weights = np.zeros(shape, "float32")
        targets[places], weights[places] = without_ignored(values, counts)
        return targets, weights

    @property
    def _of_tokens(self):
        """Whether the model is one over tokens, which has no use for places."""
        return isinstance(self.targets, TokenTargets)

    def _filler(self, name):
        return self.encoded.pad_token_id if name == "token_ids" else 0

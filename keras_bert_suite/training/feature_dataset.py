"""Vectors of texts, computed once, as batches of like length."""

import hashlib

import numpy as np

from keras_bert_suite.text.ragged import row_positions
from keras_bert_suite.training.dataset import BucketedDataset

__all__ = ["FeatureDataset"]


class FeatureDataset(BucketedDataset):
    """Batches of `{"features": float32 (B, T, K, D), "padding_mask": bool (B, T)}` of texts of like length.

    Args:
        features: float array `(tokens, K, D)`, e.g. a memory map, one row for each of `encoded.token_ids`.
        encoded, targets, batch_size, max_length, shuffle, seed, weights: as in `BucketedDataset`.
    """

    def __init__(self, features, encoded, targets, batch_size, max_length, **kwargs):
        self.features = features
        super().__init__(encoded, targets, batch_size, max_length, **kwargs)

    def _settings(self):
        # The vectors are a function of the texts and the encoder: some tell whether it is the same one.
        sample = np.ascontiguousarray(self.features[:: max(1, len(self.features) // 64)])
        return {**super()._settings(), "features": hashlib.sha256(sample.tobytes()).hexdigest()}

    def _inputs(self, planned):
        rows = planned.filled()
        lengths = self.encoded.lengths[rows]
        mask = np.arange(planned.length) < lengths[:, None]
        values = np.zeros((*mask.shape, *self.features.shape[1:]), "float32")
        values[mask] = self.features[row_positions(self.encoded.offsets[rows], lengths)]
        return {"features": values, "padding_mask": mask}

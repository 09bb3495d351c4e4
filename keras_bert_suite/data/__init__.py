"""Files to examples to batches. NumPy only: no Keras, no backend."""

from keras_bert_suite.data.batching import (
    Batch,
    bucket_lengths,
    padding_share,
    plan_prediction_batches,
    plan_training_batches,
)
from keras_bert_suite.data.labels import LabelMap
from keras_bert_suite.data.readers import Example, read_examples, read_texts

__all__ = [
    "Batch",
    "Example",
    "LabelMap",
    "bucket_lengths",
    "padding_share",
    "plan_prediction_batches",
    "plan_training_batches",
    "read_examples",
    "read_texts",
]

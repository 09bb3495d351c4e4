"""Pieces of a training run, each of use in a plain Keras script too."""

from keras_bert_suite.training.dataset import BucketedDataset
from keras_bert_suite.training.logs import CSVLog, TensorBoardLog, read_csv_log
from keras_bert_suite.training.optimizers import build_optimizer
from keras_bert_suite.training.progress import ProgressBar
from keras_bert_suite.training.schedules import LinearWarmupDecay

__all__ = [
    "BucketedDataset",
    "CSVLog",
    "LinearWarmupDecay",
    "ProgressBar",
    "TensorBoardLog",
    "build_optimizer",
    "read_csv_log",
]

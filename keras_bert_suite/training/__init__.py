"""Pieces of a training run, each of use in a plain Keras script too."""

from keras_bert_suite.training.dataset import BucketedDataset
from keras_bert_suite.training.optimizers import build_optimizer
from keras_bert_suite.training.schedules import LinearWarmupDecay

__all__ = ["BucketedDataset", "LinearWarmupDecay", "build_optimizer"]

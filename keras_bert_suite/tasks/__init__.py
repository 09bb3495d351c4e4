"""What most users hold: a model with its tokenizer, labels and metrics."""

from keras_bert_suite.tasks.text_classifier import TextClassifier

__all__ = ["TextClassifier"]

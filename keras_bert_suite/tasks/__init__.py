"""What most users hold: a model with its tokenizer, labels and metrics."""

from keras_bert_suite.tasks.masked_lm import MaskedLM
from keras_bert_suite.tasks.text_classifier import TextClassifier
from keras_bert_suite.tasks.text_embedder import TextEmbedder

__all__ = ["MaskedLM", "TextClassifier", "TextEmbedder"]

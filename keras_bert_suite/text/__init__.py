"""Strings to ids: tokenizers on the host and their twin inside a TensorFlow graph."""

from keras_bert_suite.text.load import load_tokenizer
from keras_bert_suite.text.ragged import Ragged
from keras_bert_suite.text.word_piece import WordPieceTokenizer

__all__ = ["Ragged", "WordPieceTokenizer", "load_tokenizer"]

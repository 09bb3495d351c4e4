"""Strings to ids: tokenizers on the host and their twin inside a TensorFlow graph."""

from keras_bert_suite.text.byte_pair import BytePairTokenizer
from keras_bert_suite.text.keras_hub import write_keras_hub_tokenizer
from keras_bert_suite.text.load import load_tokenizer
from keras_bert_suite.text.ragged import Ragged
from keras_bert_suite.text.tokenizer import Tokenizer
from keras_bert_suite.text.train_word_piece import train_word_piece
from keras_bert_suite.text.unigram import UnigramTokenizer
from keras_bert_suite.text.windows import Windows, encode_windows
from keras_bert_suite.text.word_piece import WordPieceTokenizer

__all__ = [
    "BytePairTokenizer",
    "Ragged",
    "Tokenizer",
    "UnigramTokenizer",
    "Windows",
    "WordPieceTokenizer",
    "encode_windows",
    "load_tokenizer",
    "train_word_piece",
    "write_keras_hub_tokenizer",
]

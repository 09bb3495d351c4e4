"""Keras layers of the encoder: tensors in, tensors out, one layer a file."""

from keras_bert_suite.layers.embeddings import Embeddings
from keras_bert_suite.layers.encoder_block import EncoderBlock
from keras_bert_suite.layers.feed_forward import FeedForward
from keras_bert_suite.layers.pooler import Pooler
from keras_bert_suite.layers.self_attention import SelfAttention

__all__ = ["Embeddings", "EncoderBlock", "FeedForward", "Pooler", "SelfAttention"]

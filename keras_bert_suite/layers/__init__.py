"""Keras layers of encoders and heads: tensors in, tensors out, one idea a file."""

from keras_bert_suite.layers.crf import CRF, Viterbi
from keras_bert_suite.layers.dropout import Dropout
from keras_bert_suite.layers.embeddings import Embeddings
from keras_bert_suite.layers.encoder_block import EncoderBlock
from keras_bert_suite.layers.encoder_record import EncoderRecord
from keras_bert_suite.layers.feed_forward import FeedForward
from keras_bert_suite.layers.fold import Fold, Unfold
from keras_bert_suite.layers.layer_mix import LayerMix
from keras_bert_suite.layers.packed_mask import PackedMask
from keras_bert_suite.layers.packed_mean import PackedMean
from keras_bert_suite.layers.pooler import Pooler
from keras_bert_suite.layers.pooling import Pooling
from keras_bert_suite.layers.pre_norm_block import PreNormBlock
from keras_bert_suite.layers.self_attention import SelfAttention
from keras_bert_suite.layers.take_positions import TakePositions
from keras_bert_suite.layers.transform import Transform
from keras_bert_suite.layers.verbalizer import TokenPositions, Verbalizer
from keras_bert_suite.layers.vocabulary_logits import VocabularyLogits

__all__ = [
    "CRF",
    "Dropout",
    "Embeddings",
    "EncoderBlock",
    "EncoderRecord",
    "FeedForward",
    "Fold",
    "LayerMix",
    "PackedMask",
    "PackedMean",
    "Pooler",
    "Pooling",
    "PreNormBlock",
    "SelfAttention",
    "TakePositions",
    "TokenPositions",
    "Transform",
    "Unfold",
    "Verbalizer",
    "Viterbi",
    "VocabularyLogits",
]

"""From raw text to rows of token ids for pretraining."""

from keras_bert_suite.data.corpus.build import build_corpus
from keras_bert_suite.data.corpus.cooccurrence import cooccurrence_vectors
from keras_bert_suite.data.corpus.from_tfrecords import convert_tfrecords
from keras_bert_suite.data.corpus.manifest import Corpus
from keras_bert_suite.data.corpus.settings import CorpusSettings
from keras_bert_suite.data.corpus.shard import Shard

__all__ = ["Corpus", "CorpusSettings", "Shard", "build_corpus", "convert_tfrecords", "cooccurrence_vectors"]

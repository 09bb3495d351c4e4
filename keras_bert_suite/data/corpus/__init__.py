"""From raw text to rows of token ids for pretraining."""

from keras_bert_suite.data.corpus.shards import Corpus, Shard

__all__ = ["Corpus", "Shard"]

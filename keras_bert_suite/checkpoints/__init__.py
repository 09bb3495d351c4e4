"""Foreign formats, one file each, over one shared table of names, in both directions."""

from keras_bert_suite.checkpoints.encoder import load_encoder, save_encoder
from keras_bert_suite.checkpoints.hugging_face import Checkpoint
from keras_bert_suite.source import resolve_source

__all__ = ["Checkpoint", "load_encoder", "resolve_source", "save_encoder"]

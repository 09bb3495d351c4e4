"""Functional graphs: the encoder, then one builder per task head."""

from keras_bert_suite.models.encoder import INPUT_NAMES, build_encoder, encoder_config, find_encoder
from keras_bert_suite.models.text_classifier import build_text_classifier

__all__ = ["INPUT_NAMES", "build_encoder", "build_text_classifier", "encoder_config", "find_encoder"]

"""Functional graphs: the encoder, then one builder per task head."""

from keras_bert_suite.models.electra import build_electra, build_generator, generator_config
from keras_bert_suite.models.encoder import INPUT_NAMES, build_encoder, encoder_config, find_encoder
from keras_bert_suite.models.hidden_states import build_hidden_states
from keras_bert_suite.models.joint import build_joint
from keras_bert_suite.models.masked_lm import at_masked_positions, build_masked_lm
from keras_bert_suite.models.multiple_choice import build_multiple_choice
from keras_bert_suite.models.packed import build_packed, can_pack
from keras_bert_suite.models.pretraining import build_packed_pretraining, build_pretraining, pretraining_flops
from keras_bert_suite.models.prompt_classifier import build_prompt_classifier
from keras_bert_suite.models.question_answering import build_question_answering
from keras_bert_suite.models.replaced_token import build_replaced_token
from keras_bert_suite.models.sentence_pairs import build_next_sentence, build_sentence_order
from keras_bert_suite.models.text_classifier import build_text_classifier
from keras_bert_suite.models.text_embedder import build_text_embedder
from keras_bert_suite.models.text_groups import build_text_groups
from keras_bert_suite.models.token_classifier import build_token_classifier, build_viterbi

__all__ = [
    "INPUT_NAMES",
    "at_masked_positions",
    "build_electra",
    "build_encoder",
    "build_generator",
    "build_hidden_states",
    "build_joint",
    "build_masked_lm",
    "build_multiple_choice",
    "build_next_sentence",
    "build_packed",
    "build_packed_pretraining",
    "build_pretraining",
    "build_prompt_classifier",
    "build_question_answering",
    "build_replaced_token",
    "build_sentence_order",
    "build_text_classifier",
    "build_text_embedder",
    "build_text_groups",
    "build_token_classifier",
    "build_viterbi",
    "can_pack",
    "encoder_config",
    "find_encoder",
    "generator_config",
    "pretraining_flops",
]

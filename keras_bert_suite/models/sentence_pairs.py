"""An encoder with the heads that pretraining puts over pairs of sentences."""

import keras

from keras_bert_suite.models.encoder import encoder_config
from keras_bert_suite.models.features import first_given, head_dropout, output_dense, pooled_output

__all__ = ["build_next_sentence", "build_sentence_order"]


def build_next_sentence(encoder):
    """Build a model that tells whether the second text followed the first.

    Args:
        encoder: `keras.Model` made by `build_encoder` or `load_encoder`.
    Returns:
        A `keras.Model` that maps `{"token_ids", "segment_ids",
        "padding_mask"}`, each int `(B, T)`, to float32 logits `(B, 2)`: 0 is "it
        followed", 1 is "it was picked at random".
    Example:
    >>> import keras_bert_suite as kbs
    >>> config = kbs.EncoderConfig(
    ...     vocabulary_size=31, num_layers=2, hidden_dim=12, num_heads=3, intermediate_dim=20)
    >>> model = kbs.models.build_next_sentence(kbs.models.build_encoder(config))
    >>> model.output.shape
    (None, 2)

    Source: Devlin et al. 2018, section 3.1.
    """
    next_sentence = output_dense(encoder, 2, "next_sentence")

    return keras.Model(encoder.input, next_sentence(pooled_output(encoder)), name="next_sentence")


def build_sentence_order(encoder, dropout_rate=None):
    """Build a model that tells whether two consecutive texts stand in their order.

    Args:
        encoder: `keras.Model` made by `build_encoder` or `load_encoder`.
        dropout_rate: optional float in [0, 1). Defaults to the family's for classifiers.
    Returns:
        A `keras.Model` that maps `{"token_ids", "segment_ids",
        "padding_mask"}`, each int `(B, T)`, to float32 logits `(B, 2)`: 0 is "in
        order", 1 is "swapped".
    Example:
    >>> import keras_bert_suite as kbs
    >>> config = kbs.EncoderConfig(
    ...     vocabulary_size=31, num_layers=2, hidden_dim=12, num_heads=3, intermediate_dim=20)
    >>> model = kbs.models.build_sentence_order(kbs.models.build_encoder(config))
    >>> model.output.shape
    (None, 2)

    Source: Lan et al. 2019, section 3.1.
    """
    config = encoder_config(encoder)
    rate = first_given(dropout_rate, config.heads.dropout_rate, config.dropout_rate)
    dropout = head_dropout(encoder, rate)
    sentence_order = output_dense(encoder, 2, "sentence_order")

    return keras.Model(encoder.input, sentence_order(dropout(pooled_output(encoder))), name="sentence_order")

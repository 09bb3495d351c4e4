"""An encoder with a classification head over every token."""

import keras

from keras_bert_suite.errors import check_positive_int
from keras_bert_suite.models.encoder import encoder_config
from keras_bert_suite.models.features import first_given, output_dense, token_features

__all__ = ["build_token_classifier"]


def build_token_classifier(encoder, num_labels, dropout_rate=None):
    """Build a tagger over `encoder`, for named entities, parts of speech or slots.

    Args:
        encoder: `keras.Model` made by `build_encoder` or `load_encoder`.
        num_labels: int. Tags.
        dropout_rate: optional float in [0, 1). Before the last dense layer.
            Defaults to the family's.
    Returns:
        A `keras.Model` that maps `{"token_ids", "segment_ids",
        "padding_mask"}`, each int `(B, T)`, to float32 logits `(B, T, L)`.
    Example:
    >>> import keras_bert_suite as kbs
    >>> config = kbs.EncoderConfig(
    ...     vocabulary_size=31, num_layers=2, hidden_dim=12, num_heads=3, intermediate_dim=20)
    >>> model = kbs.models.build_token_classifier(kbs.models.build_encoder(config), num_labels=4)
    >>> model.output.shape
    (None, None, 4)

    Source: Devlin et al. 2018, section 5.3.
    """
    check_positive_int("build_token_classifier", num_labels=num_labels)
    config = encoder_config(encoder)
    rate = first_given(dropout_rate, config.heads.token_dropout_rate, config.heads.dropout_rate, config.dropout_rate)
    classifier = output_dense(encoder, num_labels, "classifier")

    logits = classifier(token_features(encoder, rate))

    return keras.Model(encoder.input, logits, name="token_classifier")

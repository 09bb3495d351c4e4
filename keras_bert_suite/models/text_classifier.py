"""An encoder with a classification head over its pooled output."""

import keras

from keras_bert_suite.errors import check_positive_int
from keras_bert_suite.layers.base import truncated_normal
from keras_bert_suite.models.encoder import encoder_config, token_inputs

__all__ = ["build_text_classifier"]


def build_text_classifier(encoder, num_labels, dropout_rate=None):
    """Build a classifier of texts, or of pairs of texts, over `encoder`.

    The encoder is shared, not copied: training the classifier trains it.

    Args:
        encoder: `keras.Model` made by `build_encoder` or `load_encoder`.
        num_labels: int. Classes.
        dropout_rate: optional float in [0, 1). Before the last dense layer.
            Defaults to the encoder's own `dropout_rate`.
    Returns:
        A `keras.Model` that maps `{"token_ids", "segment_ids",
        "padding_mask"}`, each int `(B, T)`, to float32 logits `(B, L)`.
    Example:
    >>> import keras_bert_suite as kbs
    >>> config = kbs.EncoderConfig(
    ...     vocabulary_size=31, num_layers=2, hidden_dim=12, num_heads=3, intermediate_dim=20)
    >>> model = kbs.models.build_text_classifier(kbs.models.build_encoder(config), num_labels=4)
    >>> model.output.shape
    (None, 4)

    Source: Devlin et al. 2018, section 4.1.
    """
    check_positive_int("build_text_classifier", num_labels=num_labels)
    config = encoder_config(encoder)
    rate = config.dropout_rate if dropout_rate is None else dropout_rate
    dropout = keras.layers.Dropout(rate, name="dropout")
    # Losses need the range and precision of float32, whatever the encoder computes in.
    classifier = keras.layers.Dense(
        num_labels, kernel_initializer=truncated_normal(config.initializer_range), dtype="float32", name="classifier"
    )

    inputs = token_inputs()
    pooled_output = encoder(inputs)["pooled_output"]
    logits = classifier(dropout(pooled_output))

    return keras.Model(inputs, logits, name="text_classifier")

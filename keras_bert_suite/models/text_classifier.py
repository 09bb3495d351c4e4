"""An encoder with a classification head over whole texts."""

import keras

from keras_bert_suite.errors import check_positive_int
from keras_bert_suite.models.features import output_dense, text_features

__all__ = ["build_text_classifier"]


def build_text_classifier(encoder, num_labels, dropout_rate=None):
    """Build a classifier of texts, or of pairs of texts, over `encoder`.

    The encoder's layers are shared, not copied: training the classifier trains
    it. What comes before the last layer is what the encoder's family has there.

    Args:
        encoder: `keras.Model` made by `build_encoder` or `load_encoder`.
        num_labels: int. Classes.
        dropout_rate: optional float in [0, 1). Before the last dense layer.
            Defaults to the family's.
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
    classifier = output_dense(encoder, num_labels, "classifier")

    logits = classifier(text_features(encoder, dropout_rate))

    return keras.Model(encoder.input, logits, name="text_classifier")

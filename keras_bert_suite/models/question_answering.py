"""An encoder with a head that scores each token as the begin and the end of an answer."""

import keras

from keras_bert_suite.models.encoder import encoder_config
from keras_bert_suite.models.features import first_given, output_dense, token_features

__all__ = ["build_question_answering"]


def build_question_answering(encoder, dropout_rate=None):
    """Build a model that finds answers in a text: questions first, contexts second.

    Args:
        encoder: `keras.Model` made by `build_encoder` or `load_encoder`.
        dropout_rate: optional float in [0, 1). Before the last dense layer.
            Defaults to the family's, which for most is none.
    Returns:
        A `keras.Model` that maps `{"token_ids", "segment_ids",
        "padding_mask"}`, each int `(B, T)`, to float32 logits `(B, T, 2)`: begin and
        end.
    Example:
    >>> import keras_bert_suite as kbs
    >>> config = kbs.EncoderConfig(
    ...     vocabulary_size=31, num_layers=2, hidden_dim=12, num_heads=3, intermediate_dim=20)
    >>> model = kbs.models.build_question_answering(kbs.models.build_encoder(config))
    >>> model.output.shape
    (None, None, 2)

    Source: Devlin et al. 2018, section 4.2.
    """
    rate = first_given(dropout_rate, encoder_config(encoder).heads.question_dropout_rate)
    answers = output_dense(encoder, 2, "answers")

    logits = answers(token_features(encoder, rate))

    return keras.Model(encoder.input, logits, name="question_answering")

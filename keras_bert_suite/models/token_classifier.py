"""An encoder with a classification head over every token."""

import keras

from keras_bert_suite.errors import check_positive_int
from keras_bert_suite.layers import CRF, Viterbi
from keras_bert_suite.models.encoder import encoder_config
from keras_bert_suite.models.features import first_given, output_dense, token_features

__all__ = ["build_token_classifier", "build_viterbi"]


def build_token_classifier(encoder, num_labels, dropout_rate=None, crf=False):
    """Build a tagger over `encoder`, for named entities, parts of speech or slots.

    Args:
        encoder: `keras.Model` made by `build_encoder` or `load_encoder`.
        num_labels: int. Tags.
        dropout_rate: optional float in [0, 1). Before the last dense layer.
            Defaults to the family's.
        crf: bool. Whether it ends in a conditional random field. Defaults to False.
    Returns:
        A `keras.Model` that maps `{"token_ids", "segment_ids",
        "padding_mask"}`, each int `(B, T)`, to float32 logits `(B, T, L)`; with
        `crf`, to what `layers.CRF` returns, for `training.CRFLoss`.
    Example:
    >>> import keras_bert_suite as kbs
    >>> config = kbs.EncoderConfig(
    ...     vocabulary_size=31, num_layers=2, hidden_dim=12, num_heads=3, intermediate_dim=20)
    >>> model = kbs.models.build_token_classifier(kbs.models.build_encoder(config), num_labels=4)
    >>> model.output.shape
    (None, None, 4)

    Source: Devlin et al. 2018, section 5.3; Lample et al. 2016, section 2.2, for the field.
    """
    check_positive_int("build_token_classifier", num_labels=num_labels)
    config = encoder_config(encoder)
    rate = first_given(dropout_rate, config.heads.token_dropout_rate, config.heads.dropout_rate, config.dropout_rate)
    classifier = output_dense(encoder, num_labels, "classifier")

    outputs = classifier(token_features(encoder, rate))
    if crf:
        outputs = CRF(dtype="float32", name="crf")(outputs)

    return keras.Model(encoder.input, outputs, name="token_classifier")


def build_viterbi(model):
    """Build the model that finds the best tags, of one that ends in a conditional random field.

    The layers are shared, not copied.

    Args:
        model: `keras.Model` as `build_token_classifier(..., crf=True)` returns it.
    Returns:
        A `keras.Model` with one more input, `word_mask`, int `(B, T)`: 1 where a
        token has a tag. It maps them to int32 `(B, T)`, -1 where a token has none.
    Raises:
        ValueError: if `model` ends in something else.
    Example:
    >>> import keras_bert_suite as kbs
    >>> config = kbs.EncoderConfig(
    ...     vocabulary_size=31, num_layers=2, hidden_dim=12, num_heads=3, intermediate_dim=20)
    >>> model = kbs.models.build_token_classifier(kbs.models.build_encoder(config), num_labels=4, crf=True)
    >>> kbs.models.token_classifier.build_viterbi(model).output.shape
    (None, None)
    """
    if not isinstance(model.layers[-1], CRF):
        raise ValueError(
            f"build_viterbi: the model must end in a CRF layer. Received: {model.name!r}, which ends in "
            f"{model.layers[-1].name!r}. Build it with build_token_classifier(..., crf=True)."
        )
    word_mask = keras.Input((None,), dtype="int32", name="word_mask")

    tags = Viterbi(dtype="float32", name="viterbi")(model.output, word_mask=word_mask)

    return keras.Model({**model.input, "word_mask": word_mask}, tags, name="viterbi")

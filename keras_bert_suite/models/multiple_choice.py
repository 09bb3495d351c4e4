"""An encoder with a head that scores several choices against one another."""

import keras

from keras_bert_suite.layers import Fold, Unfold
from keras_bert_suite.models.encoder import encoder_config, token_inputs
from keras_bert_suite.models.features import first_given, head_dropout, output_dense, pooled_output, text_features

__all__ = ["build_multiple_choice"]


def build_multiple_choice(encoder, dropout_rate=None):
    """Build a model that chooses one of several pairs: a question or story with each of its choices.

    Args:
        encoder: `keras.Model` made by `build_encoder` or `load_encoder`.
        dropout_rate: optional float in [0, 1). Before the last dense layer.
            Defaults to the family's.
    Returns:
        A `keras.Model` that maps `{"token_ids", "segment_ids",
        "padding_mask"}`, each int `(B, C, T)`, to float32 logits `(B, C)`.
    Example:
    >>> import keras_bert_suite as kbs
    >>> config = kbs.EncoderConfig(
    ...     vocabulary_size=31, num_layers=2, hidden_dim=12, num_heads=3, intermediate_dim=20)
    >>> model = kbs.models.build_multiple_choice(kbs.models.build_encoder(config))
    >>> model.output.shape
    (None, None)

    Source: Devlin et al. 2018, section 4.4.
    """
    config = encoder_config(encoder)
    rate = first_given(dropout_rate, config.heads.dropout_rate, config.dropout_rate)
    score = output_dense(encoder, 1, "classifier")

    if "pooled_output" in encoder.output:  # RoBERTa's classifier has no use for its pooler; its chooser has
        features = head_dropout(encoder, rate)(pooled_output(encoder))
    else:
        features = text_features(encoder, rate)
    scorer = keras.Model(encoder.input, score(features), name="scorer")

    inputs = token_inputs(None)
    rows = {name: Fold(name=f"fold_{name}")(ids) for name, ids in inputs.items()}
    logits = Unfold(dtype="float32", name="unfold")(scorer(rows), folded=inputs["token_ids"])  # (B, C, 1)

    return keras.Model(inputs, keras.ops.squeeze(logits, -1), name="multiple_choice")

"""An encoder with a head that tells which tokens were put in by a generator."""

import keras

from keras_bert_suite.layers import Transform
from keras_bert_suite.models.encoder import encoder_config
from keras_bert_suite.models.features import head_dtype, output_dense

__all__ = ["build_replaced_token"]


def build_replaced_token(encoder):
    """Build ELECTRA's discriminator over `encoder`.

    Args:
        encoder: `keras.Model` made by `build_encoder` or `load_encoder`.
    Returns:
        A `keras.Model` that maps `{"token_ids", "segment_ids",
        "padding_mask"}`, each int `(B, T)`, to float32 logits `(B, T, 1)`: above 0
        where the token seems replaced.
    Example:
    >>> import keras_bert_suite as kbs
    >>> config = kbs.EncoderConfig(
    ...     vocabulary_size=31, num_layers=2, hidden_dim=12, num_heads=3, intermediate_dim=20)
    >>> model = kbs.models.build_replaced_token(kbs.models.build_encoder(config))
    >>> model.output.shape
    (None, None, 1)

    Source: Clark et al. 2020, section 2.
    """
    config = encoder_config(encoder)
    transform = Transform(
        config.hidden_dim,
        activation=config.activation,
        initializer_range=config.initializer_range,
        dtype=head_dtype(encoder),
        name="replaced_token_transform",
    )
    replaced_token = output_dense(encoder, 1, "replaced_token")

    logits = replaced_token(transform(encoder.output["sequence_output"]))

    return keras.Model(encoder.input, logits, name="replaced_token")

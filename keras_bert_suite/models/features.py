"""What task heads read from an encoder: one vector a text, or one a token."""

import keras

from keras_bert_suite.layers import Dropout, EncoderRecord, Pooling, Transform
from keras_bert_suite.layers.base import truncated_normal
from keras_bert_suite.models.encoder import encoder_config

__all__ = [
    "first_given",
    "head_dropout",
    "head_dtype",
    "head_transform",
    "output_dense",
    "pooled_output",
    "text_features",
    "token_features",
]


def text_features(encoder, dropout_rate=None):
    """Return the symbolic vector `(B, D)` that a classifier of whole texts ends with.

    Args:
        encoder: `keras.Model` made by `build_encoder`.
        dropout_rate: optional float in [0, 1). Defaults to the family's.
    """
    config = encoder_config(encoder)
    heads = config.heads
    rate = first_given(dropout_rate, heads.dropout_rate, config.dropout_rate)
    if heads.pooling == "pooler":
        features = pooled_output(encoder)
    else:
        pooling = Pooling(heads.pooling, name="head_pooling", dtype=head_dtype(encoder))
        features = pooling(encoder.output["sequence_output"], padding_mask=encoder.input["padding_mask"])
        if heads.input_dropout:
            features = head_dropout(encoder, rate, name="head_dropout")(features)
        features = head_transform(encoder)(features)
    return head_dropout(encoder, rate)(features)


def token_features(encoder, dropout_rate):
    """Return the symbolic vectors `(B, T, D)` that a head for single tokens ends with.

    Args:
        encoder: `keras.Model` made by `build_encoder`.
        dropout_rate: float in [0, 1).
    """
    features = encoder.output["sequence_output"]
    if encoder_config(encoder).heads.on_tokens:
        features = head_transform(encoder)(features)
    return head_dropout(encoder, dropout_rate)(features) if dropout_rate else features


def pooled_output(encoder):
    """Return the symbolic output of the encoder's pooler, `(B, D)`.

    Raises:
        ValueError: if the encoder was built without one.
    """
    if "pooled_output" not in encoder.output:
        raise ValueError(
            f"this head reads the pooler's output. Received: a {encoder_config(encoder).family} encoder without a "
            "pooler. Build it with config.replace(pooler=True)."
        )
    return encoder.output["pooled_output"]


def head_transform(encoder, activation=None, name="head"):
    """Return the dense layer that the encoder's family puts before a head's output."""
    config = encoder_config(encoder)
    heads = config.heads
    return Transform(
        config.hidden_dim,
        activation=activation or heads.activation,
        layer_norm_epsilon=config.layer_norm_epsilon if heads.norm else None,
        use_bias=heads.use_bias,
        norm_bias=config.norm_bias,
        initializer_range=config.initializer_range,
        dtype=head_dtype(encoder),
        name=name,
    )


def output_dense(encoder, units, name):
    """Return the last layer of a head: float32 logits, whatever the encoder computes in.

    Losses need the range and precision of float32.
    """
    initializer = truncated_normal(encoder_config(encoder).initializer_range)
    return keras.layers.Dense(units, kernel_initializer=initializer, dtype="float32", name=name)


def head_dropout(encoder, rate, name="dropout"):
    """Return a dropout layer that computes in what the encoder does."""
    return Dropout(rate, dtype=head_dtype(encoder), name=name)


def head_dtype(encoder):
    """Return the dtype policy that the encoder's layers have."""
    return next(layer.dtype_policy for layer in encoder.layers if isinstance(layer, EncoderRecord))


def first_given(*values):
    """Return the first of the values that is not `None`."""
    return next(value for value in values if value is not None)

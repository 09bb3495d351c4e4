"""An encoder with a head that scores the whole vocabulary, at every position or at a few."""

import keras

from keras_bert_suite.layers import Embeddings, TakePositions, Transform, VocabularyLogits
from keras_bert_suite.models.encoder import encoder_config, find_encoder
from keras_bert_suite.models.features import head_dtype, head_transform

__all__ = ["at_masked_positions", "build_masked_lm"]


def build_masked_lm(encoder, tied=True, masked_positions=False):
    """Build a masked language model over `encoder`.

    Args:
        encoder: `keras.Model` made by `build_encoder` or `load_encoder`.
        tied: bool. Whether the output matrix is the token embeddings' own.
            Defaults to True.
        masked_positions: bool. Whether the model takes a fourth input,
            `"masked_positions"`, int `(B, P)`, and scores the vocabulary at
            these positions alone. Defaults to False: at all of them.
    Returns:
        A `keras.Model` that maps `{"token_ids", "segment_ids",
        "padding_mask"}`, each int `(B, T)`, to float32 logits `(B, T, V)`; or,
        with `masked_positions`, to `(B, P, V)`.
    Example:
    >>> import keras_bert_suite as kbs
    >>> config = kbs.EncoderConfig(
    ...     vocabulary_size=31, num_layers=2, hidden_dim=12, num_heads=3, intermediate_dim=20)
    >>> model = kbs.models.build_masked_lm(kbs.models.build_encoder(config))
    >>> model.output.shape
    (None, None, 31)

    Source: Devlin et al. 2018, section 3.1; the heads released with the other families.
    """
    config = encoder_config(encoder)
    if config.heads.on_tokens:
        transform = head_transform(encoder, name="masked_lm_transform")
    else:
        transform = Transform(
            config.embedding_dim or config.hidden_dim,
            activation=config.heads.masked_lm_activation or config.activation,
            layer_norm_epsilon=config.heads.masked_lm_epsilon or config.layer_norm_epsilon,
            initializer_range=config.initializer_range,
            dtype=head_dtype(encoder),
            name="masked_lm_transform",
        )
    vocabulary = VocabularyLogits(
        config.vocabulary_size, config.initializer_range, dtype=head_dtype(encoder), name="masked_lm"
    )
    return _connect(encoder, transform, vocabulary, tied, masked_positions)


def at_masked_positions(model):
    """Build a model over the same layers as a masked language model that scores the vocabulary at a few positions.

    The logits of all positions are most of a masked language model's memory:
    250,000 numbers a token for the multilingual ones.

    Args:
        model: `keras.Model` made by `build_masked_lm`.
    Returns:
        A `keras.Model` as `build_masked_lm(..., masked_positions=True)` returns it.
    """
    transform, vocabulary = (model.get_layer(name) for name in ("masked_lm_transform", "masked_lm"))
    return _connect(find_encoder(model), transform, vocabulary, vocabulary.kernel is None, masked_positions=True)


def _connect(encoder, transform, vocabulary, tied, masked_positions):
    """Connect the layers of the head to an encoder."""
    inputs, features = dict(encoder.input), encoder.output["sequence_output"]
    if masked_positions:
        inputs["masked_positions"] = keras.Input((None,), dtype="int32", name="masked_positions")
        take = TakePositions(dtype=head_dtype(encoder), name="take_masked")
        features = take(features, positions=inputs["masked_positions"])  # (B, P, D)

    features = transform(features)  # (B, T or P, E)
    if tied:
        embeddings = next(layer for layer in encoder.layers if isinstance(layer, Embeddings))
        logits = vocabulary(features, table=embeddings(encoder.input["token_ids"], return_table=True))
    else:
        logits = vocabulary(features)

    return keras.Model(inputs, logits, name="masked_lm")

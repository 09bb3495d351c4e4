"""An encoder that ends in one vector a text."""

import keras

from keras_bert_suite.layers import Pooling, Transform

__all__ = ["build_text_embedder"]


def build_text_embedder(encoder, pooling="mean", projections=(), normalize=True):
    """Build a model of sentence embeddings over `encoder`.

    Everything after the encoder is computed in float32, whatever that computes in.

    Args:
        encoder: `keras.Model` made by `build_encoder` or `load_encoder`.
        pooling: str, as in `layers.Pooling`, or a sequence of such, whose
            vectors are put side by side. Defaults to `"mean"`.
        projections: sequence of dicts with `units`, and `activation` (as in
            `layers.Transform`; absent or `None`: none) and `use_bias` (Defaults
            to True) where wanted: dense layers after the pooling.
        normalize: bool. Whether vectors have length 1. Defaults to True.
    Returns:
        A `keras.Model` that maps `{"token_ids", "segment_ids",
        "padding_mask"}`, each int `(B, T)`, to float32 `(B, D)`.
    Example:
    >>> import keras_bert_suite as kbs
    >>> config = kbs.EncoderConfig(
    ...     vocabulary_size=31, num_layers=2, hidden_dim=12, num_heads=3, intermediate_dim=20)
    >>> model = kbs.models.build_text_embedder(kbs.models.build_encoder(config), pooling=("first", "mean"))
    >>> model.output.shape
    (None, 24)

    Source: Reimers and Gurevych 2019, section 3.
    """
    modes = (pooling,) if isinstance(pooling, str) else tuple(pooling)
    poolings = [Pooling(mode, dtype="float32", name=f"pooling_{index}") for index, mode in enumerate(modes)]
    if not poolings:
        raise ValueError(f"build_text_embedder: pooling must name one mode at least. Received: pooling={pooling!r}.")
    dense = [_projection(index, **values) for index, values in enumerate(projections)]

    hidden_states, mask = encoder.output["sequence_output"], encoder.input["padding_mask"]
    pooled = [layer(hidden_states, padding_mask=mask) for layer in poolings]
    embedding = pooled[0] if len(pooled) == 1 else keras.layers.Concatenate(dtype="float32", name="pooled")(pooled)
    for layer in dense:
        embedding = layer(embedding)
    if normalize:
        embedding = keras.layers.UnitNormalization(dtype="float32", name="normalize")(embedding)

    return keras.Model(encoder.input, embedding, name="text_embedder")


def _projection(index, units, activation=None, use_bias=True):
    options = {"use_bias": use_bias, "dtype": "float32", "name": f"projection_{index}"}
    if activation is None:
        return keras.layers.Dense(units, **options)
    return Transform(units, activation, **options)

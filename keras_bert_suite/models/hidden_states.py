"""What an encoder has after its embeddings and after each block, for models that use it as it is."""

import keras
from keras import ops

from keras_bert_suite.models.encoder import connect_encoder, encoder_config, token_inputs

__all__ = ["build_hidden_states"]


def build_hidden_states(encoder, layers=(-1,)):
    """Build a model over the layers of `encoder` that gives the vectors after some of its blocks.

    Args:
        encoder: `keras.Model` made by `build_encoder` or `load_encoder`.
        layers: sequence of int. 0 is after the embeddings, 1 after the lowest
            block, -1 after the highest. Defaults to that one.
    Returns:
        A `keras.Model` that maps `{"token_ids", "segment_ids",
        "padding_mask"}`, each int `(B, T)`, to float32 `(B, T, K, D)`, in
        the order of `layers`.
    Raises:
        ValueError: if the encoder has no such layer.
    Example:
    >>> import keras_bert_suite as kbs
    >>> config = kbs.EncoderConfig(
    ...     vocabulary_size=31, num_layers=2, hidden_dim=12, num_heads=3, intermediate_dim=20)
    >>> build_hidden_states(kbs.models.build_encoder(config), layers=(0, -1)).output.shape
    (None, None, 2, 12)

    Source: Devlin et al. 2018, section 5.3.
    """
    num_layers = encoder_config(encoder).num_layers
    wrong = [layer for layer in layers if not -num_layers - 1 <= layer <= num_layers]
    if wrong or not len(layers):
        raise ValueError(
            f"build_hidden_states: layers must be from 0, the embeddings, to {num_layers}, or from the end, -1 to "
            f"{-num_layers - 1}. Received: layers={tuple(layers)}."
        )
    inputs, states = token_inputs(), []
    connect_encoder({layer.name: layer for layer in encoder.layers}, **inputs, states=states)
    chosen = [ops.cast(states[layer], "float32") for layer in layers]
    return keras.Model(inputs, ops.stack(chosen, axis=2), name="hidden_states")

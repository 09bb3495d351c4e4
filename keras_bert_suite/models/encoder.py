"""The encoder as a functional graph, and the way back from a graph to its config."""

import keras

from keras_bert_suite.config import EncoderConfig
from keras_bert_suite.layers import Embeddings, EncoderBlock, Pooler

__all__ = ["INPUT_NAMES", "build_encoder", "encoder_config", "find_encoder", "token_inputs"]

#: What every model of this package takes, each int32 `(B, T)`.
INPUT_NAMES = ("token_ids", "segment_ids", "padding_mask")

#: The values of `EncoderConfig` that each kind of layer holds.
EMBEDDINGS_VALUES = Embeddings.config_names
BLOCK_VALUES = EncoderBlock.config_names


def token_inputs():
    """Return the three symbolic inputs of every model by name, each int32 `(B, T)`."""
    return {name: keras.Input((None,), dtype="int32", name=name) for name in INPUT_NAMES}


def build_encoder(config, dtype=None):
    """Build a BERT encoder with new weights.

    Args:
        config: `EncoderConfig`.
        dtype: optional str or `keras.DTypePolicy`, e.g. `"mixed_bfloat16"`.
            Defaults to Keras' global policy.
    Returns:
        A `keras.Model` named `encoder`. It maps `{"token_ids", "segment_ids",
        "padding_mask"}`, each int `(B, T)`, to `{"sequence_output": (B, T, D),
        "pooled_output": (B, D)}`.
    Example:
    >>> import keras_bert_suite as kbs
    >>> config = kbs.EncoderConfig(
    ...     vocabulary_size=31, num_layers=2, hidden_dim=12, num_heads=3, intermediate_dim=20)
    >>> kbs.models.build_encoder(config).output["pooled_output"].shape
    (None, 12)

    Source: Devlin et al. 2018, section 3.
    """
    values = config.to_dict()
    embeddings = Embeddings(**{name: values[name] for name in EMBEDDINGS_VALUES}, dtype=dtype, name="embeddings")
    blocks = [
        EncoderBlock(**{name: values[name] for name in BLOCK_VALUES}, dtype=dtype, name=f"block_{index}")
        for index in range(config.num_layers)
    ]
    pooler = Pooler(config.hidden_dim, config.initializer_range, dtype=dtype, name="pooler")

    inputs = token_inputs()
    hidden_states = embeddings(inputs["token_ids"], inputs["segment_ids"])
    for block in blocks:
        hidden_states = block(hidden_states, padding_mask=inputs["padding_mask"])
    outputs = {"sequence_output": hidden_states, "pooled_output": pooler(hidden_states)}

    return keras.Model(inputs, outputs, name="encoder")


def find_encoder(model):
    """Return the encoder inside `model`, or `model` itself when it is one.

    Raises:
        ValueError: if no encoder of this package is inside.
    """
    if any(isinstance(layer, Embeddings) for layer in model.layers):
        return model
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            return find_encoder(layer)
    raise ValueError(
        f"find_encoder: the model must contain an encoder made by build_encoder. Received: {model.name!r} with layers "
        f"{[layer.name for layer in model.layers]}."
    )


def encoder_config(model):
    """Read the `EncoderConfig` off the layers of an encoder, or of a model built on one.

    The layers are the only record, so that a model loaded from a `.keras` file
    has its config too.

    Example:
    >>> import keras_bert_suite as kbs
    >>> config = kbs.EncoderConfig(vocabulary_size=31, num_layers=1, hidden_dim=12, num_heads=3)
    >>> kbs.models.encoder_config(kbs.models.build_encoder(config)) == config
    True
    """
    layers = find_encoder(model).layers
    embeddings = next(layer for layer in layers if isinstance(layer, Embeddings))
    blocks = [layer for layer in layers if isinstance(layer, EncoderBlock)]
    return EncoderConfig(
        num_layers=len(blocks),
        **{
            **{name: getattr(blocks[0], name) for name in BLOCK_VALUES},
            **{name: getattr(embeddings, name) for name in EMBEDDINGS_VALUES},
        },
    )

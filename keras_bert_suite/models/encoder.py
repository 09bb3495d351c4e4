"""The encoder as a functional graph, and the way back from a graph to its config."""

import keras

from keras_bert_suite.config import EncoderConfig
from keras_bert_suite.layers import Embeddings, EncoderBlock, EncoderRecord, Pooler, PreNormBlock

__all__ = [
    "INPUT_NAMES",
    "build_encoder",
    "connect_encoder",
    "encoder_config",
    "find_encoder",
    "find_record",
    "token_inputs",
]

#: What every model of this package takes, each int32 `(B, T)`.
INPUT_NAMES = ("token_ids", "segment_ids", "padding_mask")


def token_inputs(*leading):
    """Return the three symbolic inputs of every model by name, each int32 `(B, *leading, T)`."""
    return {name: keras.Input((*leading, None), dtype="int32", name=name) for name in INPUT_NAMES}


def build_encoder(config, dtype=None):
    """Build an encoder with new weights.

    Args:
        config: `EncoderConfig`.
        dtype: optional str or `keras.DTypePolicy`, e.g. `"mixed_bfloat16"`.
            Defaults to Keras' global policy.
    Returns:
        A `keras.Model` named `encoder`. It maps `{"token_ids", "segment_ids",
        "padding_mask"}`, each int `(B, T)`, to `{"sequence_output": (B, T, D),
        "pooled_output": (B, D)}`, the latter where `config.pooler`. Families
        without segments take `segment_ids` and leave them aside.
    Example:
    >>> import keras_bert_suite as kbs
    >>> config = kbs.EncoderConfig(
    ...     vocabulary_size=31, num_layers=2, hidden_dim=12, num_heads=3, intermediate_dim=20)
    >>> kbs.models.build_encoder(config).output["pooled_output"].shape
    (None, 12)

    Source: Devlin et al. 2018, section 3.
    """
    embeddings = Embeddings(
        config.vocabulary_size,
        config.hidden_dim,
        config.max_length,
        num_segments=config.num_segments,
        embedding_dim=config.embedding_dim,
        positions=config.positions,
        pad_token_id=config.pad_token_id,
        layer_norm_epsilon=config.layer_norm_epsilon,
        norm_bias=config.norm_bias,
        dropout_rate=config.dropout_rate if config.embedding_dropout_rate is None else config.embedding_dropout_rate,
        initializer_range=config.initializer_range,
        dtype=dtype,
        name="embeddings",
    )
    build_block = _pre_norm_block if config.pre_norm else _post_norm_block
    blocks = [build_block(config, index, dtype) for index in range(config.num_groups or config.num_layers)]
    final_norm = keras.layers.Identity(dtype=dtype, name="final_norm")
    if config.pre_norm:
        final_norm = keras.layers.LayerNormalization(
            epsilon=config.layer_norm_epsilon, center=config.norm_bias, dtype=dtype, name="final_norm"
        )
    record = EncoderRecord(config.to_dict(), dtype=dtype, name="encoder_record")
    pooler = Pooler(config.hidden_dim, config.initializer_range, dtype=dtype, name="pooler")

    layers = {layer.name: layer for layer in (embeddings, *blocks, final_norm, record)}
    if config.pooler:
        layers["pooler"] = pooler

    inputs = token_inputs()
    outputs = connect_encoder(layers, inputs["token_ids"], inputs["segment_ids"], inputs["padding_mask"])

    return keras.Model(inputs, outputs, name="encoder")


def connect_encoder(layers, token_ids, segment_ids, padding_mask, position_ids=None, states=None):
    """Connect the layers of an encoder, new ones or those of a model, to symbolic tensors.

    Args:
        layers: dict from name to layer: `embeddings`, `block_0` and on,
            `final_norm`, `encoder_record` and, where there is one, `pooler`.
        token_ids, segment_ids, position_ids: as in `layers.Embeddings`.
        padding_mask: as in `layers.SelfAttention`.
        states: optional list, to which the vectors are added that come after the
            embeddings and after each block, `(B, T, D)`.
    Returns:
        dict of `sequence_output` and, with a pooler, `pooled_output`, as `build_encoder` says.
    """
    record = layers["encoder_record"]
    config = EncoderConfig(**record.values)
    positions = {} if position_ids is None else {"position_ids": position_ids}
    hidden_states = layers["embeddings"](token_ids, segment_ids, **positions)
    num_blocks = config.num_groups or config.num_layers
    states = [] if states is None else states
    for layer in range(config.num_layers):
        states.append(hidden_states)
        block = layers[f"block_{layer * num_blocks // config.num_layers}"]  # a group's layers follow one another
        hidden_states = block(hidden_states, padding_mask=padding_mask)
    outputs = {"sequence_output": record(layers["final_norm"](hidden_states))}
    states.append(outputs["sequence_output"])
    if "pooler" in layers:
        outputs["pooled_output"] = layers["pooler"](outputs["sequence_output"])
    return outputs


def _post_norm_block(config, index, dtype):
    return EncoderBlock(
        config.hidden_dim,
        config.num_heads,
        config.intermediate_dim,
        activation=config.activation,
        layer_norm_epsilon=config.layer_norm_epsilon,
        dropout_rate=config.dropout_rate,
        attention_dropout_rate=config.attention_dropout_rate,
        initializer_range=config.initializer_range,
        dtype=dtype,
        name=f"block_{index}",
    )


def _pre_norm_block(config, index, dtype):
    local = index % config.global_every > 0
    rotary_base = config.local_rotary_base if local else config.rotary_base
    return PreNormBlock(
        config.hidden_dim,
        config.num_heads,
        config.intermediate_dim,
        activation=config.activation,
        normalize_input=index > 0,  # the embeddings are normalised already
        layer_norm_epsilon=config.layer_norm_epsilon,
        norm_bias=config.norm_bias,
        attention_bias=config.attention_bias,
        feed_forward_bias=config.feed_forward_bias,
        rotary_base=rotary_base if config.positions == "rotary" else None,
        local_window=config.local_window if local else None,
        dropout_rate=config.dropout_rate,
        attention_dropout_rate=config.attention_dropout_rate,
        initializer_range=config.initializer_range,
        dtype=dtype,
        name=f"block_{index}",
    )


def find_encoder(model):
    """Return the encoder that `model` was built on, over the same layers; or `model` itself when it is one.

    Raises:
        ValueError: if no encoder of this package is inside.
    """
    graph, record = find_record(model)
    if isinstance(graph.output, dict) and "sequence_output" in graph.output:
        return graph
    if "padding_mask" not in graph.input:  # packed
        inputs, layers = token_inputs(), {layer.name: layer for layer in graph.layers}
        return keras.Model(inputs, connect_encoder(layers, **inputs), name="encoder")
    outputs = {"sequence_output": record.output}
    pooler = next((layer for layer in graph.layers if isinstance(layer, Pooler)), None)
    if pooler is not None:
        outputs["pooled_output"] = pooler.output
    # A head may have inputs of its own.
    return keras.Model({name: graph.input[name] for name in INPUT_NAMES}, outputs, name="encoder")


def encoder_config(model):
    """Return the `EncoderConfig` of an encoder, or of a model built on one.

    The config is kept in a layer, so that a model loaded from a `.keras` file
    has it too.

    Raises:
        ValueError: if no encoder of this package is inside.
    Example:
    >>> import keras_bert_suite as kbs
    >>> config = kbs.EncoderConfig(vocabulary_size=31, num_layers=1, hidden_dim=12, num_heads=3)
    >>> kbs.models.encoder_config(kbs.models.build_encoder(config)) == config
    True
    """
    return EncoderConfig(**find_record(model)[1].values)


def find_record(model):
    """Return the graph that has an `EncoderRecord`, `model` or one nested in it, and that layer."""
    graphs = [model]
    for graph in graphs:
        record = next((layer for layer in graph.layers if isinstance(layer, EncoderRecord)), None)
        if record is not None:
            return graph, record
        graphs.extend(layer for layer in graph.layers if isinstance(layer, keras.Model))
    raise ValueError(
        f"the model must contain an encoder made by build_encoder. Received: {model.name!r} with layers "
        f"{[layer.name for layer in model.layers]}."
    )

"""A model over rows that hold several texts each, with the layers of one that takes a text a row."""

import keras

from keras_bert_suite.layers import Fold, PackedMask, PackedMean, Pooler, Pooling, TakePositions, Unfold
from keras_bert_suite.models.encoder import connect_encoder, find_record

__all__ = ["build_packed", "can_pack", "connect_packed"]


def build_packed(model):
    """Build the model that computes what `model` does, for texts packed several to a row.

    The layers are shared, not copied: training the one trains the other. An
    attention mask keeps the texts of a row apart, and the head is computed once
    for each text. `data.plan_packed_batches` plans such rows.

    Args:
        model: `keras.Model` over an encoder, whose head reads the first token,
            the pooler or the mean of a text, or each token by itself.
    Returns:
        A `keras.Model` that maps a dict of int32 arrays to float32 `(B, P, L)`
        for up to P texts a row. Each `(B, T)`: `token_ids`, `segment_ids`,
        `sequence_ids` (0 = padding, 1 = first text of the row) and
        `position_ids` (of a token in its text, from 0); `(B, P)`:
        `first_positions`, the place in the row of the first token of each text,
        0 where there is no text. A head over tokens has no `first_positions`,
        and its output is `(B, T, L)`.
    Raises:
        ValueError: if `model` has another head, or several, or inputs of its own.
    Example:
    >>> import keras_bert_suite as kbs
    >>> config = kbs.EncoderConfig(
    ...     vocabulary_size=31, num_layers=2, hidden_dim=12, num_heads=3, intermediate_dim=20)
    >>> model = kbs.models.build_text_classifier(kbs.models.build_encoder(config), num_labels=4)
    >>> build_packed(model).output.shape
    (None, None, 4)

    Source: Krell et al. 2021, section 3.2.
    """
    source, head = _head(model)
    layers = {layer.name: layer for layer in model.layers if layer is not source}  # its Pooler comes last

    inputs, sequence_output = connect_packed(layers)
    # Where `head(...)` would nest the head as one layer, `head.call` connects its layers one by one.
    if source is None:
        return keras.Model(inputs, head.call(sequence_output), name=model.name)

    dtype = source.dtype_policy
    positions = inputs["first_positions"] = keras.Input((None,), dtype="int32", name="first_positions")
    if isinstance(source, Pooling) and source.mode == "mean":
        mean = PackedMean(dtype=dtype, name="packed_mean")
        features = mean(sequence_output, sequence_ids=inputs["sequence_ids"], positions=positions)
    else:
        features = TakePositions(dtype=dtype, name="take_first")(sequence_output, positions=positions)
    features = Fold(dtype=dtype, name="fold_places")(features)  # (B * P, D)
    if isinstance(source, Pooler):
        features = keras.layers.Reshape((1, -1), dtype=dtype, name="one_token")(features)
    outputs = Unfold(dtype="float32", name="unfold_places")(head.call(features), folded=positions)

    return keras.Model(inputs, outputs, name=model.name)  # (B, P, L)


def connect_packed(layers):
    """Connect the layers of an encoder for rows that hold several texts, kept apart by an attention mask.

    Args:
        layers: dict from a name to a layer, as `connect_encoder` takes it.
    Returns:
        `(inputs, sequence_output)`: dict of the first four inputs of `build_packed`, and `(B, T, D)`.
    """
    mask = PackedMask(name="packed_mask")
    names = ("token_ids", "segment_ids", "sequence_ids", "position_ids")
    inputs = {name: keras.Input((None,), dtype="int32", name=name) for name in names}
    outputs = connect_encoder(
        layers,
        inputs["token_ids"],
        inputs["segment_ids"],
        padding_mask=mask(inputs["sequence_ids"]),
        position_ids=inputs["position_ids"],
    )
    return inputs, outputs["sequence_output"]


def can_pack(model):
    """Return whether `build_packed` takes `model`."""
    try:
        _head(model)
    except ValueError:
        return False
    return True


def _head(model):
    """Return what makes one vector of a text, and the head as a graph of its own.

    The first is a `Pooler` or `Pooling` layer, or `None` where each token has an
    output. The head begins at the output of a `Pooling`, else at the encoder's.
    """
    graph, record = find_record(model)
    sources = [layer for layer in model.layers if isinstance(layer, (Pooler, Pooling))]
    modes = {layer.mode for layer in sources if isinstance(layer, Pooling)}
    packed = any(isinstance(layer, PackedMask) for layer in model.layers)
    rank = len(model.output.shape) if isinstance(model.output, keras.KerasTensor) and graph is model else 0
    cause = None
    if rank in (2, 3) and len(sources) == 3 - rank and modes <= {"first", "mean"} and not packed:
        try:
            start = sources[0].output if modes else record.output
            return (sources or [None])[0], keras.Model(start, model.output, name="head")
        except ValueError as error:  # it needs other tensors too
            cause = error
    raise ValueError(
        "build_packed: the model must be an encoder with one head, which reads the first token, the pooler or the mean "
        f"of each text, or each token by itself. Received: {model.name!r} with layers "
        f"{[layer.name for layer in model.layers]}. Train it on BucketedDataset."
    ) from cause

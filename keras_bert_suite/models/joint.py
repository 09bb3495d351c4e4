"""Several heads over one encoder, in one model with an output for each."""

import keras

from keras_bert_suite.layers import Pooler
from keras_bert_suite.models.encoder import find_record

__all__ = ["build_joint"]


def build_joint(models):
    """Build one model of several that share their encoder.

    All layers are shared: training the one trains the others.

    Args:
        models: dict from a name to a `keras.Model` that a builder of this
            package made over one and the same encoder.
    Returns:
        A `keras.Model` that maps `{"token_ids", "segment_ids",
        "padding_mask"}`, each int `(B, T)`, to a dict of what each model gives.
    Raises:
        ValueError: if the models are not over one encoder, or a name cannot be an output's.
    Example:
    >>> import keras_bert_suite as kbs
    >>> config = kbs.EncoderConfig(
    ...     vocabulary_size=31, num_layers=2, hidden_dim=12, num_heads=3, intermediate_dim=20)
    >>> encoder = kbs.models.build_encoder(config)
    >>> intent, slots = (kbs.models.build_text_classifier(encoder, 3), kbs.models.build_token_classifier(encoder, 5))
    >>> joint = build_joint({"intent": intent, "slots": slots})
    >>> {name: output.shape for name, output in joint.output.items()}
    {'intent': (None, 3), 'slots': (None, None, 5)}

    Source: Liu et al. 2019 (MT-DNN), section 3.
    """
    records = {name: find_record(model)[1] for name, model in models.items()}
    first = next(iter(records.values()))
    if any(record is not first for record in records.values()):
        raise ValueError(
            f"build_joint: all models must be over one encoder. Received: {', '.join(models)} over several."
        )
    inputs = next(iter(models.values())).input
    outputs = {}
    for name, model in models.items():
        if not name.isidentifier():
            raise ValueError(f"build_joint: a name must be a Python identifier. Received: {name!r}.")
        starts = [first.output, inputs["padding_mask"]]
        starts += [layer.output for layer in model.layers if isinstance(layer, Pooler)]
        # As a model within the model, each head keeps the names of its layers, which may be those of another's.
        head = keras.Model(starts, model.output, name=name)
        outputs[name] = head(starts)
    return keras.Model(inputs, outputs, name="joint")

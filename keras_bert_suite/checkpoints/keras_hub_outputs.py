"""What KerasHub itself computes with a preset: the outside truth for what is written."""

import numpy as np

from keras_bert_suite.errors import check_choice, require

__all__ = ["keras_hub_outputs"]

CLASSES = {None: "Backbone", "text_classifier": "TextClassifier", "masked_lm": "MaskedLM"}


def keras_hub_outputs(directory, inputs, head=None):
    """Open a preset with KerasHub and run it once.

    KerasHub makes objects of what the files name: use it on presets of one's own.

    Args:
        directory: str or path.
        inputs: dict of the arrays that a model of this package takes, each int `(B, T)`.
        head: optional str: `"text_classifier"` or `"masked_lm"`.
    Returns:
        dict of NumPy arrays: `"sequence_output"` `(B, T, D)` and, where there is
        a pooler, `"pooled_output"` `(B, D)`; or `"logits"`, `(B, L)` or `(B, T, V)`.
    Raises:
        ImportError: if KerasHub is not installed.
    """
    check_choice("keras_hub_outputs", "head", head, tuple(CLASSES))
    models = require("keras_hub", "the check of a KerasHub preset").models
    model = getattr(models, CLASSES[head]).from_preset(str(directory))
    rows, length = inputs["token_ids"].shape
    positions = np.broadcast_to(np.arange(length, dtype="int32"), (rows, length))
    given = {**inputs, "mask_positions": positions}  # a masked language model scores the places it is told
    outputs = model({name: np.array(given[name]) for name in model.input}, training=False)
    if not isinstance(outputs, dict):
        outputs = {"sequence_output" if head is None else "logits": outputs}
    import keras

    return {name: keras.ops.convert_to_numpy(output) for name, output in outputs.items()}

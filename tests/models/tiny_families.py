"""Every family at a size that computes in no time, its inputs, and every model that can be built on it."""

import numpy as np

from keras_bert_suite.config import FAMILIES
from keras_bert_suite.models import (
    build_encoder,
    build_masked_lm,
    build_multiple_choice,
    build_next_sentence,
    build_question_answering,
    build_replaced_token,
    build_sentence_order,
    build_text_classifier,
    build_text_embedder,
    build_token_classifier,
)

__all__ = ["FAMILIES", "HEADS", "UNSEEN", "call", "tiny_config", "tiny_family", "tiny_inputs"]

#: A token that `tiny_inputs` never gives.
UNSEEN = 30
PADDING = 3
LENGTHS = (11, 8, 5, 1)

#: Name of a model -> function of an encoder.
HEADS = {
    "masked_lm": build_masked_lm,
    "untied_masked_lm": lambda encoder: build_masked_lm(encoder, tied=False),
    "masked_positions": lambda encoder: build_masked_lm(encoder, masked_positions=True),
    "next_sentence": build_next_sentence,
    "sentence_order": build_sentence_order,
    "replaced_token": build_replaced_token,
    "text_classifier": lambda encoder: build_text_classifier(encoder, 5),
    "token_classifier": lambda encoder: build_token_classifier(encoder, 5),
    "question_answering": build_question_answering,
    "multiple_choice": build_multiple_choice,
    "text_embedder": lambda encoder: build_text_embedder(encoder, projections=[{"units": 7, "activation": "tanh"}]),
}


def tiny_config(family, **changes):
    """A family's config at unequal sizes, with weights large enough that texts differ."""
    config = FAMILIES[family]
    return config.replace(
        vocabulary_size=31,
        hidden_dim=12,
        num_layers=3 if config.pre_norm else 2,  # a first, a local and a global layer
        num_heads=3,
        intermediate_dim=20,
        max_length=17,
        embedding_dim=8 if family in ("albert", "electra") else None,
        pad_token_id=PADDING,
        local_window=4,
        global_every=min(config.global_every, 2),
        initializer_range=0.3,
        **changes,
    )


def tiny_family(family, dtype=None, **changes):
    """An encoder with new weights."""
    return build_encoder(tiny_config(family, **changes), dtype)


def tiny_inputs(*leading, masked_positions=False, seed=0):
    """Four rows of unequal lengths, padding last: int32 `(4, *leading, 11)`."""
    rng = np.random.default_rng(seed)
    shape = (len(LENGTHS), *leading, max(LENGTHS))
    lengths = np.reshape(LENGTHS, (-1, *(1,) * len(leading), 1))
    mask = np.broadcast_to(np.arange(max(LENGTHS)) < lengths, shape).astype("int32")
    inputs = {
        "token_ids": np.where(mask, rng.integers(PADDING + 1, UNSEEN, shape), PADDING).astype("int32"),
        "segment_ids": np.zeros(shape, "int32"),  # some families know no other
        "padding_mask": mask,
    }
    if masked_positions:
        inputs["masked_positions"] = np.array([[10, 0, 4], [7, 7, 1], [0, 1, 2], [0, 0, 0]], "int32")
    return inputs


def call(model, inputs):
    """What a model computes at inference, as float32 arrays."""
    import keras

    return keras.tree.map_structure(
        lambda tensor: keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")), model(inputs, training=False)
    )

"""The Keras model that the modules of a sentence-transformers directory describe, and the modules of such a model."""

import dataclasses

import keras

from keras_bert_suite.checkpoints.arrays.stored import StoredArray
from keras_bert_suite.checkpoints.sentence_transformers import Projection, SentenceModules, read_projection
from keras_bert_suite.layers import Pooling
from keras_bert_suite.models import build_text_embedder, encoder_config
from keras_bert_suite.text import pipeline

__all__ = ["build_modules", "lowercased", "modules_of", "normalizes"]


def build_modules(encoder, modules, pooling=None, normalize=None):
    """Build the model that `modules` describe, or `pooling` and `normalize` otherwise, with its dense layers filled."""
    pooling = modules.pooling if pooling is None else pooling
    weights = [read_projection(projection) for projection in modules.projections]
    projections = [
        {"units": arrays[0].shape[1], "activation": projection.activation, "use_bias": len(arrays) > 1}
        for projection, arrays in zip(modules.projections, weights, strict=True)
    ]
    count = 1 if isinstance(pooling, str) else len(pooling)
    if projections and count != len(modules.pooling):
        raise ValueError(
            f"TextEmbedder: the model's dense layers read {len(modules.pooling)} poolings side by side. "
            f"Received: pooling={pooling!r}. Give as many, or leave pooling out."
        )
    model = build_text_embedder(
        encoder, pooling, projections, modules.normalize if normalize is None else bool(normalize)
    )
    for index, arrays in enumerate(weights):
        _dense(model.get_layer(f"projection_{index}")).set_weights(arrays)
    return model


def modules_of(model, **settings):
    """Return `SentenceModules`: what a model has after its encoder, read off its layers, and further settings."""

    def layers(prefix):
        found = [layer for layer in model.layers if layer.name.startswith(prefix)]
        return sorted(found, key=lambda layer: int(layer.name.removeprefix(prefix)))

    return SentenceModules(
        hidden_dim=encoder_config(model).hidden_dim,
        pooling=tuple(layer.mode for layer in layers("pooling_") if isinstance(layer, Pooling)),
        projections=tuple(map(_stored_projection, layers("projection_"))),
        normalize=normalizes(model),
        **settings,
    )


def normalizes(model):
    """Return whether the vectors of a model of embeddings have length 1."""
    return any(layer.name == "normalize" for layer in model.layers)


def _dense(layer):
    """The dense layer that a projection is, or has."""
    return layer if isinstance(layer, keras.layers.Dense) else layer.dense


def _stored_projection(layer):
    arrays = [keras.ops.convert_to_numpy(weight) for weight in _dense(layer).weights]
    stored = [StoredArray(array.shape, array.dtype, array.copy) for array in arrays]
    return Projection(*stored, activation=None if layer is _dense(layer) else layer.activation)


def lowercased(tokenizer):
    """Return a tokenizer that lower-cases the text, and changes nothing else of it."""
    if tokenizer.lowercase:
        return tokenizer
    content = tokenizer.definition.content
    normalizers = [{"type": "Lowercase"}, *pipeline.parts(content.get("normalizer"))]
    content = {**content, "normalizer": {"type": "Sequence", "normalizers": normalizers}}
    return type(tokenizer).from_definition(dataclasses.replace(tokenizer.definition, content=content))

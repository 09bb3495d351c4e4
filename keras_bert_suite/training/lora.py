"""Low-rank adaptation: train small updates of some kernels in the place of all weights."""

import math

import keras
import numpy as np

from keras_bert_suite.errors import check_positive_int
from keras_bert_suite.models import encoder_config
from keras_bert_suite.training.freezing import encoder_layers, flat_layers, unfreeze

__all__ = ["add_lora", "merge_lora"]

#: Layers of an encoder besides the embeddings and the blocks.
ABOVE_BLOCKS = ("final_norm", "pooler")


def add_lora(model, rank=8, alpha=None, targets=("query", "value"), seed=None):
    """Freeze the encoder, and give dense layers of every block a trainable low-rank update.

    The model's outputs stay as they are: the updates begin at 0. What is not in
    the encoder, the head, goes on learning; the pooler does not. Compile the
    model after it.

    Args:
        model: `keras.Model`: an encoder or any model over one.
        rank: int. Inner dimension of the updates, at most the encoder's
            `hidden_dim`. Defaults to 8.
        alpha: optional float. The updates are multiplied with `alpha / rank`.
            Defaults to `rank`.
        targets: sequence of str out of `"query"`, `"key"`, `"value"`,
            `"intermediate"` and `"output"`, the last being those of attention
            and feed-forward both. Defaults to queries and values.
        seed: optional int. Governs the first factor of each update.
    Returns:
        int. Trainable parameters of the model.
    Raises:
        ValueError: if `rank` is out of its range, a target is not in every
            block, or the model has updates already.
    Example:
    >>> import keras_bert_suite as kbs
    >>> config = kbs.EncoderConfig(
    ...     vocabulary_size=31, num_layers=3, hidden_dim=12, num_heads=3, intermediate_dim=20)
    >>> model = kbs.models.build_text_classifier(kbs.models.build_encoder(config), num_labels=2)
    >>> add_lora(model, rank=4)  # 3 blocks * 2 targets * (12 * 4 + 4 * 12) and the classifier
    602
    >>> merge_lora(model)

    Source: Hu et al. 2021, section 4.
    """
    check_positive_int("add_lora", rank=rank)
    hidden_dim = encoder_config(model).hidden_dim
    if rank > hidden_dim:
        raise ValueError(f"add_lora: rank must be at most {hidden_dim}, the encoder's width. Received: rank={rank}.")
    layers = encoder_layers(model)
    adapted = [layer for block in layers[1:] for layer in _targets(block, targets)]
    if _adapted(layers):
        raise ValueError("add_lora: the model has low-rank updates already. Call merge_lora first.")
    for layer in [*layers, *_above_blocks(model)]:
        layer.trainable = False
    for number, layer in enumerate(adapted):
        layer.trainable = True  # a layer that is not trainable hides its new variables
        for variable in layer.trainable_variables:
            variable.trainable = False
        # As in the authors' loralib: uniform within 1 / sqrt(inputs).
        first = keras.initializers.VarianceScaling(
            1 / 3, "fan_in", "uniform", seed=None if seed is None else seed + number
        )
        layer.enable_lora(rank, lora_alpha=alpha, a_initializer=first)
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


def merge_lora(model):
    """Add the updates to their kernels, and make the model what it was before `add_lora`.

    It predicts the same, but for rounding, has its former variables, and all of
    its encoder is trainable. Compile it again before training on.

    Args:
        model: `keras.Model` that `add_lora` was called on.
    Raises:
        ValueError: if it has no low-rank updates.
    """
    layers = _adapted(encoder_layers(model))
    if not layers:
        raise ValueError("merge_lora: the model must have low-rank updates. Call add_lora first.")
    for layer in layers:
        first, second = (keras.ops.convert_to_numpy(kernel) for kernel in (layer.lora_kernel_a, layer.lora_kernel_b))
        update = layer.lora_alpha / layer.lora_rank * (first @ second)
        layer.lora_kernel_b.assign(np.zeros_like(second))  # for what was compiled with it, and is not of this model
        del layer.lora_kernel_a, layer.lora_kernel_b
        layer.lora_enabled, layer.lora_rank, layer.lora_alpha = False, None, None
        # From here on `kernel` is the variable, not its sum with the update in the compute dtype.
        layer.kernel.assign(keras.ops.convert_to_numpy(layer.kernel) + update)
    unfreeze(model)
    for layer in _above_blocks(model):
        layer.trainable = True
    model.train_function = model.test_function = model.predict_function = None  # They still add the updates.


def _targets(block, names):
    dense = [layer for layer in block._flatten_layers() if isinstance(layer, keras.layers.Dense)]
    known = sorted({layer.name for layer in dense})
    if not names or not set(names) <= set(known):
        raise ValueError(f"add_lora: targets must be some of {known}. Received: targets={tuple(names)}.")
    return [layer for layer in dense if layer.name in names]


def _adapted(layers):
    """The dense layers among these and inside them that have an update."""
    inner = [layer for outer in layers for layer in outer._flatten_layers()]
    return [layer for layer in inner if getattr(layer, "lora_enabled", False)]


def _above_blocks(model):
    return [layer for layer in flat_layers(model) if layer.name in ABOVE_BLOCKS]

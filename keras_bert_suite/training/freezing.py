"""Which parts of the encoder learn: the upper ones, or more with every epoch."""

import re

import keras

from keras_bert_suite.errors import check_positive_int, shortened

__all__ = ["GradualUnfreezing", "encoder_layers", "flat_layers", "freeze", "unfreeze"]


def flat_layers(model):
    """Return the layers of a model and of the models nested in it."""
    layers = list(model.layers)
    for layer in layers:
        if isinstance(layer, keras.Model):
            layers.extend(layer.layers)
    return layers


def encoder_layers(model):
    """Return the embeddings and the blocks of an encoder, or of a model over one, from the lowest up.

    Raises:
        ValueError: if the model has no layers named `embeddings` and `block_0`.
    """
    parts = {}
    for layer in flat_layers(model):
        name = re.fullmatch(r"embeddings|block_(\d+)", layer.name)
        if name:
            parts[int(name[1] or -1)] = layer
    if len(parts) < 2 or sorted(parts) != list(range(-1, len(parts) - 1)):
        raise ValueError(
            "the model must contain an encoder made by build_encoder, with layers named embeddings and block_0. "
            f"Received: {model.name!r} with layers {shortened(layer.name for layer in flat_layers(model))}."
        )
    return [parts[index] for index in sorted(parts)]


def freeze(model, num_blocks, embeddings=True):
    """Let the lowest blocks of the encoder, and its embeddings, keep their weights in training.

    Compile the model after it, not before: an optimizer that has trained a
    variable expects its gradient.

    Args:
        model: `keras.Model`: an encoder or any model over one.
        num_blocks: int. How many of the lowest blocks.
        embeddings: bool. Whether the embeddings too. Defaults to true.
    Raises:
        ValueError: if the encoder has fewer blocks.
    Example:
    >>> import keras_bert_suite as kbs
    >>> config = kbs.EncoderConfig(
    ...     vocabulary_size=31, num_layers=3, hidden_dim=12, num_heads=3, intermediate_dim=20)
    >>> encoder = kbs.models.build_encoder(config)
    >>> freeze(encoder, num_blocks=2)
    >>> sorted({weight.path.split("/")[0] for weight in encoder.trainable_weights})
    ['block_2', 'pooler']
    """
    lowest, *blocks = encoder_layers(model)
    if not 0 <= num_blocks <= len(blocks):
        raise ValueError(
            f"freeze: num_blocks must be from 0 to {len(blocks)}, the blocks of this encoder. "
            f"Received: num_blocks={num_blocks}."
        )
    for layer in [lowest] * embeddings + blocks[:num_blocks]:
        layer.trainable = False


def unfreeze(model):
    """Let the embeddings and all blocks of the encoder learn. Compile the model after it.

    Args:
        model: `keras.Model`: an encoder or any model over one.
    """
    for layer in encoder_layers(model):
        for trainable in (True, False, True):  # On TensorFlow, what is set already does not reach the layers inside.
            layer.trainable = trainable


class GradualUnfreezing(keras.callbacks.Callback):
    """Train what is above the blocks in the first epoch, and one block more, from the top, in each that follows.

    The embeddings come last. After training, and in other calls of `fit`, everything learns.

    Frozen parts have a learning rate of 0. Their gradients are computed all the
    same, so that an epoch costs what an epoch over the whole model does; in
    return their moments are up to date when they are needed. With new moments
    late in a training, Adam's first steps would be up to six times too long.

    What is frozen depends on the number of the epoch alone, so that a training
    that is resumed with `initial_epoch` goes on rightly.

    Args:
        blocks_per_epoch: int. Blocks more in each epoch. Defaults to 1.
    Raises:
        ValueError: when training starts, if the optimizer was not made by
            `build_optimizer`.

    Source: Howard and Ruder 2018, section 3.3.
    """

    def __init__(self, blocks_per_epoch=1):
        super().__init__()
        check_positive_int("GradualUnfreezing", blocks_per_epoch=blocks_per_epoch)
        self.blocks_per_epoch = blocks_per_epoch

    def on_epoch_begin(self, epoch, logs=None):
        self._unfreeze(epoch * self.blocks_per_epoch)

    def on_train_end(self, logs=None):
        self._unfreeze(None)

    def _unfreeze(self, num_parts):
        optimizer = self.model.optimizer
        if not optimizer.built:
            optimizer.build(self.model.trainable_variables)
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # inside a LossScaleOptimizer
        if not hasattr(optimizer, "unfrozen"):
            raise ValueError(
                "GradualUnfreezing: the optimizer must have a learning rate for each part of the encoder. Received: "
                f"{type(optimizer).__name__}. Compile with build_optimizer(...)."
            )
        everything = optimizer.num_parts
        optimizer.unfrozen.assign(everything if num_parts is None else min(num_parts, everything))

"""A generator that replaces tokens and a discriminator that finds them, trained together."""

import keras
from keras import ops

from keras_bert_suite.layers import Embeddings
from keras_bert_suite.layers.replace_tokens import ReplaceTokens
from keras_bert_suite.models.encoder import build_encoder, connect_encoder, encoder_config, token_inputs
from keras_bert_suite.models.masked_lm import build_masked_lm

__all__ = ["GENERATOR", "build_electra", "build_generator", "generator_config"]

#: What the paths of a generator's weights begin with.
GENERATOR = "generator"


def generator_config(config, share=0.25):
    """Return the config of a generator for a discriminator: narrower, with as many layers.

    Args:
        config: `EncoderConfig` of the discriminator.
        share: float in (0, 1]. Its width, and that of its feed-forward part,
            as a share of the discriminator's. Defaults to 0.25.
    Example:
    >>> from keras_bert_suite.config import PRESETS
    >>> small = generator_config(PRESETS["electra-small-discriminator"])
    >>> small.hidden_dim, small.num_heads, small.embedding_dim
    (64, 1, 128)

    Source: Clark et al. 2020, section 3.2.
    """
    num_heads = max(1, round(config.num_heads * share))
    hidden_dim = num_heads * config.head_dim
    embedding_dim = config.embedding_dim or config.hidden_dim
    return config.replace(
        num_heads=num_heads,
        hidden_dim=hidden_dim,
        intermediate_dim=max(1, round(config.intermediate_dim * share)),
        embedding_dim=None if embedding_dim == hidden_dim else embedding_dim,
        pooler=False,
    )


def build_generator(discriminator, config, dtype=None):
    """Build a generator whose embeddings are those of a discriminator.

    The tables of token, segment and position embeddings are shared, not copied.

    Args:
        discriminator: `keras.Model` made by `build_encoder`.
        config: `EncoderConfig`, with embeddings of the same shape.
        dtype: as in `build_encoder`.
    Returns:
        A `keras.Model` as `build_masked_lm(..., masked_positions=True)` returns
        it, the paths of whose own weights begin with `generator/`.
    Raises:
        ValueError: if the embeddings differ in shape.

    Source: Clark et al. 2020, section 3.2.
    """
    own, other = config, encoder_config(discriminator)
    for name in ("vocabulary_size", "max_length", "num_segments", "pad_token_id"):
        if getattr(own, name) != getattr(other, name):
            raise ValueError(
                f"build_generator: {name} must be the discriminator's, as they share embeddings. Received: "
                f"{name}={getattr(own, name)}, the discriminator's {getattr(other, name)}."
            )
    widths = [one.embedding_dim or one.hidden_dim for one in (own, other)]
    if widths[0] != widths[1]:
        raise ValueError(
            f"build_generator: the width of the embeddings must be the discriminator's. Received: {widths[0]}, the "
            f"discriminator's {widths[1]}. Use generator_config."
        )
    # Paths of their own for its weights: on PyTorch, Keras keeps the weights of a model by path.
    with keras.name_scope(GENERATOR):
        layers = {layer.name: layer for layer in build_encoder(config.replace(pooler=False), dtype).layers}
        layers["embeddings"] = _with_tables(layers["embeddings"], discriminator.get_layer("embeddings"))

        inputs = token_inputs()
        encoder = keras.Model(inputs, connect_encoder(layers, **inputs), name="encoder")

        return build_masked_lm(encoder, masked_positions=True)


def _with_tables(embeddings, shared):
    """Return new `Embeddings` like the first, with the tables of the second."""
    values = {name: getattr(embeddings, name) for name in Embeddings.config_names}
    embeddings = Embeddings(**values, dtype=embeddings.dtype_policy, name=embeddings.name)
    for name in ("token", "segment", "position"):
        delattr(embeddings, name)
        setattr(embeddings, name, getattr(shared, name))
    return embeddings


def build_electra(generator, discriminator):
    """Build the model that trains a generator and a discriminator together.

    The generator guesses masked tokens; tokens drawn from its guesses take their
    place; and the discriminator tells of every token whether it was replaced.
    Train it with `training.MaskedLMLoss` and 50 times `training.ReplacedTokenLoss`.

    Args:
        generator: `keras.Model` made by `build_generator`.
        discriminator: `keras.Model` made by `build_replaced_token`.
    Returns:
        A `keras.Model` that takes what `build_pretraining` does, and returns a
        dict of float32 arrays: `"masked_lm"`, the generator's logits `(B, P,
        V)`, and `"replaced_token"`, `(B, T, 2)`: the discriminator's logit, and
        the id that it was shown.

    Source: Clark et al. 2020, section 2.
    """
    replace = ReplaceTokens(name="replace_tokens")

    inputs = {name: keras.Input((None,), dtype="int32", name=name) for name in generator.input}
    guesses = generator(inputs)  # (B, P, V)
    shown = replace(inputs["token_ids"], positions=inputs["masked_positions"], logits=guesses)
    texts = {name: inputs[name] for name in discriminator.input}
    logits = discriminator({**texts, "token_ids": shown})  # (B, T, 1)
    shown = ops.cast(ops.expand_dims(shown, -1), "float32")  # exact up to 2**24, above any vocabulary
    outputs = {"masked_lm": guesses, "replaced_token": ops.concatenate([logits, shown], axis=-1)}

    return keras.Model(inputs, outputs, name="electra")

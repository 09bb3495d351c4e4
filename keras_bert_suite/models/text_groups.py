"""A model over groups of texts, with the layers of one that embeds a text a row."""

import keras

from keras_bert_suite.layers import Fold, Unfold
from keras_bert_suite.models.encoder import token_inputs

__all__ = ["build_text_groups"]


def build_text_groups(embedder):
    """Build the model that computes what `embedder` does, for several texts an example.

    The layers are shared, not copied: training the one trains the other. Losses
    over pairs and triplets read its output.

    Args:
        embedder: `keras.Model` made by `build_text_embedder`, or any from
            tokens `(B, T)` to vectors `(B, D)`.
    Returns:
        A `keras.Model` that maps `{"token_ids", "segment_ids",
        "padding_mask"}`, each int `(B, C, T)`, to float32 `(B, C, D)`.
    Example:
    >>> import keras_bert_suite as kbs
    >>> config = kbs.EncoderConfig(
    ...     vocabulary_size=31, num_layers=2, hidden_dim=12, num_heads=3, intermediate_dim=20)
    >>> embedder = kbs.models.build_text_embedder(kbs.models.build_encoder(config))
    >>> kbs.models.build_text_groups(embedder).output.shape
    (None, None, 12)

    Source: Reimers and Gurevych 2019, section 3.
    """
    inputs = token_inputs(None)
    rows = {name: Fold(name=f"fold_{name}")(ids) for name, ids in inputs.items()}
    vectors = Unfold(dtype="float32", name="unfold")(embedder(rows), folded=inputs["token_ids"])

    return keras.Model(inputs, vectors, name="text_groups")

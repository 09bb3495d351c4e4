"""A masked language model that classifies a text by the word it puts into the gap of a prompt."""

import keras

from keras_bert_suite.layers import TokenPositions, Verbalizer
from keras_bert_suite.models.masked_lm import at_masked_positions

__all__ = ["build_prompt_classifier"]


def build_prompt_classifier(masked_lm, mask_token_id, word_ids):
    """Build a classifier over the layers of a masked language model; it has no new weights.

    Args:
        masked_lm: `keras.Model` made by `build_masked_lm`.
        mask_token_id: int. The token of the gap; each text has one.
        word_ids: list with, for each label, a list of int: the tokens that stand for it.
    Returns:
        A `keras.Model` that maps `{"token_ids", "segment_ids",
        "padding_mask"}`, each int `(B, T)`, to float32 logits `(B, L)`.
    Example:
    >>> import keras_bert_suite as kbs
    >>> config = kbs.EncoderConfig(
    ...     vocabulary_size=31, num_layers=2, hidden_dim=12, num_heads=3, intermediate_dim=20)
    >>> model = kbs.models.build_masked_lm(kbs.models.build_encoder(config))
    >>> build_prompt_classifier(model, mask_token_id=4, word_ids=[[7], [8, 9]]).output.shape
    (None, 2)

    Source: Schick and Schütze 2021.
    """
    scorer = at_masked_positions(masked_lm)
    inputs = {name: tensor for name, tensor in scorer.input.items() if name != "masked_positions"}
    positions = TokenPositions(mask_token_id, name="gap")(inputs["token_ids"])
    # `call` connects the layers one by one, where calling the model would nest it as one layer.
    logits = scorer.call({**inputs, "masked_positions": positions})
    return keras.Model(
        inputs, Verbalizer(word_ids, dtype="float32", name="verbalizer")(logits), name="prompt_classifier"
    )

"""Tokens of one's own in a vocabulary, with rows for them in the encoder's table."""

import dataclasses

import keras
import numpy as np

from keras_bert_suite.models import build_encoder, encoder_config
from keras_bert_suite.models.features import head_dtype
from keras_bert_suite.text.definition import add_tokens

__all__ = ["with_added_tokens"]

TABLE = "embeddings/token/embeddings"


def with_added_tokens(encoder, tokenizer, tokens):
    """Return an encoder and a tokenizer that know some tokens more.

    The tokens are matched whole in the text. Their vectors start near the mean
    of all others, always at the same place, so that a training under one seed can be repeated.

    Args:
        encoder: `keras.Model` made by `build_encoder`; it stays as it is.
        tokenizer: `text.Tokenizer`; it stays as it is.
        tokens: sequence of str. Those that the vocabulary has are left out.
    Returns:
        `(encoder, tokenizer)`: the same ones where there is nothing to add.
    Source: Hewitt 2021, "Initializing new word embeddings for pretrained language models".
    """
    tokens = [token for token in dict.fromkeys(tokens) if tokenizer.token_to_id(token) is None]
    if not tokens:
        return encoder, tokenizer
    definition = tokenizer.definition
    content = dict(definition.content)
    # A space before a marker belongs to it: in byte-level vocabularies it would be a token of its own.
    add_tokens(content, [{"content": token, "special": True, "lstrip": True} for token in tokens])
    names = (*definition.extra_special_tokens, *tokens)
    tokenizer = type(tokenizer).from_definition(
        dataclasses.replace(definition, content=content, extra_special_tokens=names)
    )
    return _with_rows(encoder, tokenizer.vocab_size), tokenizer


def _with_rows(encoder, rows):
    """Return a copy of an encoder whose table has at least so many rows."""
    config = encoder_config(encoder)
    if rows <= config.vocabulary_size:
        return encoder
    larger = build_encoder(config.replace(vocabulary_size=rows), head_dtype(encoder))
    stored = {variable.path: keras.ops.convert_to_numpy(variable.value) for variable in encoder.weights}
    table = stored[TABLE].astype("float32")
    noise = np.random.default_rng(0).normal(0, config.initializer_range, (rows - len(table), table.shape[1]))
    stored[TABLE] = np.concatenate([table, table.mean(axis=0) + noise])
    for variable in larger.weights:
        variable.assign(stored[variable.path])
    return larger

"""An encoder with the heads that BERT is pretrained with, in one model."""

import keras

from keras_bert_suite.errors import check_choice
from keras_bert_suite.layers import TakePositions
from keras_bert_suite.models.features import head_dtype
from keras_bert_suite.models.masked_lm import build_masked_lm
from keras_bert_suite.models.packed import connect_packed
from keras_bert_suite.models.sentence_pairs import build_next_sentence, build_sentence_order

__all__ = ["PAIR_HEADS", "build_packed_pretraining", "build_pretraining", "pretraining_flops"]

#: Head over pairs of texts -> the builder of a model that has it.
PAIR_HEADS = {"next_sentence": build_next_sentence, "sentence_order": build_sentence_order}


def build_pretraining(encoder, pair_head=None, tied=True):
    """Build a masked language model over `encoder` that also judges pairs of texts.

    The vocabulary is scored at masked positions alone.

    Args:
        encoder: `keras.Model` made by `build_encoder` or `load_encoder`; with a
            pooler where there is a `pair_head`.
        pair_head: optional str: `"next_sentence"`, as in BERT, or
            `"sentence_order"`, as in ALBERT.
        tied: bool. Whether the output matrix is the token embeddings' own.
            Defaults to True.
    Returns:
        A `keras.Model` that maps `{"token_ids", "segment_ids",
        "padding_mask"}`, each int `(B, T)`, and `"masked_positions"`, int `(B,
        P)`, to a dict of float32 logits: `"masked_lm"`, `(B, P, V)`, and under
        the name of the pair head `(B, 2)`.
    Raises:
        ValueError: if there is a pair head and the encoder has no pooler.
    Example:
    >>> import keras_bert_suite as kbs
    >>> config = kbs.EncoderConfig(
    ...     vocabulary_size=31, num_layers=2, hidden_dim=12, num_heads=3, intermediate_dim=20)
    >>> model = build_pretraining(kbs.models.build_encoder(config), pair_head="next_sentence")
    >>> {name: output.shape for name, output in model.output.items()}
    {'masked_lm': (None, None, 31), 'next_sentence': (None, 2)}

    Source: Devlin et al. 2018, section 3.1; Lan et al. 2019, section 3.1.
    """
    check_choice("build_pretraining", "pair_head", pair_head, (None, *PAIR_HEADS))
    masked_lm = build_masked_lm(encoder, tied=tied, masked_positions=True)
    outputs = {"masked_lm": masked_lm.output}
    if pair_head is not None:
        outputs[pair_head] = PAIR_HEADS[pair_head](encoder).output

    return keras.Model(masked_lm.input, outputs, name="pretraining")


def build_packed_pretraining(model):
    """Build the model that computes what a masked language model does, for rows that hold several texts.

    The layers are shared, not copied. An attention mask keeps the texts of a row apart.

    Args:
        model: `keras.Model` made by `build_pretraining` without a pair head.
    Returns:
        A `keras.Model` that takes `"token_ids"`, `"segment_ids"`,
        `"sequence_ids"` (0 = padding, 1 = first text of the row) and
        `"position_ids"` (of a token in its text, from 0), each int `(B, T)`, and
        `"masked_positions"`, int `(B, P)`, and returns what `model` does.
    Raises:
        ValueError: if `model` judges pairs.
    Example:
    >>> import keras_bert_suite as kbs
    >>> config = kbs.EncoderConfig(
    ...     vocabulary_size=31, num_layers=2, hidden_dim=12, num_heads=3, intermediate_dim=20)
    >>> model = build_packed_pretraining(build_pretraining(kbs.models.build_encoder(config)))
    >>> sorted(model.input)
    ['masked_positions', 'position_ids', 'segment_ids', 'sequence_ids', 'token_ids']

    Source: Liu et al. 2019, section 4.2; Krell et al. 2021, section 3.2.
    """
    if set(model.output) != {"masked_lm"}:
        raise ValueError(
            "build_packed_pretraining: the model must have the output masked_lm alone. Received: "
            f"{', '.join(model.output)}. A row of several texts is no pair: train it without a pair head."
        )
    layers = {layer.name: layer for layer in model.layers}
    vocabulary = layers["masked_lm"]
    take = TakePositions(dtype=head_dtype(model), name="take_masked")

    inputs, sequence_output = connect_packed(layers)
    inputs["masked_positions"] = keras.Input((None,), dtype="int32", name="masked_positions")
    features = layers["masked_lm_transform"](take(sequence_output, positions=inputs["masked_positions"]))
    table = {}
    if vocabulary.kernel is None:
        table["table"] = layers["embeddings"](inputs["token_ids"], return_table=True)

    return keras.Model(inputs, {"masked_lm": vocabulary(features, **table)}, name="packed_pretraining")


def pretraining_flops(config, length, num_predictions=0.0):
    """Return the floating point operations of one training step, forward and backward, for each row.

    Those of matrix products that are needed: what an implementation computes
    besides, padding or a thing twice, does not count as work done.

    Args:
        config: `EncoderConfig`.
        length: float. Tokens of a row.
        num_predictions: float. Positions of a row at which the vocabulary is scored. Defaults to 0.
    Returns:
        float.
    Example:
    >>> import keras_bert_suite as kbs
    >>> round(pretraining_flops(kbs.PRESETS["bert-large-uncased"], 512, 76) / 512 / 1e9, 2)
    1.99

    Source: Chowdhery et al. 2022, appendix B.
    """
    hidden, embedding = config.hidden_dim, config.embedding_dim or config.hidden_dim
    feed_forward = (3 if config.pre_norm else 2) * hidden * config.intermediate_dim
    products = config.num_layers * (length * (4 * hidden**2 + feed_forward) + 2 * length**2 * hidden)
    products += num_predictions * (hidden * embedding + embedding * config.vocabulary_size)
    if config.embedding_dim:
        products += length * embedding * hidden
    return 6.0 * products  # a product is two operations, and the way back two products for each

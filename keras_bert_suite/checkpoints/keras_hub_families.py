"""The families of KerasHub: the names of its weights and values, and what its code has built in."""

import dataclasses

from keras_bert_suite.checkpoints.names import parse_table

__all__ = ["FAMILIES", "MASKED_LM_EPSILON", "TASKS", "KerasHubFamily"]

#: The epsilon of the norm in the head of every masked language model, whatever its encoder's is.
MASKED_LM_EPSILON = 1e-5

#: Head -> the end of the name of the class that has it, and of its module.
TASKS = {"text_classifier": ("TextClassifier", "text_classifier"), "masked_lm": ("MaskedLM", "masked_lm")}

#: The weights of each kind of layer: Keras numbers them in the order in which the layer made them.
LEAVES = {
    "dense": (("kernel", "/vars/0", False), ("bias", "/vars/1", False)),
    "norm": (("gamma", "/vars/0", False), ("beta", "/vars/1", False)),
    "embedding": (("embeddings", "/vars/0", False),),
}

# Layers are called by their class and numbered from the second of a class on, in the order of the graph.
BLOCKS = """
    block_{i}/self_attention/query      layers/transformer_encoder_{i}/_self_attention_layer/query_dense
    block_{i}/self_attention/key        layers/transformer_encoder_{i}/_self_attention_layer/key_dense
    block_{i}/self_attention/value      layers/transformer_encoder_{i}/_self_attention_layer/value_dense
    block_{i}/self_attention/output     layers/transformer_encoder_{i}/_self_attention_layer/output_dense
    block_{i}/attention_norm            layers/transformer_encoder_{i}/_self_attention_layer_norm
    block_{i}/feed_forward/intermediate layers/transformer_encoder_{i}/_feedforward_intermediate_dense
    block_{i}/feed_forward/output       layers/transformer_encoder_{i}/_feedforward_output_dense
    block_{i}/output_norm               layers/transformer_encoder_{i}/_feedforward_layer_norm
    embeddings/norm                     layers/layer_normalization
"""
BERT_ENCODER = f"""
    embeddings/token                    layers/reversible_embedding
    embeddings/position                 layers/position_embedding
    embeddings/segment                  layers/embedding
    {BLOCKS}
"""
ROBERTA_ENCODER = f"""
    embeddings/token                    layers/token_and_position_embedding/token_embedding
    embeddings/position                 layers/token_and_position_embedding/position_embedding
    {BLOCKS}
"""
POOLER = "pooler/dense                  layers/dense"
PROJECTION_AND_POOLER = """
    embeddings/projection               layers/dense
    pooler/dense                        layers/dense_1
"""
MASKED_LM = """
    masked_lm_transform/dense           layers/masked_lm_head/_intermediate_dense
    masked_lm_transform/norm            layers/masked_lm_head/_intermediate_layer_norm
    masked_lm/bias                      layers/masked_lm_head/vars/0
"""
CLASSIFIER = "classifier                layers/dense"
DEEP_CLASSIFIER = """
    head/dense                          layers/dense
    classifier                          layers/dense_1
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class KerasHubFamily:
    """What has to be known of a family to read and write its presets.

    Args:
        name: str. `EncoderConfig.family`.
        class_name: str. How the names of its classes begin.
        module: str. The folder of its code, and how its files there begin.
        fields: tuple of pairs: a field of `EncoderConfig` and the key in the
            preset's config. Of two with one key, the last is the one written.
        built_in: dict of the values of `EncoderConfig` that its code fixes.
        encoder: str. The table of the encoder's weights but its last dense layers.
        heads: dict from each head the family has to the table of its weights.
        masked_lm_activation: str. Inside the masked language model's head.
        required_values: dict from keys to the only value that this package computes.
    """

    name: str
    class_name: str
    module: str
    fields: tuple
    built_in: dict
    encoder: str
    heads: dict
    masked_lm_activation: str = "gelu"
    required_values: dict = dataclasses.field(default_factory=dict)

    def replace(self, **changes):
        """Return a copy with `changes` made."""
        return dataclasses.replace(self, **changes)

    def encoder_table(self, config):
        """List the names of every weight of an encoder of `config`."""
        dense = POOLER if self.built_in["pooler"] else ""
        if config.embedding_dim is not None:
            dense = PROJECTION_AND_POOLER
        return self._parsed(self.encoder + dense, config.num_groups or config.num_layers)

    def head_table(self, head):
        """List the names of every weight of a head."""
        return self._parsed(self.heads[head], 1)

    def _parsed(self, text, num_blocks):
        names = parse_table(text, num_blocks, LEAVES)
        first = "/transformer_encoder_0/"
        return [dataclasses.replace(name, theirs=name.theirs.replace(first, "/transformer_encoder/")) for name in names]


FIELDS = (
    ("vocabulary_size", "vocabulary_size"),
    ("hidden_dim", "hidden_dim"),
    ("num_layers", "num_layers"),
    ("num_heads", "num_heads"),
    ("intermediate_dim", "intermediate_dim"),
    ("max_length", "max_sequence_length"),
    ("attention_dropout_rate", "dropout"),  # one rate for both
    ("dropout_rate", "dropout"),
)
SEGMENTS = ("num_segments", "num_segments")
EMBEDDING_DIM = ("embedding_dim", "embedding_dim")

BERT = KerasHubFamily(
    name="bert",
    class_name="Bert",
    module="bert",
    fields=(*FIELDS, SEGMENTS),
    built_in={"activation": "gelu_tanh", "layer_norm_epsilon": 1e-12, "pooler": True},
    encoder=BERT_ENCODER,
    heads={"text_classifier": CLASSIFIER, "masked_lm": MASKED_LM},
)

ROBERTA = KerasHubFamily(
    name="roberta",
    class_name="Roberta",
    module="roberta",
    fields=FIELDS,
    built_in={"activation": "gelu", "layer_norm_epsilon": 1e-5, "pooler": False},
    encoder=ROBERTA_ENCODER,
    heads={"text_classifier": DEEP_CLASSIFIER, "masked_lm": MASKED_LM},
)

FAMILIES = {
    family.name: family
    for family in (
        BERT,
        ROBERTA,
        ROBERTA.replace(name="xlm-roberta", class_name="XLMRoberta", module="xlm_roberta"),
        ROBERTA.replace(
            name="distilbert",
            class_name="DistilBert",
            module="distil_bert",
            built_in={"activation": "gelu", "layer_norm_epsilon": 1e-12, "pooler": False},
        ),
        BERT.replace(
            name="albert",
            class_name="Albert",
            module="albert",
            fields=(*FIELDS, SEGMENTS, EMBEDDING_DIM, ("num_groups", "num_groups")),
            masked_lm_activation="gelu_tanh",
            required_values={"num_inner_repetitions": 1},
        ),
        BERT.replace(
            name="electra",
            class_name="Electra",
            module="electra",
            fields=(("vocabulary_size", "vocab_size"), *FIELDS[1:], SEGMENTS, EMBEDDING_DIM),
            heads={},
        ),
    )
}

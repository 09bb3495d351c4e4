"""ModernBERT: rotary positions, local attention in most blocks, gated feed-forward parts, pre-norm."""

from keras_bert_suite.checkpoints.families.family import Family
from keras_bert_suite.errors import CheckpointError

__all__ = ["MODERNBERT"]

HEAD = """
    head/dense                          head.dense
    head/norm                           head.norm
    classifier                          classifier
"""

POOLINGS = {"cls": "first", "mean": "mean"}
GLOBAL, LOCAL = "full_attention", "sliding_attention"
DEFAULT_BASES = {GLOBAL: 160_000.0, LOCAL: 10_000.0}
OLD_BASES = {GLOBAL: "global_rope_theta", LOCAL: "local_rope_theta"}


def _read(values, json_values):
    pooling = json_values.get("classifier_pooling", "cls")
    if pooling not in tuple(POOLINGS):
        raise CheckpointError(f"classifier_pooling must be 'cls' or 'mean'. Received: {pooling!r:.100}.")
    values["heads.pooling"] = POOLINGS[pooling]
    values["global_every"] = _global_every(json_values, values["num_layers"])
    values["rotary_base"], values["local_rotary_base"] = (_base(json_values, kind) for kind in (GLOBAL, LOCAL))
    return values


def _global_every(json_values, num_layers):
    """Find how often a layer is global in the list of them, or take the older single number."""
    kinds = json_values.get("layer_types")
    if kinds is None:
        return json_values.get("global_attn_every_n_layers", 3)
    for every in range(1, num_layers + 1) if isinstance(num_layers, int) else ():
        if kinds == _kinds(every, num_layers):
            return every
    raise CheckpointError(
        "layer_types must name one kind of attention per layer, full_attention at equal steps from the first on. "
        f"Received: {kinds!s:.200}."
    )


def _kinds(every, num_layers):
    return [LOCAL if index % every else GLOBAL for index in range(num_layers)]


def _base(json_values, kind):
    """Read the base of the angles from the newer nested entry, or from the older flat one."""
    nested = json_values.get("rope_parameters") or {}
    parameters = (nested.get(kind) or {}) if isinstance(nested, dict) else None
    if not isinstance(parameters, dict):
        raise CheckpointError(
            f"rope_parameters must name values for each kind of attention. Received: {nested!s:.100}."
        )
    scaling = json_values.get("rope_scaling")
    rope_type = parameters.get("rope_type", "default")
    if rope_type != "default" or scaling:
        name, value = ("rope_scaling", scaling) if scaling else ("rope_parameters", nested)
        raise CheckpointError(f"rotary positions must not be rescaled. Received: {name}={value!s:.200}.")
    return parameters.get("rope_theta", json_values.get(OLD_BASES[kind], DEFAULT_BASES[kind]))


def _write(json_values, config):
    bases = {GLOBAL: config.rotary_base, LOCAL: config.local_rotary_base}
    return {
        **json_values,
        "classifier_pooling": next(theirs for theirs, ours in POOLINGS.items() if ours == config.heads.pooling),
        "layer_types": _kinds(config.global_every, config.num_layers),
        "rope_parameters": {kind: {"rope_type": "default", "rope_theta": base} for kind, base in bases.items()},
        # What transformers 4 reads instead of the two above.
        "global_attn_every_n_layers": config.global_every,
        **{OLD_BASES[kind]: base for kind, base in bases.items()},
    }


MODERNBERT = Family(
    name="modernbert",
    class_name="ModernBert",
    prefix="model.",
    fields=(
        ("vocabulary_size", "vocab_size"),
        ("hidden_dim", "hidden_size"),
        ("num_layers", "num_hidden_layers"),
        ("num_heads", "num_attention_heads"),
        ("intermediate_dim", "intermediate_size"),
        ("max_length", "max_position_embeddings"),
        ("activation", "hidden_activation"),
        ("layer_norm_epsilon", "norm_eps"),
        ("norm_bias", "norm_bias"),
        ("attention_bias", "attention_bias"),
        ("feed_forward_bias", "mlp_bias"),
        ("dropout_rate", "mlp_dropout"),
        ("attention_dropout_rate", "attention_dropout"),
        ("embedding_dropout_rate", "embedding_dropout"),
        ("initializer_range", "initializer_range"),
        ("pad_token_id", "pad_token_id"),
        ("local_window", "local_attention"),
        ("heads.activation", "classifier_activation"),
        ("heads.masked_lm_activation", "classifier_activation"),
        ("heads.use_bias", "classifier_bias"),
        ("heads.dropout_rate", "classifier_dropout"),
        ("heads.question_dropout_rate", "classifier_dropout"),
    ),
    required_values={"decoder_bias": True},
    encoder="""
    embeddings/token                    embeddings.tok_embeddings
    embeddings/norm                     embeddings.norm
    block_{i}/attention_norm            layers.{i}.attn_norm
    block_{i}/self_attention/query      layers.{i}.attn.Wqkv[0/3]
    block_{i}/self_attention/key        layers.{i}.attn.Wqkv[1/3]
    block_{i}/self_attention/value      layers.{i}.attn.Wqkv[2/3]
    block_{i}/self_attention/output     layers.{i}.attn.Wo
    block_{i}/feed_forward_norm         layers.{i}.mlp_norm
    block_{i}/feed_forward/intermediate layers.{i}.mlp.Wi
    block_{i}/feed_forward/output       layers.{i}.mlp.Wo
    final_norm                          final_norm
    """,
    heads={
        "masked_lm": """
            masked_lm_transform/dense   head.dense
            masked_lm_transform/norm    head.norm
            masked_lm/kernel            decoder.weight
            masked_lm/bias              decoder.bias
        """,
        "text_classifier": HEAD,
        "token_classifier": HEAD,
        "multiple_choice": HEAD,
        "question_answering": """
            head/dense                  head.dense
            head/norm                   head.norm
            answers                     classifier
        """,
    },
    read=_read,
    write=_write,
)

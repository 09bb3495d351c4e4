"""The values of a config that tell what a model computes, for formats that must not lose one."""

__all__ = ["is_close", "telling_values"]

GELUS = {"gelu", "gelu_tanh"}

#: Of `HeadConfig`: the dense layer before a head's output.
DENSE = ("activation", "norm", "use_bias", "input_dropout")


def telling_values(config, heads=()):
    """Return the values that tell what an encoder and its heads compute, with every default filled in.

    Two configs with equal values mean one model. Whether there is a pooler is a
    matter of weights, and left out.

    Args:
        config: `EncoderConfig`.
        heads: sequence of str: the heads that count.
    Returns:
        dict, the values of `HeadConfig` by names that begin with `heads.`.
    """
    values = config.to_dict()
    form = values.pop("heads")
    del values["pooler"]
    values["num_groups"] = config.num_groups or config.num_layers
    values["embedding_dropout_rate"] = _first(config.embedding_dropout_rate, config.dropout_rate)
    every = values["global_every"] = min(config.global_every, config.num_layers)  # only the first layer is global then
    if config.positions != "rotary":
        values.pop("rotary_base")
    if config.positions != "rotary" or every == 1:
        values.pop("local_rotary_base")
    if every == 1:
        values.pop("local_window")
    names = set()
    if "masked_lm" in heads:
        names |= {"on_tokens", *(("norm", "use_bias") if form["on_tokens"] else ())}
        values["heads.masked_lm_activation"] = _first(form["masked_lm_activation"], config.activation)
        values["heads.masked_lm_epsilon"] = _first(form["masked_lm_epsilon"], config.layer_norm_epsilon)
    if {"text_classifier", "multiple_choice", "sentence_order"} & set(heads):
        names |= {"pooling", *(() if form["pooling"] == "pooler" else DENSE)}
        values["heads.dropout_rate"] = _first(form["dropout_rate"], config.dropout_rate)
    if "token_classifier" in heads:
        names |= {"on_tokens", *(DENSE if form["on_tokens"] else ())}
        rate = _first(form["token_dropout_rate"], form["dropout_rate"], config.dropout_rate)
        values["heads.token_dropout_rate"] = rate
    if "question_answering" in heads:
        names |= {"on_tokens", "question_dropout_rate", *(DENSE if form["on_tokens"] else ())}
    values.update({f"heads.{name}": form[name] for name in sorted(names)})
    return values


def is_close(name, value, other):
    """Return whether two values of a config change a model's outputs a little only: an epsilon, a form of GELU."""
    return name.endswith("epsilon") or {value, other} == GELUS


def _first(*values):
    return next(value for value in values if value is not None)

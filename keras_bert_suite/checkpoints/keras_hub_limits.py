"""What KerasHub cannot express: found by comparing what was meant with what its files would say."""

from keras_bert_suite.checkpoints.keras_hub_families import MASKED_LM_EPSILON
from keras_bert_suite.checkpoints.telling import is_close, telling_values
from keras_bert_suite.errors import CheckpointError, shortened

__all__ = ["check_expressible", "head_dropout_rate"]


def check_expressible(path, config, back, family, head, allow_approximation):
    """Raise unless a config and what KerasHub makes of it agree in every value that counts.

    Args:
        path: path that errors name.
        config: `EncoderConfig` that was meant.
        back: `EncoderConfig` that reading the preset gives.
        family: `KerasHubFamily`.
        head: optional str, of the checkpoint.
        allow_approximation: bool. Whether another epsilon, or the other form of
            GELU, will do.
    Raises:
        CheckpointError: naming every value that would be lost.
    """
    meant, found = _telling_values(config, head), _telling_values(back, head)
    if head == "masked_lm":
        found["heads.masked_lm_activation"] = family.masked_lm_activation
        found["heads.masked_lm_epsilon"] = MASKED_LM_EPSILON
    if head == "text_classifier":
        found["heads.dropout_rate"] = meant["heads.dropout_rate"]  # task.json has it
    wrong = {name: (value, repr(found[name])) for name, value in meant.items() if value != found[name]}
    if config.num_layers % meant["num_groups"]:
        wrong["num_groups"] = (meant["num_groups"], f"only divisors of {config.num_layers}")
    close = {name for name in wrong if is_close(name, meant[name], found[name])}
    faults = [
        f"{name}={value!r}, where it has {theirs}"
        for name, (value, theirs) in wrong.items()
        if not (allow_approximation and name in close)
    ]
    if faults:
        remedy = "A tolerance above 1e-4 accepts what KerasHub has" if close == set(wrong) else "Choose another format"
        raise CheckpointError(f"{path}: KerasHub's {family.class_name} cannot express {shortened(faults)}. {remedy}.")


def head_dropout_rate(config):
    """Return the dropout rate of a classifier of texts."""
    return config.dropout_rate if config.heads.dropout_rate is None else config.heads.dropout_rate


def _telling_values(config, head):
    values = telling_values(config, (head,) if head else ())
    del values["initializer_range"]  # of no weight that is stored
    return values

"""What has to be known of a family to read and write its files in the Hugging Face layout."""

import dataclasses
from collections.abc import Callable

from keras_bert_suite.checkpoints.names import parse_table

__all__ = ["Family"]

#: A conditional random field on top of any family's token classifier, under names of our own: `transformers` has none,
#: and opens the rest.
CRF = """
    crf/start_transitions               crf.start_transitions
    crf/end_transitions                 crf.end_transitions
    crf/transitions                     crf.transitions
"""


def _unchanged(values, *_):
    return values


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
    """The foreign names of one family: of its config's values, its weights and its classes.

    Args:
        name: str. `model_type` in config.json, and `EncoderConfig.family`.
        class_name: str. How the names of its `transformers` classes begin.
        prefix: str. What task models put before the names of the encoder's weights.
        fields: tuple of pairs: our field, `heads.`-prefixed where it is one of
            `HeadConfig`, and the key in config.json.
        encoder: str. The table of the encoder's weights.
        heads: dict from each head the family has to the table of its weights.
        pretraining: tuple of the heads of its class `...ForPreTraining`.
        defaults: dict of the values that keys left out of config.json have.
        required_values: dict from keys to the only value that this package computes.
        aliases: dict from other names of a weight to the one in the tables.
        read: from our values by field and those of config.json, returns the
            former, completed where no single key has them.
        write: from the entries of config.json and the config, returns the
            former, completed.
    """

    name: str
    class_name: str
    prefix: str
    fields: tuple
    encoder: str
    heads: dict
    pretraining: tuple = ()
    defaults: dict = dataclasses.field(default_factory=dict)
    required_values: dict = dataclasses.field(default_factory=dict)
    aliases: dict = dataclasses.field(default_factory=dict)
    read: Callable = _unchanged
    write: Callable = _unchanged

    def replace(self, **changes):
        """Return a copy with `changes` made."""
        return dataclasses.replace(self, **changes)

    def table(self, config, heads=None):
        """List the names of every weight of an encoder of `config`, and of `heads` (all of them, if `None`)."""
        heads = tuple(self.heads) if heads is None else heads
        texts = [self.encoder, *(self.heads[head] for head in heads), *([CRF] if "token_classifier" in heads else [])]
        num_blocks = config.num_groups or config.num_layers
        return list(dict.fromkeys(name for text in texts for name in parse_table(text, num_blocks)))

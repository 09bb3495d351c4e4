"""`EncoderConfig`: the values that tell one BERT from another, and nothing else.

A variant is data: every constant of the encoder (its sizes, its epsilon, its
GELU, its initializer) has its one home here. Foreign names live in
`keras_bert_suite.checkpoints`.
"""

import dataclasses
import numbers

from keras_bert_suite.errors import check_choice, check_positive_int, check_rate

__all__ = ["PRESETS", "EncoderConfig"]

ACTIVATIONS = ("gelu", "gelu_tanh", "relu", "silu", "tanh")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """The shape and the constants of one BERT-family encoder.

    Defaults are those of BERT-Base, uncased.

    Args:
        vocabulary_size: int. Rows of the token embedding.
        hidden_dim: int. Width of every token's vector.
        num_layers: int. Encoder blocks.
        num_heads: int. Attention heads a block; must divide `hidden_dim`.
        intermediate_dim: int. Width inside the feed-forward part.
        max_length: int. Longest sequence that has position embeddings, in tokens.
        num_segments: int. Rows of the segment embedding.
        activation: str. Of the feed-forward part: `"gelu"` (exact erf form),
            `"gelu_tanh"`, `"relu"`, `"silu"` or `"tanh"`.
        layer_norm_epsilon: float. Added to the variance in every layer norm.
        dropout_rate: float in [0, 1). On embeddings and block outputs.
        attention_dropout_rate: float in [0, 1). On attention probabilities.
        initializer_range: float. Standard deviation of the truncated normal
            that new weights are drawn from.
    Raises:
        ValueError: if a value breaks its rule; the message names it.
    Example:
    >>> from keras_bert_suite import EncoderConfig
    >>> EncoderConfig(num_layers=4, hidden_dim=256, num_heads=4, intermediate_dim=1024).head_dim
    64

    Source: Devlin et al. 2018, section 3.
    """

    vocabulary_size: int = 30522
    hidden_dim: int = 768
    num_layers: int = 12
    num_heads: int = 12
    intermediate_dim: int = 3072
    max_length: int = 512
    num_segments: int = 2
    activation: str = "gelu"
    layer_norm_epsilon: float = 1e-12
    dropout_rate: float = 0.1
    attention_dropout_rate: float = 0.1
    initializer_range: float = 0.02

    def __post_init__(self):
        subject = type(self).__name__
        check_positive_int(
            subject,
            vocabulary_size=self.vocabulary_size,
            hidden_dim=self.hidden_dim,
            num_layers=self.num_layers,
            num_heads=self.num_heads,
            intermediate_dim=self.intermediate_dim,
            max_length=self.max_length,
            num_segments=self.num_segments,
        )
        if self.hidden_dim % self.num_heads:
            divisors = [n for n in range(1, self.hidden_dim + 1) if self.hidden_dim % n == 0]
            nearest = sorted(sorted(divisors, key=lambda n: abs(n - self.num_heads))[:2])
            raise ValueError(
                f"{subject}: hidden_dim must be divisible by num_heads. Received: hidden_dim={self.hidden_dim}, "
                f"num_heads={self.num_heads}. Use num_heads={' or '.join(map(str, nearest))}."
            )
        check_choice(subject, "activation", self.activation, ACTIVATIONS)
        check_rate(subject, dropout_rate=self.dropout_rate, attention_dropout_rate=self.attention_dropout_rate)
        for name in ("layer_norm_epsilon", "initializer_range"):
            if not isinstance(getattr(self, name), numbers.Real):
                raise TypeError(f"{subject}: {name} must be a number. Received: {name}={getattr(self, name)!r}.")
            if not getattr(self, name) > 0:
                raise ValueError(f"{subject}: {name} must be above 0. Received: {name}={getattr(self, name)!r}.")

    @property
    def head_dim(self):
        """Width of one attention head."""
        return self.hidden_dim // self.num_heads

    def replace(self, **changes):
        """Return a copy with `changes` made, checked like a new one."""
        return dataclasses.replace(self, **changes)

    def to_dict(self):
        """Return the values as a plain dict that `EncoderConfig(**values)` takes back."""
        return dataclasses.asdict(self)


def _miniature(num_layers, hidden_dim):
    return EncoderConfig(
        num_layers=num_layers, hidden_dim=hidden_dim, num_heads=hidden_dim // 64, intermediate_dim=4 * hidden_dim
    )


#: The published sizes of BERT by name (Devlin et al. 2018; Turc et al. 2019 for the miniatures).
PRESETS = {
    "bert-tiny": _miniature(2, 128),
    "bert-mini": _miniature(4, 256),
    "bert-small": _miniature(4, 512),
    "bert-medium": _miniature(8, 512),
    "bert-base-uncased": EncoderConfig(),
    "bert-base-cased": EncoderConfig(vocabulary_size=28996),
    "bert-base-chinese": EncoderConfig(vocabulary_size=21128),
    "bert-base-multilingual-cased": EncoderConfig(vocabulary_size=119547),
    "bert-large-uncased": _miniature(24, 1024),
    "bert-large-cased": _miniature(24, 1024).replace(vocabulary_size=28996),
}

"""`EncoderConfig`: the values that tell one BERT from another, and nothing else.

A variant is data: every constant of the encoder (its sizes, its epsilon, its
GELU, its initializer) has its one home here, and so has the form that its
family gives to task heads. Foreign names live in `keras_bert_suite.checkpoints`.
"""

import dataclasses
import numbers

from keras_bert_suite.errors import check_choice, check_positive_int, check_rate

__all__ = ["FAMILIES", "PRESETS", "EncoderConfig", "HeadConfig"]

ACTIVATIONS = ("gelu", "gelu_tanh", "relu", "silu", "tanh")
POSITIONS = ("learned", "after_padding", "rotary")
POOLINGS = ("pooler", "first", "mean")
FAMILY_NAMES = ("bert", "roberta", "xlm-roberta", "camembert", "distilbert", "albert", "electra", "modernbert")


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """The form of the task heads that a family puts over its encoder.

    Defaults are BERT's: a classifier reads the pooler's output, a tagger the
    sequence itself.

    Args:
        pooling: str. What a head for whole sequences reads: `"pooler"` (the
            encoder's own), or the `"first"` token or the `"mean"` of all, which
            then pass a dense layer of the head's.
        activation: optional str. Of that dense layer; `None` where there is none.
        on_tokens: bool. Whether heads for single tokens have that layer too.
        norm: bool. Whether a layer norm follows it.
        use_bias: bool. Whether it has a bias.
        dropout_rate: optional float in [0, 1). Before the output of a classifier.
            Defaults to the encoder's `dropout_rate`.
        input_dropout: bool. Whether dropout also stands before the dense layer.
        token_dropout_rate: optional float in [0, 1). The same for single tokens.
            Defaults to `dropout_rate`.
        question_dropout_rate: float in [0, 1). Before the output for questions.
        masked_lm_activation: optional str. Inside the masked language model's
            head. Defaults to the encoder's `activation`.
        masked_lm_epsilon: optional float. The same for the epsilon of its norm.
            Defaults to the encoder's `layer_norm_epsilon`.
    Source: the task models released with each family.
    """

    pooling: str = "pooler"
    activation: str | None = None
    on_tokens: bool = False
    norm: bool = False
    use_bias: bool = True
    dropout_rate: float | None = None
    input_dropout: bool = False
    token_dropout_rate: float | None = None
    question_dropout_rate: float = 0.0
    masked_lm_activation: str | None = None
    masked_lm_epsilon: float | None = None

    def __post_init__(self):
        subject = type(self).__name__
        check_choice(subject, "pooling", self.pooling, POOLINGS)
        check_choice(subject, "activation", self.activation, (None, *ACTIVATIONS))
        check_choice(subject, "masked_lm_activation", self.masked_lm_activation, (None, *ACTIVATIONS))
        for name in ("dropout_rate", "token_dropout_rate", "question_dropout_rate"):
            if getattr(self, name) is not None:
                check_rate(subject, **{name: getattr(self, name)})


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """The shape and the constants of one BERT-family encoder.

    Defaults are those of BERT-Base, uncased; `FAMILIES` has those of the other
    families.

    Args:
        family: str. The published architecture: names of weights in files follow from it.
        vocabulary_size: int. Rows of the token embedding.
        hidden_dim: int. Width of every token's vector.
        num_layers: int. Encoder blocks that a token passes.
        num_heads: int. Attention heads a block; must divide `hidden_dim`.
        intermediate_dim: int. Width inside the feed-forward part.
        max_length: int. Longest sequence, in tokens.
        num_segments: int. Rows of the segment embedding; 0 where there is none.
        embedding_dim: optional int. Width of the embeddings where a dense layer
            then brings them to `hidden_dim`.
        num_groups: optional int. Distinct blocks, each used for `num_layers /
            num_groups` layers in a row. Defaults to `num_layers`: none is shared.
        activation: str. Of the feed-forward part: `"gelu"` (exact erf form),
            `"gelu_tanh"`, `"relu"`, `"silu"` or `"tanh"`.
        layer_norm_epsilon: float. Added to the variance in every layer norm.
        dropout_rate: float in [0, 1). On embeddings and block outputs.
        attention_dropout_rate: float in [0, 1). On attention probabilities.
        embedding_dropout_rate: optional float in [0, 1). On embeddings, where it
            is not `dropout_rate`.
        initializer_range: float. Standard deviation of the truncated normal
            that new weights are drawn from.
        pad_token_id: int. The id that fills short rows.
        positions: str. `"learned"` embeddings, counted from 0; learned ones
            counted `"after_padding"`: from `pad_token_id + 1`, padding left out;
            or `"rotary"`, in every attention.
        pooler: bool. Whether there is a pooler over the first token.
        pre_norm: bool. Whether blocks normalise before attention and before a
            gated feed-forward part, instead of after each residual sum.
        attention_bias: bool. Whether the projections of attention have a bias.
        feed_forward_bias: bool. Whether the feed-forward part has biases.
        norm_bias: bool. Whether layer norms have a bias.
        rotary_base: float. Base of the angles of rotary positions.
        local_rotary_base: float. The same in layers of local attention.
        local_window: int. Tokens that a token of such a layer sees, half of
            them on each side.
        global_every: int. One layer in so many, the first included, has global
            attention; 1: all have.
        heads: `HeadConfig`, or a dict of its values.
    Raises:
        ValueError: if a value breaks its rule; the message names it.
    Example:
    >>> from keras_bert_suite import EncoderConfig
    >>> EncoderConfig(num_layers=4, hidden_dim=256, num_heads=4, intermediate_dim=1024).head_dim
    64

    Source: Devlin et al. 2018, section 3; and for the other families Liu et al.
    2019, Sanh et al. 2019, Lan et al. 2019, Clark et al. 2020, Warner et al. 2024.
    """

    family: str = "bert"
    vocabulary_size: int = 30522
    hidden_dim: int = 768
    num_layers: int = 12
    num_heads: int = 12
    intermediate_dim: int = 3072
    max_length: int = 512
    num_segments: int = 2
    embedding_dim: int | None = None
    num_groups: int | None = None
    activation: str = "gelu"
    layer_norm_epsilon: float = 1e-12
    dropout_rate: float = 0.1
    attention_dropout_rate: float = 0.1
    embedding_dropout_rate: float | None = None
    initializer_range: float = 0.02
    pad_token_id: int = 0
    positions: str = "learned"
    pooler: bool = True
    pre_norm: bool = False
    attention_bias: bool = True
    feed_forward_bias: bool = True
    norm_bias: bool = True
    rotary_base: float = 10_000.0
    local_rotary_base: float = 10_000.0
    local_window: int = 128
    global_every: int = 1
    heads: HeadConfig = HeadConfig()

    def __post_init__(self):
        subject = type(self).__name__
        if isinstance(self.heads, dict):
            object.__setattr__(self, "heads", HeadConfig(**self.heads))
        sizes = ("vocabulary_size", "hidden_dim", "num_layers", "num_heads", "intermediate_dim", "max_length")
        check_positive_int(
            subject,
            **{name: getattr(self, name) for name in (*sizes, "local_window", "global_every")},
            **{
                name: getattr(self, name) for name in ("embedding_dim", "num_groups") if getattr(self, name) is not None
            },
        )
        for name in ("num_segments", "pad_token_id"):
            if type(getattr(self, name)) is not int or getattr(self, name) != 0:
                check_positive_int(subject, **{name: getattr(self, name)})
        for name in ("pooler", "pre_norm", "attention_bias", "feed_forward_bias", "norm_bias"):
            check_choice(subject, name, getattr(self, name), (True, False))
        check_choice(subject, "family", self.family, FAMILY_NAMES)
        check_choice(subject, "positions", self.positions, POSITIONS)
        if self.hidden_dim % self.num_heads:
            raise ValueError(
                f"{subject}: hidden_dim must be divisible by num_heads. Received: hidden_dim={self.hidden_dim}, "
                f"num_heads={self.num_heads}. Use num_heads={' or '.join(map(str, self._nearest_num_heads()))}."
            )
        if self.positions == "rotary" and self.head_dim % 2:
            raise ValueError(f"{subject}: rotary positions need an even head size. Received: head_dim={self.head_dim}.")
        if self.num_groups is not None and self.num_groups > self.num_layers:
            raise ValueError(
                f"{subject}: num_groups must be at most num_layers. Received: num_groups={self.num_groups}, "
                f"num_layers={self.num_layers}."
            )
        check_choice(subject, "activation", self.activation, ACTIVATIONS)
        check_rate(subject, dropout_rate=self.dropout_rate, attention_dropout_rate=self.attention_dropout_rate)
        if self.embedding_dropout_rate is not None:
            check_rate(subject, embedding_dropout_rate=self.embedding_dropout_rate)
        for name in ("layer_norm_epsilon", "initializer_range", "rotary_base", "local_rotary_base"):
            if not isinstance(getattr(self, name), numbers.Real):
                raise TypeError(f"{subject}: {name} must be a number. Received: {name}={getattr(self, name)!r}.")
            if not getattr(self, name) > 0:
                raise ValueError(f"{subject}: {name} must be above 0. Received: {name}={getattr(self, name)!r}.")

    def _nearest_num_heads(self):
        divisors = [
            n for n in range(1, min(self.hidden_dim, 4 * self.num_heads, 10_000) + 1) if self.hidden_dim % n == 0
        ]
        return sorted(sorted(divisors, key=lambda n: abs(n - self.num_heads))[:2])

    @property
    def head_dim(self):
        """Width of one attention head."""
        return self.hidden_dim // self.num_heads

    @property
    def position_offset(self):
        """Rows of the position table before that of the first token."""
        return self.pad_token_id + 1 if self.positions == "after_padding" else 0

    @property
    def num_parameters(self):
        """Weights of the encoder, its pooler included.

        Example:
        >>> from keras_bert_suite import EncoderConfig
        >>> EncoderConfig().num_parameters
        109482240
        """
        hidden, inner, embedding = self.hidden_dim, self.intermediate_dim, self.embedding_dim or self.hidden_dim
        norm = 1 + self.norm_bias
        rows = self.vocabulary_size + self.num_segments
        rows += 0 if self.positions == "rotary" else self.max_length + self.position_offset
        projection = 0 if self.embedding_dim is None else (embedding + 1) * hidden
        attention = 4 * hidden * (hidden + self.attention_bias)
        widths = 2 * inner if self.pre_norm else inner
        feed_forward = hidden * (widths + inner) + (widths + hidden) * self.feed_forward_bias
        blocks = (self.num_groups or self.num_layers) * (attention + feed_forward + 2 * hidden * norm)
        # A pre-norm encoder ends with one norm more, and its first block begins with one less.
        return rows * embedding + embedding * norm + projection + blocks + self.pooler * hidden * (hidden + 1)

    def replace(self, **changes):
        """Return a copy with `changes` made, checked like a new one."""
        return dataclasses.replace(self, **changes)

    def to_dict(self):
        """Return the values as plain JSON types that `EncoderConfig(**values)` takes back."""
        return dataclasses.asdict(self)


_ROBERTA = EncoderConfig(
    family="roberta",
    vocabulary_size=50265,
    num_segments=1,
    layer_norm_epsilon=1e-5,
    pad_token_id=1,
    positions="after_padding",
    heads=HeadConfig(pooling="first", activation="tanh", input_dropout=True, masked_lm_activation="gelu"),
)

#: What each family is made of, at its base size.
FAMILIES = {
    "bert": EncoderConfig(),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA.replace(family="xlm-roberta", vocabulary_size=250002),
    "camembert": _ROBERTA.replace(family="camembert", vocabulary_size=32005),
    "distilbert": EncoderConfig(
        family="distilbert",
        num_layers=6,
        num_segments=0,
        pooler=False,
        heads=HeadConfig(
            pooling="first", activation="relu", dropout_rate=0.2, token_dropout_rate=0.1, question_dropout_rate=0.1
        ),
    ),
    "albert": EncoderConfig(
        family="albert",
        vocabulary_size=30000,
        embedding_dim=128,
        num_groups=1,
        activation="gelu_tanh",
        dropout_rate=0.0,
        attention_dropout_rate=0.0,
        heads=HeadConfig(dropout_rate=0.1),
    ),
    "electra": EncoderConfig(
        family="electra",
        pooler=False,
        heads=HeadConfig(pooling="first", activation="gelu", input_dropout=True, masked_lm_activation="gelu"),
    ),
    "modernbert": EncoderConfig(
        family="modernbert",
        vocabulary_size=50368,
        num_layers=22,
        intermediate_dim=1152,
        max_length=8192,
        num_segments=0,
        layer_norm_epsilon=1e-5,
        dropout_rate=0.0,
        attention_dropout_rate=0.0,
        embedding_dropout_rate=0.0,
        pad_token_id=50283,
        positions="rotary",
        pooler=False,
        pre_norm=True,
        attention_bias=False,
        feed_forward_bias=False,
        norm_bias=False,
        rotary_base=160_000.0,
        global_every=3,
        heads=HeadConfig(
            pooling="first", activation="gelu", on_tokens=True, norm=True, use_bias=False, dropout_rate=0.0
        ),
    ),
}


def _sized(family, num_layers, hidden_dim, **values):
    """A config of a family with heads of 64 and a feed-forward part four times as wide."""
    sizes = {"num_heads": hidden_dim // 64, "intermediate_dim": 4 * hidden_dim, **values}
    return FAMILIES[family].replace(num_layers=num_layers, hidden_dim=hidden_dim, **sizes)


#: The published sizes by name. Sources: Devlin et al. 2018, Turc et al. 2019 (the miniatures), Liu et al. 2019,
#: Conneau et al. 2019, Sanh et al. 2019, Lan et al. 2019, Clark et al. 2020, Warner et al. 2024.
PRESETS = {
    "bert-tiny": _sized("bert", 2, 128),
    "bert-mini": _sized("bert", 4, 256),
    "bert-small": _sized("bert", 4, 512),
    "bert-medium": _sized("bert", 8, 512),
    "bert-base-uncased": FAMILIES["bert"],
    "bert-base-cased": FAMILIES["bert"].replace(vocabulary_size=28996),
    "bert-base-chinese": FAMILIES["bert"].replace(vocabulary_size=21128),
    "bert-base-multilingual-cased": FAMILIES["bert"].replace(vocabulary_size=119547),
    "bert-large-uncased": _sized("bert", 24, 1024),
    "bert-large-cased": _sized("bert", 24, 1024, vocabulary_size=28996),
    "roberta-base": FAMILIES["roberta"],
    "roberta-large": _sized("roberta", 24, 1024),
    "xlm-roberta-base": FAMILIES["xlm-roberta"],
    "xlm-roberta-large": _sized("xlm-roberta", 24, 1024),
    "distilbert-base-uncased": FAMILIES["distilbert"],
    "distilbert-base-cased": FAMILIES["distilbert"].replace(vocabulary_size=28996),
    "albert-base-v2": _sized("albert", 12, 768),
    "albert-large-v2": _sized("albert", 24, 1024),
    "electra-small-discriminator": _sized("electra", 12, 256, embedding_dim=128),
    "electra-small-generator": _sized("electra", 12, 256, embedding_dim=128),
    "electra-base-discriminator": FAMILIES["electra"],
    "electra-large-discriminator": _sized("electra", 24, 1024),
    "modernbert-base": FAMILIES["modernbert"],
    "modernbert-large": FAMILIES["modernbert"].replace(
        num_layers=28, hidden_dim=1024, num_heads=16, intermediate_dim=2624
    ),
}

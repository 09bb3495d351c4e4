"""Writes layers.npz: what single modules of `transformers` and `sentence_transformers` compute, with random weights.

It holds `input/NAME`, shared by all cases; `weight/GROUP/NAME` under Hugging Face's
names, shared by the cases of one group; and `output/CASE`. Masks have holes and
trailing padding, ids of padding also stand between tokens.
Run from the repository root: python -m tests.golden.layers_make
"""

from pathlib import Path

import numpy as np
import sentence_transformers
import torch
import transformers
from sentence_transformers.sentence_transformer.modules.pooling import Pooling
from transformers.masking_utils import create_bidirectional_mask, create_bidirectional_sliding_window_mask
from transformers.models.albert.modeling_albert import AlbertEmbeddings
from transformers.models.bert.modeling_bert import BertLMPredictionHead
from transformers.models.distilbert.modeling_distilbert import Embeddings as DistilBertEmbeddings
from transformers.models.modernbert.modeling_modernbert import (
    ModernBertEmbeddings,
    ModernBertEncoderLayer,
    ModernBertPredictionHead,
    ModernBertRotaryEmbedding,
)
from transformers.models.roberta.modeling_roberta import RobertaEmbeddings

#: Unequal sizes: equal ones hide swapped axes.
VOCABULARY, HIDDEN, HEADS, INTERMEDIATE, NARROW, LONGEST = 31, 12, 3, 20, 8, 17
SHAPE = (3, 9)
PADDING = 4
EPSILON = 1e-3
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": HIDDEN,
    "num_hidden_layers": 4,
    "num_attention_heads": HEADS,
    "intermediate_size": INTERMEDIATE,
    "max_position_embeddings": LONGEST,
    "layer_norm_eps": EPSILON,
    "pad_token_id": PADDING,
}
MODERNBERT = {
    "norm_eps": EPSILON,
    "local_attention": 4,
    "global_attn_every_n_layers": 3,
    "attn_implementation": "eager",
}
BIASED = {"norm_bias": True, "attention_bias": True, "mlp_bias": True, "hidden_activation": "silu"}

#: Case -> index of the layer, which tells a first, a global and a local one apart; and changes of the config.
BLOCKS = {"first": (0, {}), "local": (1, {}), "global": (3, {}), "biased": (2, BIASED)}
#: Our name of a way to pool -> theirs.
POOLINGS = {
    "first": "cls",
    "last": "lasttoken",
    "mean": "mean",
    "max": "max",
    "mean_sqrt_length": "mean_sqrt_len_tokens",
    "weighted_mean": "weightedmean",
}


def modernbert_config(**changes):
    sizes = {name: value for name, value in SIZES.items() if name != "layer_norm_eps"}
    ids = {"bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
    return transformers.ModernBertConfig(**sizes, **ids, **{**MODERNBERT, **changes})


class Weights:
    """Draws every weight once, by group and name, so that modules of one group share them."""

    def __init__(self, rng):
        self.rng = rng
        self.drawn = {}

    def fill(self, group, module):
        """Give a module the group's weights, norms and biases too, and return it ready for inference."""
        for name, parameter in module.named_parameters():
            key = f"weight/{group}/{name}"
            if key not in self.drawn:
                gamma = parameter.ndim == 1 and name.endswith("weight")
                self.drawn[key] = (self.rng.normal(0, 0.3, parameter.shape) + gamma).astype("float32")
            parameter.data = torch.tensor(self.drawn[key])
        return module.eval()


def make_inputs(rng):
    token_ids = rng.integers(PADDING + 1, VOCABULARY, SHAPE)
    padding_mask = np.ones(SHAPE)
    padding_mask[0, [2, 7]] = 0  # holes
    padding_mask[1, 6:] = 0
    padding_mask[2, [1, 3, 8]] = 0
    token_ids[1, 6:] = PADDING
    token_ids[2, 4] = PADDING  # between tokens
    return {
        "hidden_states": rng.normal(0, 1, (*SHAPE, HIDDEN)).astype("float32"),
        **{
            name: array.astype("int32")
            for name, array in {
                "token_ids": token_ids,
                "segment_ids": rng.integers(0, 2, SHAPE),
                "padding_mask": padding_mask,
            }.items()
        },
    }


def pre_norm_blocks(weights, hidden_states, mask):
    """ModernBERT's layers; and their attention and feed-forward parts, each on the same hidden states."""
    for case, (index, changes) in BLOCKS.items():
        config = modernbert_config(**changes)
        layer = weights.fill("block", ModernBertEncoderLayer(config, index))
        local = layer.attention_type == "sliding_attention"
        make_mask = create_bidirectional_sliding_window_mask if local else create_bidirectional_mask
        positions = torch.arange(SHAPE[1]).unsqueeze(0)
        given = {
            "attention_mask": make_mask(config=config, inputs_embeds=hidden_states, attention_mask=mask),
            "position_embeddings": ModernBertRotaryEmbedding(config)(hidden_states, positions, layer.attention_type),
        }
        yield f"block_{case}", layer(hidden_states, **given)
        yield f"attention_{case}", layer.attn(hidden_states, **given)[0]
        if case in ("global", "biased"):
            yield f"feed_forward_{case}", layer.mlp(hidden_states)


def embeddings(weights, token_ids, segment_ids):
    """Every kind of embeddings there is beside BERT's."""
    roberta = transformers.RobertaConfig(
        **{**SIZES, "max_position_embeddings": LONGEST + PADDING + 1}, type_vocab_size=2
    )
    yield "embeddings_after_padding", weights.fill("roberta", RobertaEmbeddings(roberta))(token_ids, segment_ids)
    albert = transformers.AlbertConfig(**SIZES, embedding_size=NARROW, type_vocab_size=2)
    narrow = weights.fill("albert", AlbertEmbeddings(albert))(token_ids, segment_ids)
    projection = weights.fill("albert_mapping", torch.nn.Linear(NARROW, HIDDEN))
    yield "embeddings_narrow", projection(narrow)
    yield "embeddings_rotary", weights.fill("modernbert", ModernBertEmbeddings(modernbert_config()))(token_ids)
    distilbert = transformers.DistilBertConfig(
        vocab_size=VOCABULARY, dim=HIDDEN, max_position_embeddings=LONGEST, pad_token_id=PADDING
    )
    yield "embeddings_no_segments", weights.fill("distilbert", DistilBertEmbeddings(distilbert))(token_ids)


def heads(weights, hidden_states):
    """The layers before the output of heads, and the scores of a masked language model."""
    head = weights.fill("head", ModernBertPredictionHead(modernbert_config(classifier_activation="gelu")))
    yield "transform_no_bias", head(hidden_states)
    masked_lm = weights.fill("masked_lm", BertLMPredictionHead(transformers.BertConfig(**SIZES, hidden_act="gelu_new")))
    masked_lm.bias.data.zero_()  # the decoder's own is the one that counts
    yield "transform", masked_lm.transform(hidden_states)
    yield "vocabulary_logits", masked_lm.decoder(hidden_states)


def poolings(hidden_states, mask):
    for ours, theirs in POOLINGS.items():
        features = {"token_embeddings": hidden_states, "attention_mask": mask}
        yield f"pooling_{ours}", Pooling(HIDDEN, theirs)(features)["sentence_embedding"]


def golden():
    """Inputs, weights and outputs, by name."""
    rng = np.random.default_rng(0)
    inputs = make_inputs(rng)
    weights = Weights(rng)
    hidden_states = torch.tensor(inputs["hidden_states"])
    token_ids, segment_ids, mask = (
        torch.tensor(inputs[name], dtype=torch.long) for name in ("token_ids", "segment_ids", "padding_mask")
    )
    with torch.no_grad():
        outputs = {
            **dict(pre_norm_blocks(weights, hidden_states, mask)),
            **dict(embeddings(weights, token_ids, segment_ids)),
            **dict(heads(weights, hidden_states)),
            **dict(poolings(hidden_states, mask)),
        }
    del weights.drawn["weight/masked_lm/bias"]
    versions = f"transformers {transformers.__version__}, sentence_transformers {sentence_transformers.__version__}"
    return {
        "made_with": np.array(f"{versions}: python -m tests.golden.layers_make"),
        **{f"input/{name}": array for name, array in inputs.items()},
        **weights.drawn,
        **{f"output/{name}": array.numpy() for name, array in outputs.items()},
    }


if __name__ == "__main__":
    np.savez_compressed(Path(__file__).with_name("layers.npz"), **golden())

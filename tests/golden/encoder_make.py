"""Writes encoder_gelu.npz and encoder_gelu_tanh.npz: what `transformers` computes with a small random BERT.

Each holds `weight/NAME` under Hugging Face's names, `input/NAME` and `output/NAME`
under ours, and `config`, the JSON of config.json. Masks and segments are random,
so that padding also stands between tokens.
Run from the repository root: python -m tests.golden.encoder_make
"""

import json
from pathlib import Path

import numpy as np
import torch
import transformers

#: Unequal sizes: equal ones hide swapped axes.
SIZES = {
    "vocab_size": 31,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "max_position_embeddings": 17,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-5,
}
NUM_LABELS = 5
#: Our name of an activation -> theirs.
ACTIVATIONS = {"gelu": "gelu", "gelu_tanh": "gelu_new"}
#: Our name of an output -> the module of `BertForSequenceClassification` that computes it.
OUTPUTS = {
    "embeddings": "bert.embeddings",
    "self_attention": "bert.encoder.layer.0.attention.output.dense",
    "attention_norm": "bert.encoder.layer.0.attention",
    "feed_forward": "bert.encoder.layer.0.output.dense",
    "block_0": "bert.encoder.layer.0",
    "sequence_output": "bert.encoder.layer.1",
    "pooled_output": "bert.pooler",
    "logits": "classifier",
}


def golden(hidden_act, seed):
    """Weights, inputs and outputs of one random model, by name."""
    rng = np.random.default_rng(seed)
    config = transformers.BertConfig(**SIZES, num_labels=NUM_LABELS, hidden_act=hidden_act, attn_implementation="eager")
    model = transformers.BertForSequenceClassification(config).eval()
    for name, parameter in model.named_parameters():  # norms and biases too, so that none of them is neutral
        values = rng.normal(0, 0.3, parameter.shape) + name.endswith("LayerNorm.weight")
        parameter.data = torch.tensor(values.astype("float32"))
    shape = (4, 11)
    inputs = {
        "token_ids": rng.integers(0, SIZES["vocab_size"], shape),
        "segment_ids": rng.integers(0, SIZES["type_vocab_size"], shape),
        "padding_mask": rng.random(shape) < 0.7,
    }
    inputs["padding_mask"][:, 0] = True  # the pooler's token
    inputs = {name: values.astype("int32") for name, values in inputs.items()}
    outputs = {}

    def keep(name):
        def hook(module, arguments, output):
            outputs[name] = (output[0] if isinstance(output, tuple) else output).numpy()

        return hook

    for name, module in OUTPUTS.items():
        model.get_submodule(module).register_forward_hook(keep(name))
    tensors = {name: torch.tensor(values, dtype=torch.long) for name, values in inputs.items()}
    with torch.no_grad():
        model(
            input_ids=tensors["token_ids"],
            token_type_ids=tensors["segment_ids"],
            attention_mask=tensors["padding_mask"],
        )
    return {
        "config": np.array(json.dumps({**SIZES, "hidden_act": hidden_act, "model_type": "bert"})),
        "made_with": np.array(f"transformers {transformers.__version__}: python -m tests.golden.encoder_make"),
        **{f"weight/{name}": parameter.detach().numpy() for name, parameter in model.named_parameters()},
        **{f"input/{name}": values for name, values in inputs.items()},
        **{f"output/{name}": values for name, values in outputs.items()},
    }


if __name__ == "__main__":
    for seed, (name, hidden_act) in enumerate(ACTIVATIONS.items()):
        np.savez_compressed(Path(__file__).with_name(f"encoder_{name}.npz"), **golden(hidden_act, seed))

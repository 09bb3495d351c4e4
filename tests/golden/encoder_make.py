"""Writes encoder_*.npz: what `transformers` computes with small random BERTs, stage by stage.

Run from the repository root: python -m tests.golden.encoder_make
"""

from pathlib import Path

import numpy as np
import torch
import transformers

SIZES = {
    "vocab_size": 31,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "max_position_embeddings": 17,
}


def main():
    for name, activation in (("gelu", "gelu"), ("gelu_tanh", "gelu_new")):
        torch.manual_seed(7)
        config = transformers.BertConfig(**SIZES, hidden_act=activation, num_labels=5)
        model = transformers.BertForSequenceClassification(config).eval()
        with torch.no_grad():
            for weight in model.parameters():  # norms and biases too, so that none of them is neutral
                weight.copy_(torch.randn(weight.shape) * 0.5)
        rng = np.random.default_rng(7)
        inputs = {
            "token_ids": rng.integers(0, 31, (4, 9)),
            "segment_ids": rng.integers(0, 2, (4, 9)),
            "padding_mask": (rng.random((4, 9)) < 0.7).astype(int),
        }
        inputs["padding_mask"][:, 0] = 1
        tensors = {key: torch.tensor(value) for key, value in inputs.items()}
        with torch.no_grad():
            embedded = model.bert.embeddings(tensors["token_ids"], tensors["segment_ids"])
            output = model(
                input_ids=tensors["token_ids"],
                token_type_ids=tensors["segment_ids"],
                attention_mask=tensors["padding_mask"],
                output_hidden_states=True,
            )
            pooled = model.bert.pooler(output.hidden_states[-1])
        outputs = {
            "embeddings": embedded,
            "block_0": output.hidden_states[1],
            "sequence_output": output.hidden_states[-1],
            "pooled_output": pooled,
            "logits": output.logits,
        }
        np.savez_compressed(
            Path(__file__).parent / f"encoder_{name}.npz",
            **{f"input/{key}": value.astype("int32") for key, value in inputs.items()},
            **{f"output/{key}": value.numpy() for key, value in outputs.items()},
            **{f"weight/{key}": value.numpy() for key, value in model.state_dict().items()},
        )


if __name__ == "__main__":
    main()

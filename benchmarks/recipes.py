"""What the comparisons of scores share: the recipe in plain PyTorch, the options, and how results are told.

The recipe is that of Devlin et al.: AdamW, weight decay 0.01 but none on biases
and norms, 10 % warm-up, linear decay, gradients clipped at 1.
"""

import json
import statistics
import time

from turns import machine, say, versions


def add_options(parser, systems, batch_size=32, epochs=3, learning_rate=1e-4):
    """Declare what every comparison takes."""
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="directory or installed model")
    parser.add_argument("--examples", type=int, help="how many training examples to use at most")
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--batch-size", type=int, default=batch_size)
    parser.add_argument("--learning-rate", type=float, default=learning_rate)
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--only", choices=systems, nargs="+", default=systems)
    parser.add_argument("--json", action="store_true", help="print JSON")


def train_network(network, count, loss_of, options):
    """Train a PyTorch network.

    Args:
        network: `torch.nn.Module`, left in evaluation mode.
        count: int. Examples.
        loss_of: function from int64 `(B,)`, places of examples, to their loss.
        options: the parsed arguments.
    """
    import torch
    import transformers

    plain = [weight for name, weight in network.named_parameters() if name.endswith("bias") or "LayerNorm" in name]
    decayed = [weight for weight in network.parameters() if all(weight is not other for other in plain)]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=options.learning_rate)
    steps = options.epochs * -(-count // options.batch_size)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, int(steps * 0.1), steps)
    network.train()
    for _ in range(options.epochs):
        for rows in torch.randperm(count).split(options.batch_size):
            loss_of(rows).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    network.eval()


def padded_batch(tokenizer, encoded, rows):
    """Return some rows of what a tokenizer of transformers gave, padded to their longest."""
    return tokenizer.pad({name: [values[row] for row in rows] for name, values in encoded.items()}, return_tensors="pt")


def compare(systems, options, score, facts):
    """Train each system with each seed and print the scores.

    Args:
        systems: dict from a name to a value.
        options: the parsed arguments.
        score: function from such a value and a seed to a float, or a dict of them.
        facts: dict, what was trained on and tested.
    """
    import keras

    results = {}
    for seed in range(options.seeds):
        for name, system in systems.items():
            started = time.perf_counter()
            found = score(system, seed)
            for measure, value in found.items() if isinstance(found, dict) else [("", found)]:
                results.setdefault(f"{name} {measure}".strip(), []).append(value)
            say(f"seed {seed}: {name} {found}, {time.perf_counter() - started:.0f} s")
    recipe = {name: getattr(options, name) for name in ("epochs", "batch_size", "learning_rate")}
    about = {"machine": machine(2), "backend": keras.backend.backend(), "versions": versions(), **facts, **recipe}
    if options.json:
        print(json.dumps({**about, "scores": results}, indent=2))
        return
    print(f"{about['machine']}; Keras on {about['backend']}")
    print("; ".join(f"{name} {value}" for name, value in {**facts, **recipe}.items()))
    for name, values in results.items():
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        each = " ".join(f"{value:.4f}" for value in values)
        print(f"{name:28} {statistics.mean(values):.4f} +- {spread:.4f}   ({each})")

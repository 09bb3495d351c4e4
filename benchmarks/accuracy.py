"""Test accuracy after fine-tuning with one recipe: ours on the running backend, and transformers.

The recipe is that of Devlin et al.: AdamW, weight decay 0.01 but none on biases
and norms, 10 % warm-up, linear decay, gradients clipped at 1, dropout 0.1,
batches of 32. Each seed trains both from the same weights, with the head's new
weights and the order of examples of its own.

    python benchmarks/accuracy.py
    python benchmarks/accuracy.py --train train.tsv --test test.tsv --epochs 3 --learning-rate 1e-4 --json
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from turns import machine, say, versions

from keras_bert_suite.cli.shared import columns_from
from keras_bert_suite.data import read_examples
from keras_bert_suite.source import resolve_source

ROOT = Path(__file__).resolve().parents[1]
MAX_LENGTH = 128
BATCH_SIZE = 32


def train_ours(model, train, test, labels, epochs, learning_rate, seed):
    from keras_bert_suite import TextClassifier

    classifier = TextClassifier.from_pretrained(model, labels=labels, max_length=MAX_LENGTH)
    classifier.compile(learning_rate=learning_rate)
    texts, pairs, targets = train
    classifier.fit(texts, targets, pairs=pairs, epochs=epochs, batch_size=BATCH_SIZE, seed=seed, verbose=0)
    texts, pairs, targets = test
    return classifier.evaluate(texts, targets, pairs=pairs)["accuracy"]


def train_transformers(model, train, test, labels, epochs, learning_rate, seed):
    import torch
    import transformers

    transformers.set_seed(seed)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    network = transformers.AutoModelForSequenceClassification.from_pretrained(model, num_labels=len(labels))
    plain = [weight for name, weight in network.named_parameters() if name.endswith("bias") or "LayerNorm" in name]
    decayed = [weight for weight in network.parameters() if all(weight is not other for other in plain)]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=learning_rate)
    steps = epochs * -(-len(train[0]) // BATCH_SIZE)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, int(steps * 0.1), steps)

    def batch(encoded, rows):
        return tokenizer.pad(
            {name: [values[row] for row in rows] for name, values in encoded.items()}, return_tensors="pt"
        )

    encoded = tokenizer(train[0], train[1], truncation=True, max_length=MAX_LENGTH)
    targets = torch.tensor([labels.index(label) for label in train[2]])
    network.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(targets)).split(BATCH_SIZE):
            network(**batch(encoded, rows), labels=targets[rows]).loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    network.eval()
    encoded = tokenizer(test[0], test[1], truncation=True, max_length=MAX_LENGTH)
    order = np.argsort([len(ids) for ids in encoded["input_ids"]])
    found = np.zeros(len(order), int)
    with torch.inference_mode():
        for start in range(0, len(order), BATCH_SIZE):
            rows = order[start : start + BATCH_SIZE].tolist()
            found[rows] = network(**batch(encoded, rows)).logits.argmax(-1).numpy()
    return float((found == [labels.index(label) for label in test[2]]).mean())


SYSTEMS = {"ours": train_ours, "transformers": train_transformers}


def read(path, columns, count=None):
    """Return texts, second texts or `None`, and labels, `count` of them at random."""
    rows = list(read_examples(path, require_label=True, columns=columns))
    if count is not None:
        rows = [rows[index] for index in np.random.default_rng(0).permutation(len(rows))[:count]]
    pairs = [row.text_b for row in rows] if rows[0].text_b is not None else None
    return [row.text for row in rows], pairs, [row.label for row in rows]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="directory or installed model")
    parser.add_argument("--train", type=Path, default=ROOT / "examples" / "data" / "train.tsv")
    parser.add_argument("--test", type=Path, default=ROOT / "examples" / "data" / "test.tsv")
    parser.add_argument("--columns", metavar="KEY=NAME,...", help="as in kbs finetune")
    parser.add_argument("--examples", type=int, help="how many training examples to use at most")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--only", choices=list(SYSTEMS), nargs="+", default=list(SYSTEMS))
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()

    import keras

    model = str(resolve_source(arguments.model))
    columns = columns_from(arguments.columns)
    train, test = read(arguments.train, columns, arguments.examples), read(arguments.test, columns)
    labels = sorted(set(train[2]) | set(test[2]))
    results = {system: [] for system in arguments.only}
    for seed in range(arguments.seeds):
        for system in arguments.only:
            started = time.perf_counter()
            accuracy = SYSTEMS[system](model, train, test, labels, arguments.epochs, arguments.learning_rate, seed)
            results[system].append(accuracy)
            say(f"seed {seed}: {system} {accuracy:.4f}, {time.perf_counter() - started:.0f} s")
    report = {
        "machine": machine(2),
        "backend": keras.backend.backend(),
        "versions": versions(),
        "train": str(arguments.train),
        "examples": {"train": len(train[0]), "test": len(test[0])},
        "recipe": {"epochs": arguments.epochs, "learning_rate": arguments.learning_rate},
        "accuracy": results,
    }
    if arguments.json:
        print(json.dumps(report, indent=2))
        return 0
    print(f"{report['machine']}; Keras on {report['backend']}")
    print(
        f"{len(train[0]):,} examples, {len(labels)} labels, {arguments.epochs} epochs at {arguments.learning_rate:g}, "
        f"tested on {len(test[0]):,}; {arguments.seeds} seeds"
    )
    for system, values in results.items():
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        each = " ".join(f"{value:.2%}" for value in values)
        print(f"{system:14} {statistics.mean(values):.2%} +- {spread:.2%}   ({each})")
    return 0


if __name__ == "__main__":
    sys.exit(main())

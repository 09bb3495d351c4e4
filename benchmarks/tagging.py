"""F1 of spans after fine-tuning with one recipe: ours on the running backend, and transformers.

The recipe is that of benchmarks/accuracy.py: AdamW, weight decay 0.01 but none
on biases and norms, 10 % warm-up, linear decay, gradients clipped at 1, batches
of 32. Labels stand at the first piece of each word; words beyond the longest
row are cut off in the training of transformers, as its own example does. Both
are scored by `seqeval` on the words of the test set.

    python benchmarks/tagging.py --train train.conll --test test.conll
    python benchmarks/tagging.py --train train.tsv --test test.tsv --columns text=1,label=2 --crf --json
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

from keras_bert_suite.data import read_tagged
from keras_bert_suite.data.tag_schemes import convert_tags, find_scheme, tags_to_spans
from keras_bert_suite.errors import require
from keras_bert_suite.source import resolve_source

MAX_LENGTH = 128
BATCH_SIZE = 32


def train_ours(model, train, test, labels, options, seed, crf=False):
    from keras_bert_suite.tasks.token_classifier import TokenClassifier

    tagger = TokenClassifier.from_pretrained(model, labels=labels, max_length=MAX_LENGTH, replace_head=True, crf=crf)
    tagger.compile(learning_rate=options.learning_rate)
    tagger.fit(*train, epochs=options.epochs, batch_size=BATCH_SIZE, seed=seed, verbose=0)
    return [answer["tags"] for answer in tagger.predict(test[0])]


def train_transformers(model, train, test, labels, options, seed):
    import torch
    import transformers

    transformers.set_seed(seed)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    network = transformers.AutoModelForTokenClassification.from_pretrained(
        model, num_labels=len(labels), ignore_mismatched_sizes=True
    )
    plain = [weight for name, weight in network.named_parameters() if name.endswith("bias") or "LayerNorm" in name]
    decayed = [weight for weight in network.parameters() if all(weight is not other for other in plain)]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=options.learning_rate)
    steps = options.epochs * -(-len(train[0]) // BATCH_SIZE)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, int(steps * 0.1), steps)

    def encode(words):
        encoded = tokenizer(words, is_split_into_words=True, truncation=True, max_length=MAX_LENGTH)
        ids = [encoded.word_ids(row) for row in range(len(words))]
        return encoded, [
            [-1 if word is None or word in row[:at] else word for at, word in enumerate(row)] for row in ids
        ]

    def batch(encoded, rows):
        return tokenizer.pad(
            {name: [values[row] for row in rows] for name, values in encoded.items()}, return_tensors="pt"
        )

    encoded, firsts = encode(train[0])
    targets = [
        [labels.index(tags[word]) if word >= 0 else -100 for word in row]
        for tags, row in zip(train[1], firsts, strict=True)
    ]
    network.train()
    for _ in range(options.epochs):
        for rows in torch.randperm(len(targets)).split(BATCH_SIZE):
            inputs = batch(encoded, rows)
            answers = torch.full(inputs["input_ids"].shape, -100)
            for place, row in enumerate(rows.tolist()):
                answers[place, : len(targets[row])] = torch.tensor(targets[row])
            network(**inputs, labels=answers).loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    network.eval()
    encoded, firsts = encode(test[0])
    found = [["O"] * len(words) for words in test[0]]
    with torch.inference_mode():
        for rows in torch.arange(len(found)).split(BATCH_SIZE):
            best = network(**batch(encoded, rows)).logits.argmax(-1).tolist()
            for row, tags in zip(rows.tolist(), best, strict=True):
                for word, tag in zip(firsts[row], tags, strict=False):
                    if word >= 0:
                        found[row][word] = labels[tag]
    return found


SYSTEMS = {"ours": train_ours, "transformers": train_transformers}


def read(path, columns, scheme=None, count=None):
    """Return words and tags of each text, `count` of them at random, and their scheme."""
    rows = list(read_tagged(path, columns=columns))
    if count is not None:
        rows = [rows[index] for index in np.random.default_rng(0).permutation(len(rows))[:count]]
    scheme = scheme or find_scheme([row.tags for row in rows])
    return ([row.tokens for row in rows], [convert_tags(row.tags, scheme) for row in rows]), scheme


def columns_from(text):
    """Read `text=1,label=2`."""
    return {key: int(value) for key, _, value in (part.partition("=") for part in text.split(","))} if text else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="directory or installed model")
    parser.add_argument("--train", type=Path, required=True, help="CoNLL columns")
    parser.add_argument("--test", type=Path, required=True, help="CoNLL columns")
    parser.add_argument(
        "--columns", metavar="text=N,label=N", help="positions from 0 (default: the first and the last)"
    )
    parser.add_argument("--examples", type=int, help="how many training texts to use at most")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--crf", action="store_true", help="train ours with a conditional random field too")
    parser.add_argument("--only", choices=list(SYSTEMS), nargs="+", default=list(SYSTEMS))
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()

    import keras

    score = require("seqeval.metrics", "This benchmark").f1_score
    model = str(resolve_source(arguments.model))
    columns = columns_from(arguments.columns)
    train, scheme = read(arguments.train, columns, count=arguments.examples)
    test, _ = read(arguments.test, columns, scheme)
    labels = sorted({tag for tags in (*train[1], *test[1]) for tag in tags}, key=lambda tag: (tag != "O", tag))
    systems = {name: SYSTEMS[name] for name in arguments.only}
    if arguments.crf:
        systems["ours, crf"] = lambda *rest: train_ours(*rest, crf=True)
    results = {system: [] for system in systems}
    for seed in range(arguments.seeds):
        for system, run in systems.items():
            started = time.perf_counter()
            found = run(model, train, test, labels, arguments, seed)
            results[system].append(float(score(test[1], found)))
            say(f"seed {seed}: {system} {results[system][-1]:.4f}, {time.perf_counter() - started:.0f} s")
    report = {
        "machine": machine(2),
        "backend": keras.backend.backend(),
        "versions": versions(),
        "train": str(arguments.train),
        "texts": {"train": len(train[0]), "test": len(test[0])},
        "spans": {
            "train": sum(map(len, map(tags_to_spans, train[1]))),
            "test": sum(map(len, map(tags_to_spans, test[1]))),
        },
        "scheme": scheme,
        "recipe": {"epochs": arguments.epochs, "learning_rate": arguments.learning_rate},
        "f1": results,
    }
    if arguments.json:
        print(json.dumps(report, indent=2))
        return 0
    print(f"{report['machine']}; Keras on {report['backend']}")
    print(
        f"{len(train[0]):,} texts, {len(labels)} tags ({scheme}), {arguments.epochs} epochs at "
        f"{arguments.learning_rate:g}, tested on {len(test[0]):,}; {arguments.seeds} seeds"
    )
    for system, values in results.items():
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        each = " ".join(f"{value:.2%}" for value in values)
        print(f"{system:14} F1 {statistics.mean(values):.2%} +- {spread:.2%}   ({each})")
    return 0


if __name__ == "__main__":
    sys.exit(main())

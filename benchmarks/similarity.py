"""Spearman correlation on scored pairs after training: ours on the running backend, and sentence-transformers.

Both train one model of embeddings with one recipe: the CoSENT loss, AdamW,
weight decay 0.01 but none on biases and norms, 10 % warm-up, linear decay,
gradients clipped at 1, dropout 0.1, batches of 32. Each seed has an order of
examples of its own. The files are those of STS-B: scores in column 4, texts in
5 and 6, no header, as they are distributed.

    KERAS_BACKEND=torch python benchmarks/similarity.py --train sts-train.tsv --test sts-test.tsv
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from turns import machine, say, versions

from keras_bert_suite.source import resolve_source

MAX_LENGTH = 128
BATCH_SIZE = 32


def train_ours(model, train, test, epochs, learning_rate, seed):
    from keras_bert_suite.tasks import TextEmbedder

    embedder = TextEmbedder.from_pretrained(model, max_length=MAX_LENGTH)
    embedder.compile(learning_rate=learning_rate)
    if epochs:
        embedder.fit(*train, epochs=epochs, batch_size=BATCH_SIZE, seed=seed, verbose=0)
    return embedder.evaluate(*test)["spearman"]


def train_sentence_transformers(model, train, test, epochs, learning_rate, seed):
    import torch
    import transformers
    from scipy.stats import spearmanr
    from sentence_transformers import SentenceTransformer, util
    from sentence_transformers.sentence_transformer.losses import CoSENTLoss

    transformers.set_seed(seed)
    network = SentenceTransformer(model, device="cpu")
    network.max_seq_length = MAX_LENGTH
    pairs, scores = train
    scores = torch.tensor(scores)
    plain = [weight for name, weight in network.named_parameters() if name.endswith("bias") or "LayerNorm" in name]
    decayed = [weight for weight in network.parameters() if all(weight is not other for other in plain)]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=learning_rate)
    steps = epochs * -(-len(pairs) // BATCH_SIZE)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, int(steps * 0.1), steps)
    loss = CoSENTLoss(network)
    network.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(pairs)).split(BATCH_SIZE):
            features = [network.tokenize([pairs[row][column] for row in rows.tolist()]) for column in (0, 1)]
            loss(features, scores[rows]).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    network.eval()
    pairs, scores = test
    vectors = [network.encode(list(column), show_progress_bar=False) for column in zip(*pairs, strict=True)]
    return float(spearmanr(util.pairwise_cos_sim(*vectors).numpy(), scores)[0])


SYSTEMS = {"ours": train_ours, "sentence-transformers": train_sentence_transformers}


def read(path):
    """Return pairs and scores of a file of STS-B, whose rows differ in what follows the texts."""
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").split("\n") if line]
    return [(row[5].strip(), row[6].strip()) for row in rows], [float(row[4]) for row in rows]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="directory or installed model")
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--learning-rate", type=float, default=5e-5)
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()

    import keras

    model = str(resolve_source(arguments.model))
    train, test = read(arguments.train), read(arguments.test)
    results = {name: {"spearman": [], "seconds": []} for name in SYSTEMS}
    for seed in range(arguments.seeds):
        for name, train_one in SYSTEMS.items():
            began = time.perf_counter()
            score = train_one(model, train, test, arguments.epochs, arguments.learning_rate, seed)
            results[name]["spearman"].append(score)
            results[name]["seconds"].append(time.perf_counter() - began)
            say(f"seed {seed}: {name} {score:.4f}, {results[name]['seconds'][-1]:.0f} s")
    report = {
        "machine": machine(2),
        "backend": keras.backend.backend(),
        "versions": versions(),
        "examples": {"train": len(train[0]), "test": len(test[0])},
        "recipe": {"epochs": arguments.epochs, "learning_rate": arguments.learning_rate},
        "results": results,
    }
    if arguments.json:
        print(json.dumps(report, indent=2))
        return 0
    print(f"{report['machine']}; Keras on {report['backend']}")
    print(
        f"{len(train[0]):,} pairs, {arguments.epochs} epochs at {arguments.learning_rate:g}, tested on "
        f"{len(test[0]):,}; {arguments.seeds} seeds"
    )
    for name, found in results.items():
        spread = statistics.stdev(found["spearman"]) if arguments.seeds > 1 else 0.0
        each = " ".join(f"{value:.4f}" for value in found["spearman"])
        seconds = statistics.median(found["seconds"])
        print(f"{name:22} {statistics.mean(found['spearman']):.4f} +- {spread:.4f}   ({each})   {seconds:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())

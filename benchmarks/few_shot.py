"""Test accuracy and time after training on a few examples a label: ours on the running backend, and setfit.

The recipe is that of SetFit (Tunstall et al. 2022): pairs of the examples, one
epoch of tuning under the cosine loss with AdamW, 10 % warm-up and linear decay,
then a logistic regression. Each draw gives both the same examples and the same
start. Where setfit cannot be imported, sentence-transformers trains on pairs
drawn alike, and scikit-learn fits the head.

    KERAS_BACKEND=torch python benchmarks/few_shot.py
    python benchmarks/few_shot.py --train train.csv --test test.csv --shots 8 --draws 5 --json
"""

import argparse
import contextlib
import importlib.util
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from accuracy import ROOT, read
from turns import machine, say, versions

from keras_bert_suite.cli.shared import columns_from
from keras_bert_suite.source import resolve_source

BATCH_SIZE = 16


def train_ours(model, texts, labels, num_pairs, learning_rate, seed):
    from keras_bert_suite.tasks.few_shot import FewShotClassifier

    classifier = FewShotClassifier.from_pretrained(model)
    classifier.compile(learning_rate=learning_rate)
    classifier.fit(texts, labels, batch_size=BATCH_SIZE, num_pairs=num_pairs, seed=seed, verbose=0)
    return lambda tests: [answer["label"] for answer in classifier.predict(tests)]


def train_setfit(model, texts, labels, num_pairs, learning_rate, seed):
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments

    classifier = SetFitModel.from_pretrained(model, device="cpu")
    # Its trainer prints where results go.
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        arguments = TrainingArguments(
            output_dir=folder,
            batch_size=BATCH_SIZE,
            num_epochs=1,
            num_iterations=num_pairs,
            body_learning_rate=learning_rate,
            seed=seed,
            save_strategy="no",
            report_to="none",
            show_progress_bar=False,
        )
        Trainer(classifier, arguments, train_dataset=Dataset.from_dict({"text": texts, "label": labels})).train()
    return lambda tests: list(classifier.predict(tests, show_progress_bar=False))


def train_recipe(model, texts, labels, num_pairs, learning_rate, seed):
    """The same recipe, written with sentence-transformers and scikit-learn."""
    import torch
    import transformers
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.losses import CosineSimilarityLoss
    from sklearn.linear_model import LogisticRegression

    from keras_bert_suite.tasks.few_shot import contrastive_pairs

    transformers.set_seed(seed)
    network = SentenceTransformer(model, device="cpu")
    rows, scores = contrastive_pairs(np.unique(labels, return_inverse=True)[1], num_pairs, seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=0.01)
    steps = -(-len(rows) // BATCH_SIZE)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, steps // 10, steps)
    loss = CosineSimilarityLoss(network)
    network.train()
    for batch in torch.randperm(len(rows)).split(BATCH_SIZE):
        features = [network.tokenize([texts[row] for row in rows[batch.numpy(), column]]) for column in (0, 1)]
        loss(features, torch.tensor(scores[batch.numpy()])).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    network.eval()
    head = LogisticRegression().fit(network.encode(texts, show_progress_bar=False), labels)
    return lambda tests: head.predict(network.encode(tests, show_progress_bar=False)).tolist()


def draw(labels, shots, seed):
    """Return the rows of `shots` examples of each label."""
    rng, labels = np.random.default_rng(seed), np.array(labels)
    chosen = [rng.permutation(np.flatnonzero(labels == label))[:shots] for label in np.unique(labels)]
    return rng.permutation(np.concatenate(chosen)).tolist()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="directory or installed model")
    parser.add_argument("--train", type=Path, default=ROOT / "examples" / "data" / "train.tsv")
    parser.add_argument("--test", type=Path, default=ROOT / "examples" / "data" / "test.tsv")
    parser.add_argument("--columns", metavar="KEY=NAME,...", help="as in kbs finetune")
    parser.add_argument("--shots", type=int, default=8, help="examples a label")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--num-pairs", type=int, default=20, help="pairs of either kind an example")
    parser.add_argument("--learning-rate", type=float, default=4e-5)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()

    import keras

    model = str(resolve_source(arguments.model))
    columns = columns_from(arguments.columns)
    texts, _, labels = read(arguments.train, columns)
    tests, _, right = read(arguments.test, columns)
    peer = ("setfit", train_setfit) if importlib.util.find_spec("setfit") else ("SetFit's recipe", train_recipe)
    systems = dict([("ours", train_ours), peer])
    results = {name: {"accuracy": [], "seconds": [], "cpu_seconds": []} for name in systems}
    for seed in range(arguments.draws):
        rows = draw(labels, arguments.shots, seed)
        few = [texts[row] for row in rows], [labels[row] for row in rows]
        for name in list(systems) if seed % 2 == 0 else list(systems)[::-1]:
            began, cpu_began = time.perf_counter(), time.process_time()
            predict = systems[name](model, *few, arguments.num_pairs, arguments.learning_rate, seed)
            results[name]["seconds"].append(time.perf_counter() - began)
            results[name]["cpu_seconds"].append(time.process_time() - cpu_began)
            results[name]["accuracy"].append(
                float(np.mean([a == b for a, b in zip(predict(tests), right, strict=True)]))
            )
            say(f"draw {seed}: {name} {results[name]['accuracy'][-1]:.4f}, {results[name]['seconds'][-1]:.0f} s")
    report = {
        "machine": machine(2),
        "backend": keras.backend.backend(),
        "versions": versions(),
        "train": str(arguments.train),
        "labels": len(set(labels)),
        "shots": arguments.shots,
        "num_pairs": arguments.num_pairs,
        "learning_rate": arguments.learning_rate,
        "results": results,
    }
    if arguments.json:
        print(json.dumps(report, indent=2))
        return 0
    print(f"{report['machine']}; Keras on {report['backend']}")
    print(
        f"{arguments.shots} examples of each of {report['labels']} labels, {arguments.num_pairs} pairs of either kind "
        f"an example, tested on {len(tests):,}; {arguments.draws} draws"
    )
    for name, found in results.items():
        spread = statistics.stdev(found["accuracy"]) if arguments.draws > 1 else 0.0
        print(
            f"{name:16} {statistics.mean(found['accuracy']):.2%} +- {spread:.2%}   "
            f"{statistics.median(found['seconds']):.1f} s to train, "
            f"{statistics.median(found['cpu_seconds']):.1f} s CPU"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())

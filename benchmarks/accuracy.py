"""Test accuracy after fine-tuning with one recipe: ours on the running backend, and transformers.

The recipe is that of recipes.py, with dropout 0.1 and batches of 32. Each seed
trains both from the same weights, with the head's new weights and the order of
examples of its own. Where examples have any number of labels (--separator), both
begin with biases at the labels' log-odds, and the score is the micro-averaged
F1, with a threshold for each label that one function chooses for both on --dev.

    python benchmarks/accuracy.py
    python benchmarks/accuracy.py --train train.tsv --test test.tsv --epochs 3 --learning-rate 1e-4 --json
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from recipes import add_options, compare, padded_batch, train_network

from keras_bert_suite.cli.shared import columns_from
from keras_bert_suite.data import read_examples
from keras_bert_suite.reports import multi_label_scores
from keras_bert_suite.source import resolve_source

ROOT = Path(__file__).resolve().parents[1]
MAX_LENGTH = 128
BATCH_SIZE = 32  # of prediction


def train_ours(model, train, labels, options, seed):
    from keras_bert_suite import TextClassifier

    problem = "multi_label_classification" if options.separator else "single_label_classification"
    classifier = TextClassifier.from_pretrained(model, labels=labels, max_length=MAX_LENGTH, problem_type=problem)
    classifier.compile(learning_rate=options.learning_rate)
    texts, pairs, targets = train
    classifier.fit(
        texts, targets, pairs=pairs, epochs=options.epochs, batch_size=options.batch_size, seed=seed, verbose=0
    )
    return lambda texts, pairs: classifier.predict_logits(texts, pairs=pairs)


def train_transformers(model, train, labels, options, seed):
    import torch
    import transformers

    transformers.set_seed(seed)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    network = transformers.AutoModelForSequenceClassification.from_pretrained(
        model,
        num_labels=len(labels),
        problem_type="multi_label_classification" if options.separator else "single_label_classification",
    )
    encoded = tokenizer(train[0], train[1], truncation=True, max_length=MAX_LENGTH)
    targets = torch.tensor(as_targets(train[2], labels))
    if options.separator:  # as ours begins
        from keras_bert_suite.tasks.problems import MultiLabel

        network.classifier.bias.data = torch.tensor(MultiLabel.log_odds(targets.numpy()))

    def loss_of(rows):
        return network(**padded_batch(tokenizer, encoded, rows), labels=targets[rows]).loss

    train_network(network, len(targets), loss_of, options)

    def predict(texts, pairs):
        encoded = tokenizer(texts, pairs, truncation=True, max_length=MAX_LENGTH)
        order = np.argsort([len(ids) for ids in encoded["input_ids"]])
        logits = np.zeros((len(order), len(labels)), "float32")
        with torch.inference_mode():
            for start in range(0, len(order), BATCH_SIZE):
                rows = order[start : start + BATCH_SIZE].tolist()
                logits[rows] = network(**padded_batch(tokenizer, encoded, rows)).logits.numpy()
        return logits

    return predict


def as_targets(given, labels):
    """Return int64 `(N,)`, or float32 `(N, L)` of 0 and 1 where each example has a list of labels."""
    if isinstance(given[0], str):
        return np.array([labels.index(label) for label in given])
    return np.array([[label in each for label in labels] for each in given], "float32")


def score(predict, test, dev, labels):
    """Return accuracy; of lists of labels micro-averaged F1, at the thresholds that are best on `dev`."""
    targets, logits = as_targets(test[2], labels), predict(*test[:2])
    if dev is None:
        return float((logits.argmax(-1) == targets).mean())
    from keras_bert_suite.tasks.problems import MultiLabel

    thresholds = MultiLabel.choose_thresholds(sigmoid(predict(*dev[:2])), as_targets(dev[2], labels))
    return multi_label_scores(targets, sigmoid(logits) >= thresholds)["micro"]["f1"]


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits))


SYSTEMS = {"ours": train_ours, "transformers": train_transformers}


def read(path, columns, separator=None, count=None):
    """Return texts, second texts or `None`, and labels or lists of labels, `count` of them at random."""
    rows = list(read_examples(path, require_label=True, columns=columns))
    if count is not None:
        rows = [rows[index] for index in np.random.default_rng(0).permutation(len(rows))[:count]]
    pairs = [row.text_b for row in rows] if rows[0].text_b is not None else None
    labels = [row.label.split(separator) if separator else row.label for row in rows]
    return [row.text for row in rows], pairs, labels


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, list(SYSTEMS))
    parser.add_argument("--train", type=Path, default=ROOT / "examples" / "data" / "train.tsv")
    parser.add_argument("--test", type=Path, default=ROOT / "examples" / "data" / "test.tsv")
    parser.add_argument("--columns", metavar="KEY=NAME,...", help="as in kbs finetune")
    parser.add_argument("--separator", metavar="CHARACTER", help="between the labels of an example")
    parser.add_argument("--dev", type=Path, help="to choose thresholds on, with --separator")
    arguments = parser.parse_args()
    if (arguments.dev is None) != (arguments.separator is None):
        parser.error("--separator and --dev go together")

    model = str(resolve_source(arguments.model))
    columns = columns_from(arguments.columns)
    train = read(arguments.train, columns, arguments.separator, arguments.examples)
    test = read(arguments.test, columns, arguments.separator)
    dev = read(arguments.dev, columns, arguments.separator) if arguments.dev else None
    labels = sorted({label for each in (*train[2], *test[2]) for label in ([each] if isinstance(each, str) else each)})

    def run(train_one, seed):
        return score(train_one(model, train, labels, arguments, seed), test, dev, labels)

    facts = {"train": str(arguments.train), "examples": len(train[0]), "tested": len(test[0]), "labels": len(labels)}
    compare({name: SYSTEMS[name] for name in arguments.only}, arguments, run, facts)


if __name__ == "__main__":
    main()

"""F1 of spans after fine-tuning with one recipe: ours on the running backend, and transformers.

The recipe is that of recipes.py, with dropout 0.1 and batches of 32. Labels
stand at the first piece of each word; words beyond the longest row are cut off
in the training of transformers, as its own example does. Both are scored by
`seqeval` on the words of the test set.

    python benchmarks/tagging.py --train train.conll --test test.conll
    python benchmarks/tagging.py --train train.tsv --test test.tsv --columns text=1,label=2 --crf --json
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from recipes import add_options, compare, padded_batch, train_network

from keras_bert_suite.cli.shared import columns_from
from keras_bert_suite.data import read_tagged
from keras_bert_suite.data.tag_schemes import convert_tags, find_scheme, tags_to_spans
from keras_bert_suite.errors import require
from keras_bert_suite.source import resolve_source

MAX_LENGTH = 128
BATCH_SIZE = 32  # of prediction


def train_ours(model, train, test, labels, options, seed, crf=False):
    from keras_bert_suite.tasks.token_classifier import TokenClassifier

    tagger = TokenClassifier.from_pretrained(model, labels=labels, max_length=MAX_LENGTH, replace_head=True, crf=crf)
    tagger.compile(learning_rate=options.learning_rate)
    tagger.fit(*train, epochs=options.epochs, batch_size=options.batch_size, seed=seed, verbose=0)
    return [answer["tags"] for answer in tagger.predict(test[0])]


def train_transformers(model, train, test, labels, options, seed):
    import torch
    import transformers

    transformers.set_seed(seed)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    network = transformers.AutoModelForTokenClassification.from_pretrained(
        model, num_labels=len(labels), ignore_mismatched_sizes=True
    )

    def encode(words):
        encoded = tokenizer(words, is_split_into_words=True, truncation=True, max_length=MAX_LENGTH)
        ids = [encoded.word_ids(row) for row in range(len(words))]
        return encoded, [
            [-1 if word is None or word in row[:at] else word for at, word in enumerate(row)] for row in ids
        ]

    encoded, firsts = encode(train[0])
    targets = [
        [labels.index(tags[word]) if word >= 0 else -100 for word in row]
        for tags, row in zip(train[1], firsts, strict=True)
    ]

    def loss_of(rows):
        inputs = padded_batch(tokenizer, encoded, rows)
        answers = torch.full(inputs["input_ids"].shape, -100)
        for place, row in enumerate(rows.tolist()):
            answers[place, : len(targets[row])] = torch.tensor(targets[row])
        return network(**inputs, labels=answers).loss

    train_network(network, len(targets), loss_of, options)
    encoded, firsts = encode(test[0])
    found = [["O"] * len(words) for words in test[0]]
    with torch.inference_mode():
        for rows in torch.arange(len(found)).split(BATCH_SIZE):
            best = network(**padded_batch(tokenizer, encoded, rows)).logits.argmax(-1).tolist()
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, list(SYSTEMS))
    parser.add_argument("--train", type=Path, required=True, help="CoNLL columns")
    parser.add_argument("--test", type=Path, required=True, help="CoNLL columns")
    parser.add_argument(
        "--columns", metavar="text=N,label=N", help="positions from 0 (default: the first and the last)"
    )
    parser.add_argument("--crf", action="store_true", help="train ours with a conditional random field too")
    arguments = parser.parse_args()

    f1_score = require("seqeval.metrics", "This benchmark").f1_score
    model = str(resolve_source(arguments.model))
    columns = columns_from(arguments.columns)
    train, scheme = read(arguments.train, columns, count=arguments.examples)
    test, _ = read(arguments.test, columns, scheme)
    labels = sorted({tag for tags in (*train[1], *test[1]) for tag in tags}, key=lambda tag: (tag != "O", tag))
    systems = {name: SYSTEMS[name] for name in arguments.only}
    if arguments.crf:
        systems["ours, crf"] = lambda *rest: train_ours(*rest, crf=True)

    def run(train_one, seed):
        return float(f1_score(test[1], train_one(model, train, test, labels, arguments, seed)))

    facts = {"train": str(arguments.train), "texts": len(train[0]), "tested": len(test[0])}
    facts |= {"tags": len(labels), "scheme": scheme, "spans tested": sum(map(len, map(tags_to_spans, test[1])))}
    compare(systems, arguments, run, facts)


if __name__ == "__main__":
    main()

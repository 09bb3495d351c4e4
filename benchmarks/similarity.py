"""Spearman correlation on scored pairs after training: ours on the running backend, and sentence-transformers.

Both train one model of embeddings with the recipe of recipes.py, the CoSENT
loss, dropout 0.1 and batches of 32. Each seed has an order of examples of its
own. The files are those of STS-B: scores in column 4, texts in 5 and 6, no
header, as they are distributed.

    KERAS_BACKEND=torch python benchmarks/similarity.py --train sts-train.tsv --test sts-test.tsv
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from recipes import add_options, compare, train_network

from keras_bert_suite.source import resolve_source

MAX_LENGTH = 128


def train_ours(model, train, test, options, seed):
    from keras_bert_suite.tasks import TextEmbedder

    embedder = TextEmbedder.from_pretrained(model, max_length=MAX_LENGTH)
    embedder.compile(learning_rate=options.learning_rate)
    embedder.fit(*train, epochs=options.epochs, batch_size=options.batch_size, seed=seed, verbose=0)
    return embedder.evaluate(*test)["spearman"]


def train_sentence_transformers(model, train, test, options, seed):
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
    loss = CoSENTLoss(network)

    def loss_of(rows):
        return loss(
            [network.tokenize([pairs[row][column] for row in rows.tolist()]) for column in (0, 1)], scores[rows]
        )

    train_network(network, len(pairs), loss_of, options)
    pairs, scores = test
    vectors = [network.encode(list(column), show_progress_bar=False) for column in zip(*pairs, strict=True)]
    return float(spearmanr(util.pairwise_cos_sim(*vectors).numpy(), scores)[0])


SYSTEMS = {"ours": train_ours, "sentence-transformers": train_sentence_transformers}


def read(path, count=None):
    """Return pairs and scores of a file of STS-B, whose rows differ in what follows the texts; `count` at random."""
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").split("\n") if line]
    if count is not None:
        rows = [rows[index] for index in np.random.default_rng(0).permutation(len(rows))[:count]]
    return [(row[5].strip(), row[6].strip()) for row in rows], [float(row[4]) for row in rows]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, list(SYSTEMS), epochs=1, learning_rate=5e-5)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    arguments = parser.parse_args()

    model = str(resolve_source(arguments.model))
    train, test = read(arguments.train, arguments.examples), read(arguments.test)

    def run(train_one, seed):
        return train_one(model, train, test, arguments, seed)

    facts = {"train": str(arguments.train), "pairs": len(train[0]), "tested": len(test[0])}
    compare({name: SYSTEMS[name] for name in arguments.only}, arguments, run, facts)


if __name__ == "__main__":
    main()

"""Test accuracy after fine-tuning with one recipe: a pretrained model, and the same model from new weights.

What a pretraining was worth. Both have the same tokenizer and size, and the
recipe of recipes.py with dropout as in the model's config.

    python benchmarks/new_weights.py --model my_bert
    python benchmarks/new_weights.py --model my_bert --train train.tsv --test test.tsv --epochs 3 --json
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from accuracy import ROOT, read, score, train_ours
from recipes import add_options, compare

from keras_bert_suite import load_tokenizer
from keras_bert_suite.cli.shared import columns_from
from keras_bert_suite.source import resolve_source
from keras_bert_suite.tasks.pretrainer import Pretrainer

PRETRAINED, NEW = "pretrained", "new weights"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, [PRETRAINED, NEW], learning_rate=3e-4)
    parser.set_defaults(model=None, epochs=6, separator=None)
    parser.add_argument("--train", type=Path, default=ROOT / "examples" / "data" / "train.tsv")
    parser.add_argument("--test", type=Path, default=ROOT / "examples" / "data" / "test.tsv")
    parser.add_argument("--columns", metavar="KEY=NAME,...", help="as in kbs finetune")
    arguments = parser.parse_args()
    if arguments.model is None:
        parser.error("--model is needed: the directory of a pretrained model")

    model = resolve_source(arguments.model)
    columns = columns_from(arguments.columns)
    train, test = read(arguments.train, columns, count=arguments.examples), read(arguments.test, columns)
    labels = sorted({*train[2], *test[2]})
    tokenizer = load_tokenizer(model)

    def run(system, seed):
        with tempfile.TemporaryDirectory() as folder:
            start = model
            if system == NEW:
                start = Path(folder) / "model"
                Pretrainer.from_config(
                    model / "config.json", tokenizer, pair_head="next_sentence", seed=seed
                ).save_pretrained(start)
            return score(train_ours(start, train, labels, arguments, seed), test, None, labels)

    facts = {"train": str(arguments.train), "examples": len(train[0]), "tested": len(test[0]), "labels": len(labels)}
    compare({name: name for name in arguments.only}, arguments, run, facts)


if __name__ == "__main__":
    main()

"""From a labelled file on disk to tokens of every example: ours, and the csv module with Hugging Face `tokenizers`.

Both take turns over the same file; the figures are medians.

    python benchmarks/reading.py                               # examples/data/train.tsv, many times over
    python benchmarks/reading.py reviews.tsv --columns text=0,label=1
"""

import argparse
import csv
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from turns import machine

from keras_bert_suite.cli.shared import columns_from
from keras_bert_suite.data import read_examples
from keras_bert_suite.source import resolve_source
from keras_bert_suite.text import load_tokenizer

EXAMPLES = Path(__file__).resolve().parents[1] / "examples" / "data" / "train.tsv"
MAX_LENGTH = 128


def table(path):
    """Yield the fields of each line."""
    with open(path, encoding="utf-8", newline="") as file:
        yield from csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)


def contenders(path, columns, tokenizer):
    """dict from a name to a function that reads and encodes all of the file and returns how many examples it has."""
    from tokenizers import Tokenizer

    reference = Tokenizer.from_str(tokenizer.to_json())
    reference.enable_truncation(MAX_LENGTH)
    first = next(read_examples(path, columns=columns)).text
    place = next(row.index(first) for row in table(path) if first in row)

    def ours():
        texts = [example.text for example in read_examples(path, columns=columns)]
        return len(tokenizer.encode(texts, max_length=MAX_LENGTH))

    def theirs():
        return len(reference.encode_batch([row[place] for row in table(path)]))

    return {"ours": ours, "csv and tokenizers": theirs}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", type=Path, help="tab-separated")
    parser.add_argument("--columns", metavar="KEY=NAME,...", help="as in kbs finetune")
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="whose tokenizer to use")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()

    tokenizer = load_tokenizer(str(resolve_source(arguments.model)))
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.data
        if path is None:
            header, *rows = EXAMPLES.read_text(encoding="utf-8").splitlines(keepends=True)
            path = Path(folder, "train.tsv")
            path.write_text("".join([header, *rows * 20]), encoding="utf-8")
        runs = contenders(path, columns_from(arguments.columns), tokenizer)
        rates = {name: [] for name in runs}
        for _ in range(arguments.rounds):
            for name, run in runs.items():
                started = time.perf_counter()
                count = run()
                rates[name].append(count / (time.perf_counter() - started))
    print(machine(os.cpu_count()))
    ours, theirs = (statistics.median(rates[name]) for name in runs)
    print(f"ours                {ours:>10,.0f} examples/s   {ours / theirs:.1f} x")
    print(f"csv and tokenizers  {theirs:>10,.0f} examples/s   1.0 x")


if __name__ == "__main__":
    main()

"""Tokenization side by side: our host and in-graph tokenizers against Hugging Face `tokenizers`, in one run.

All contenders get the same texts and the same vocabulary, take turns in
alternating order, and are reported by the median of their turns. Ours end
with arrays, `tokenizers` with its `Encoding` objects.

    python benchmarks/tokenization.py                                # the texts under examples/data/
    python benchmarks/tokenization.py novel.txt --model path/to/checkpoint
"""

import argparse
import csv
import os
import platform
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from keras_bert_suite.text import WordPieceTokenizer, load_tokenizer

EXAMPLES = Path(__file__).resolve().parents[1] / "examples" / "data"
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def read_texts(paths, megabytes):
    """The non-empty lines of text files, or the `text` column of TSV files, up to a size."""
    texts, size = [], 0
    for path in paths:
        with open(path, encoding="utf-8", errors="replace", newline="") as file:
            if path.suffix == ".tsv":
                rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
                lines = (row.get("text") or row.get("text_a") or "" for row in rows)
            else:
                lines = (line.rstrip("\n") for line in file)
            for line in lines:
                if line.strip() and size < megabytes * 1e6:
                    texts.append(line)
                    size += len(line.encode())
    return texts


def trained_vocabulary(texts):
    """A WordPiece vocabulary of these texts, for a run without a checkpoint."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=30_000, special_tokens=SPECIALS, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer.get_vocab()


def contenders(tokenizer, texts, batch_size, max_length):
    """dict from a name to a function that tokenizes all texts once."""
    from tokenizers import Tokenizer

    reference = Tokenizer.from_str(tokenizer.to_json())
    reference.enable_truncation(max_length)
    batches = [texts[first : first + batch_size] for first in range(0, len(texts), batch_size)]

    def in_batches(encode):
        return lambda: [encode(batch) for batch in batches]

    runs = {
        "tokenizers encode_batch": lambda: reference.encode_batch(texts),
        "tokenizers encode_batch_fast": lambda: reference.encode_batch_fast(texts),
        f"host ({tokenizer.engine}), encode": lambda: tokenizer.encode(texts, max_length=max_length),
        f"host ({tokenizer.engine}), encode and pad": lambda: encode_and_pad(tokenizer, texts, batch_size, max_length),
        f"tokenizers encode_batch, {batch_size} a call": in_batches(reference.encode_batch),
        f"host, {batch_size} a call": in_batches(lambda batch: tokenizer(batch, max_length=max_length)),
    }
    try:
        import tensorflow as tf

        from keras_bert_suite.text.in_graph import build_in_graph_tokenizer

        module = build_in_graph_tokenizer(tokenizer, max_length)
        runs[f"in the graph, {batch_size} a call"] = in_batches(lambda batch: module.encode_texts(tf.constant(batch)))
    except ImportError as error:
        print(f"in the graph: not measured; {error}")
    return runs


def encode_and_pad(tokenizer, texts, batch_size, max_length):
    """Encode once, then pad every batch, longest rows last."""
    rows = tokenizer.encode(texts, max_length=max_length)
    order = rows.lengths.argsort(kind="stable")
    return [rows.pad(order[first : first + batch_size]) for first in range(0, len(rows), batch_size)]


def measure(runs, repeats):
    """Median seconds of each contender; the order turns around after every round."""
    seconds = {name: [] for name in runs}
    for run in runs.values():
        run()  # caches and traces
    for turn in range(repeats):
        names = list(runs) if turn % 2 == 0 else list(runs)[::-1]
        for name in names:
            started = time.perf_counter()
            runs[name]()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(times) for name, times in seconds.items()}


def machine():
    """The processor's name and the cores this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        models = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        name = models[0] if models else name
    return f"{name}, {cores} cores, Python {platform.python_version()}, {platform.system()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "text", nargs="*", type=Path, help="text files, one text a line, or TSV files with a text column"
    )
    parser.add_argument("--model", help="directory, tokenizer.json or vocab.txt; default: a vocabulary of the texts")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each contender")
    parser.add_argument("--batch-size", type=int, default=256, help="texts a call, where calls are small")
    parser.add_argument("--max-length", type=int, default=512, help="tokens")
    parser.add_argument("--megabytes", type=float, default=4.0, help="how much text to use at most")
    arguments = parser.parse_args()

    paths = arguments.text or sorted(EXAMPLES.glob("*.tsv"))
    texts = read_texts(paths, arguments.megabytes)
    if not texts:
        parser.error(f"no text in {', '.join(map(str, paths)) or EXAMPLES}; name a text file")
    size = sum(len(text.encode()) for text in texts) / 1e6
    copies = max(1, round(1 / size))
    tokenizer = load_tokenizer(arguments.model) if arguments.model else WordPieceTokenizer(trained_vocabulary(texts))
    print(machine())
    print(
        f"{len(texts):,} texts, {size:.2f} MB" + (f", repeated {copies} times" if copies > 1 else "")
        + f"; {tokenizer.vocab_size:,} tokens; median of {arguments.repeats} turns"
    )  # fmt: skip
    texts, size = texts * copies, size * copies
    seconds = measure(contenders(tokenizer, texts, arguments.batch_size, arguments.max_length), arguments.repeats)
    slow, fast = (seconds[name] for name in ("tokenizers encode_batch", "tokenizers encode_batch_fast"))
    print(f"{'':42}{'MB/s':>9}{'x encode_batch':>16}{'x encode_batch_fast':>21}")
    for name, median in seconds.items():
        print(f"{name:42}{size / median:9.1f}{slow / median:16.1f}{fast / median:21.1f}")


if __name__ == "__main__":
    main()

"""Long documents side by side: ours, and the pipelines of transformers, in one run.

Both have the same weights, the same threads, rows of 512 tokens that overlap by
as much, and go from strings to spans; in float32, and ours in bfloat16 too. Each contender works as its
own documentation has it: `pipeline("token-classification",
aggregation_strategy="first", stride=...)`. Each runs in a process of its own,
and they take turns: see turns.py. Where rows overlap, the pipeline keeps the
longer or surer span, ours the one of the row that has more context: what both
find is compared, and the share that is equal is printed.

    python benchmarks/documents.py --model my_tagger --text book.txt
    python benchmarks/documents.py --model my_tagger --text book.txt --documents 4 --words 5000 --json
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from turns import machine, say, serve, start_contenders, take_turns, versions

from keras_bert_suite.source import resolve_source

MAX_LENGTH = 512
STRIDE = 128
BATCH_SIZE = 8  # of the pipeline's rows; more is not faster on a CPU


# The contenders. Each returns its runs, each giving lists of (start, end, label), and facts about itself.


def prepare_our_tagging(job):
    from keras_bert_suite.tasks.token_classifier import TokenClassifier

    def runs(tagger):
        return lambda: [
            [(span["start"], span["end"], span["label"]) for span in answer["spans"]]
            for answer in tagger.predict(job["texts"])
        ]

    def tagger(dtype):
        return TokenClassifier.from_pretrained(job["model"], max_length=MAX_LENGTH, stride=STRIDE, dtype=dtype)

    return {
        "keras_bert_suite": runs(tagger("float32")),
        "keras_bert_suite, bfloat16": runs(tagger("mixed_bfloat16")),
    }, {}


def prepare_their_tagging(job):
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(job["model"], model_max_length=MAX_LENGTH)
    runs = {}
    for row, batch_size in {"transformers": 1, f"transformers, batches of {BATCH_SIZE}": BATCH_SIZE}.items():
        pipe = transformers.pipeline(
            "token-classification",
            job["model"],
            tokenizer=tokenizer,
            aggregation_strategy="first",
            stride=STRIDE,
            batch_size=batch_size,
            device="cpu",
        )
        runs[row] = lambda pipe=pipe: [
            [(span["start"], span["end"], span["entity_group"]) for span in spans] for spans in pipe(job["texts"])
        ]
    return runs, {}


CONTENDERS = {"ours": prepare_our_tagging, "transformers": prepare_their_tagging}


def prepare(name, path):
    """Load one contender, run each of its rows once, and write down what it finds."""
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    runs, facts = CONTENDERS[name](job)
    found = {row: run() for row, run in runs.items()}
    Path(path).with_suffix(f".{name}.json").write_text(json.dumps(found), encoding="utf-8")

    def silent(run):
        def measured():
            run()

        return measured

    return {row: silent(run) for row, run in runs.items()}, facts


def documents(path, count, words):
    """Cut a text file into documents of so many words each."""
    found = path.read_text(encoding="utf-8").split()
    if len(found) < count * words:
        raise SystemExit(f"{path} has {len(found):,} words; {count * words:,} are needed. Ask for fewer.")
    return [" ".join(found[start : start + words]) for start in range(0, count * words, words)]


def agreement(one, other):
    """Return the share of equal spans among those that either found."""
    both = [set(map(tuple, spans)) for spans in one], [set(map(tuple, spans)) for spans in other]
    equal = sum(len(left & right) for left, right in zip(*both, strict=True))
    every = sum(len(left | right) for left, right in zip(*both, strict=True))
    return equal / every if every else 1.0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a trained tagger: directory or installed model")
    parser.add_argument("--text", type=Path, help="plain text to cut documents from")
    parser.add_argument("--documents", type=int, default=2)
    parser.add_argument("--words", type=int, default=5000, help="of each document")
    parser.add_argument("--backend", default="tensorflow", choices=["tensorflow", "jax", "torch"], help="of ours")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--contender", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contender:
        serve(lambda: prepare(*arguments.contender))
        return 0
    if not arguments.model or not arguments.text:
        parser.error("--model and --text are needed")

    texts = documents(arguments.text, arguments.documents, arguments.words)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "job.json")
        path.write_text(json.dumps({"model": str(resolve_source(arguments.model)), "texts": texts}), encoding="utf-8")
        backends = {"ours": arguments.backend, "transformers": "torch"}
        contenders, absent = start_contenders(__file__, backends, path, arguments.threads)
        found = {}
        for name in contenders:
            found |= json.loads(path.with_suffix(f".{name}.json").read_text(encoding="utf-8"))
        seconds = {row: [] for row in found}
        for turn, _, row, measured in take_turns(contenders, arguments.rounds):
            say(f"round {turn}: {row} {measured['seconds']:.2f} s")
            seconds[row].append(measured["seconds"])
        for contender in contenders.values():
            contender.close()
    median = {row: statistics.median(values) for row, values in seconds.items()}
    ours = "keras_bert_suite"
    fastest = min((median[row] for row in median if not row.startswith(ours)), default=None)
    rows = {
        row: {
            "seconds": values,
            "words_per_second": len(texts) * arguments.words / median[row],
            "times_transformers": fastest and fastest / median[row],
            "spans_equal_to_ours": agreement(found[ours], found[row]),
        }
        for row, values in seconds.items()
    }
    report = {
        "machine": machine(arguments.threads),
        "backend": arguments.backend,
        "versions": versions(),
        "documents": len(texts),
        "words": arguments.words,
        "spans": sum(map(len, found[ours])),
        "rows": rows,
        "absent": absent,
    }
    if arguments.json:
        print(json.dumps(report, indent=2))
        return 0
    print(f"{report['machine']}; Keras on {arguments.backend}")
    print(f"{len(texts)} documents of {arguments.words:,} words, {report['spans']} spans, rows of {MAX_LENGTH} tokens")
    for row, facts in rows.items():
        ratio = "" if fastest is None else f"   {facts['times_transformers']:.2f} times transformers"
        print(
            f"{row:28} {facts['words_per_second']:9,.0f} words/s{ratio}   "
            f"{facts['spans_equal_to_ours']:.1%} of spans equal to ours"
        )
    for name, reason in absent.items():
        print(f"{name}: absent: {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

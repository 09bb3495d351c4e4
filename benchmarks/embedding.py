"""Sentence embeddings as users ask for them, ours and sentence-transformers' side by side, in one run.

Both open the same model by its own files (pooling, normalisation, length) and
go from strings to one float32 array through their `encode`, with what each does
by default. The texts are of one word to several hundred, in several languages;
both cut at the same length. The vectors are compared before anything is timed:
a run in which a cosine differs from 1 by more than 1e-6 fails.

Each runs in a process of its own, and they take turns: see turns.py.

    python benchmarks/embedding.py
    python benchmarks/embedding.py --text news.txt --sentences 2000 --json
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from prediction import example_texts
from turns import machine, say, serve, start_contenders, take_turns, versions

from keras_bert_suite.data import read_texts
from keras_bert_suite.source import resolve_source

TOLERANCE = 1e-6
REFERENCE = "sentence-transformers"

#: Sentences in other languages than those of examples/data/.
SENTENCES = [
    "Der Zug nach Köln fährt heute leider vierzig Minuten später.",
    "Wo finde ich die Rechnung?",
    "Je voudrais annuler ma commande et être remboursé, s'il vous plaît.",
    "Merci !",
    "El pedido llegó roto; ¿me pueden enviar otro esta semana?",
    "Нельзя ли перенести доставку на субботу после обеда?",
    "我的包裹到现在还没有送到。",
    "谢谢",
    "注文した本がまだ届いていません。いつ届きますか。",
    "언제 환불을 받을 수 있나요?",
    "أين طلبي؟",
    "Kargom nerede kaldı acaba?",
    "Đơn hàng của tôi bị giao nhầm địa chỉ.",
]


def mixed_texts(count, rng):
    """Texts of one sentence, mostly, to two dozen, each in one language or in several."""
    pool = example_texts(count, rng) + SENTENCES * max(1, count // len(SENTENCES))
    lengths = rng.choices((1, 2, 3, 6, 12, 24), weights=(8, 4, 2, 2, 1, 0.3), k=count)
    return [" ".join(rng.sample(pool, min(length, len(pool)))) for length in lengths]


def prepare_ours(model, texts):
    from keras_bert_suite.tasks import TextEmbedder

    embedder = TextEmbedder.from_pretrained(model)
    return lambda: embedder.encode(texts)


def prepare_sentence_transformers(model, texts):
    from sentence_transformers import SentenceTransformer

    embedder = SentenceTransformer(model, device="cpu")
    return lambda: embedder.encode(texts, show_progress_bar=False)


#: Name -> (how it gets ready, its Keras backend or what it runs on).
CONTENDERS = {
    **{f"ours, {backend}": (prepare_ours, backend) for backend in ("tensorflow", "jax", "torch")},
    REFERENCE: (prepare_sentence_transformers, "torch"),
}


def serve_contender(name, folder):
    """Be one contender: get ready, write the vectors of the first run, then wait for turns."""

    def prepare():
        run = CONTENDERS[name][0](**json.loads((folder / "job.json").read_text(encoding="utf-8")))
        started = time.perf_counter()
        np.save(folder / f"{name}.npy", run())
        return {name: run}, {"first_seconds": time.perf_counter() - started}

    serve(prepare)


def cosine_differences(names, folder):
    """Return by how much the cosine between a contender's vector and the reference's misses 1, at most."""
    units = {}
    for name in names:
        vectors = np.load(folder / f"{name}.npy").astype("float64")
        units[name] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return {name: float((1 - (unit * units[REFERENCE]).sum(axis=1)).max()) for name, unit in units.items()}


def summarize(contenders, measured, gaps, count):
    """Return one dict a contender: its speed, and the median of its ratios to the reference round by round."""
    speeds = {name: [count / run["seconds"] for run in runs] for name, runs in measured.items()}
    return [
        {
            "system": name,
            "sentences_per_second": {"median": statistics.median(rates), "min": min(rates), "max": max(rates)},
            "ratio": statistics.median(rate / other for rate, other in zip(rates, speeds[REFERENCE], strict=True)),
            "cosine_difference": gaps[name],
            "first_seconds": contenders[name].facts["first_seconds"],
            "seconds": [run["seconds"] for run in measured[name]],
            "cpu_seconds": [run["cpu_seconds"] for run in measured[name]],
        }
        for name, rates in speeds.items()
    ]


def print_table(report):
    print(report["machine"])
    print(", ".join(f"{name} {version}" for name, version in report["versions"].items()))
    words = report["words"]
    print(
        f"{report['sentences']} texts of {words['median']:.0f} words in the middle, {words['mean']:.0f} on average and "
        f"{words['longest']} at most; float32; {report['rounds']} rounds"
    )
    print(f"\n{'':24}{'sentences/s':>14}{'(min-max)':>14}{'ratio':>8}{'1 - cosine':>13}{'first run':>12}")
    for row in report["rows"]:
        speed = row["sentences_per_second"]
        spread = f"({speed['min']:.0f}-{speed['max']:.0f})"
        print(f"{row['system']:24}{speed['median']:14.0f}{spread:>14}{row['ratio']:8.2f}", end="")
        print(f"{row['cosine_difference']:13.1e}{row['first_seconds']:10.1f} s")
    print(f"\nRatios to {REFERENCE} are medians over the rounds of the ratio in each.")
    for name, reason in report["not_measured"].items():
        print(f"{name}: not measured; {reason}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="directory or installed model")
    parser.add_argument("--text", type=Path, help="texts: one a line, or a TSV, CSV or JSON Lines file")
    parser.add_argument("--sentences", type=int, default=1000, help="how many texts to use at most")
    parser.add_argument("--rounds", type=int, default=6, help="turns of each contender")
    parser.add_argument("--threads", type=int, default=2, help="threads of each contender")
    parser.add_argument("--only", nargs="+", choices=list(CONTENDERS), metavar="NAME",
                        help=f"leave out others than these and {REFERENCE}: {', '.join(CONTENDERS)}")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--contender", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contender:
        serve_contender(arguments.contender[0], Path(arguments.contender[1]))
        return 0

    rng = random.Random(0)
    if arguments.text is None:
        texts = mixed_texts(arguments.sentences, rng)
    else:
        texts = [row.text for row in read_texts(arguments.text)]
        rng.shuffle(texts)
        texts = texts[: arguments.sentences]
    contenders = {}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        job = {"model": str(resolve_source(arguments.model)), "texts": texts}
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        try:
            names = [name for name in CONTENDERS if name in (arguments.only or CONTENDERS) or name == REFERENCE]
            backends = {name: CONTENDERS[name][1] for name in names}
            contenders, absent = start_contenders(__file__, backends, folder, arguments.threads)
            if REFERENCE not in contenders:
                raise SystemExit(f"embedding.py: {REFERENCE} is what all others are compared with. Run: make setup-all")
            gaps = cosine_differences(contenders, folder)
            if wrong := {name: gap for name, gap in gaps.items() if not gap <= TOLERANCE}:
                print(f"embedding.py: cosines must be 1 to {TOLERANCE}. Received: {wrong}.", file=sys.stderr)
                return 1
            measured = {name: [] for name in contenders}
            for turn, name, _, run in take_turns(contenders, arguments.rounds):
                measured[name].append(run)
                say(f"round {turn + 1} of {arguments.rounds}: {name} {run['seconds']:.2f} s")
        finally:
            for contender in contenders.values():
                contender.close()
    words = [len(text.split()) for text in texts]
    report = {
        "machine": machine(arguments.threads),
        "versions": versions(),
        "sentences": len(texts),
        "words": {"median": statistics.median(words), "mean": statistics.mean(words), "longest": max(words)},
        "rounds": arguments.rounds,
        "rows": summarize(contenders, measured, gaps, len(texts)),
        "not_measured": absent,
    }
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        print_table(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())

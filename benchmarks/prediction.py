"""Sentence embeddings side by side: ours, sentence-transformers, transformers and KerasHub, in one run.

All have the same weights, the same texts, float32 and the same threads, and go
from strings to one NumPy array: the mean of the last layer over the tokens of
each text. The arrays are compared before anything is timed; a run in which
they differ by more than 1e-4 fails. Each contender works as its own
documentation has it:

    ours                   sorted by length into batches of a few shapes
    sentence-transformers  `encode`: sorted by length, batches of 32 padded to their longest
    transformers           `AutoModel`: batches of 32 padded to their longest, as they come, and sorted
    KerasHub               `BertTextEmbedder.predict`: batches of 32, all padded to 128, and to its default of 512

Each runs in a process of its own, and they take turns: see turns.py.

    python benchmarks/prediction.py
    python benchmarks/prediction.py --text news.txt --sentences 2000 --json
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

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from turns import machine, say, serve, start_contenders, take_turns, versions

from keras_bert_suite.data import read_texts
from keras_bert_suite.source import resolve_source
from keras_bert_suite.text import load_tokenizer

ROOT = Path(__file__).resolve().parents[1]
BATCH_SIZE = 32
MAX_LENGTH = 128  # tokens; longer texts are left out, as one contender would cut them and another would not
TOLERANCE = 1e-4
REFERENCE = "transformers, as they come"
BASELINES = {"x sentence-transformers": "sentence-transformers", "x KerasHub": "KerasHub, padded to 128"}


# The contenders. Each takes a job and returns its runs, each giving float32 (N, D), and facts about itself.


def prepare_ours(model, texts):
    import keras
    from keras import ops

    from keras_bert_suite import load_encoder
    from keras_bert_suite.models.encoder import token_inputs
    from keras_bert_suite.tasks.inference import predict_encoded
    from keras_bert_suite.training.backend import compiles_per_shape

    tokenizer = load_tokenizer(model)
    encoder = load_encoder(model)
    inputs = token_inputs()
    mask = ops.expand_dims(ops.cast(inputs["padding_mask"], "float32"), -1)  # (B, T, 1)
    summed = ops.sum(encoder(inputs)["sequence_output"] * mask, axis=1)
    embedder = keras.Model(inputs, summed / ops.sum(mask, axis=1))
    embedder.compile(jit_compile="auto" if compiles_per_shape() else False)

    def run():
        return predict_encoded(embedder, tokenizer.encode(texts, max_length=MAX_LENGTH), MAX_LENGTH)

    return {"keras_bert_suite": run}, {"tokenizer": tokenizer.engine}


def prepare_sentence_transformers(model, texts):
    from sentence_transformers import SentenceTransformer

    loaded = SentenceTransformer(model, device="cpu")
    embedder = SentenceTransformer(modules=[loaded[0], loaded[1]], device="cpu")  # all but the normalisation
    embedder.max_seq_length = MAX_LENGTH

    def run():
        return embedder.encode(texts, batch_size=BATCH_SIZE, show_progress_bar=False)

    return {"sentence-transformers": run}, {}


def prepare_transformers(model, texts):
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    encoder = AutoModel.from_pretrained(model).eval()

    def embed(texts):
        batches = []
        for first in range(0, len(texts), BATCH_SIZE):
            inputs = tokenizer(texts[first : first + BATCH_SIZE], padding=True, return_tensors="pt")
            with torch.inference_mode():
                hidden_states = encoder(**inputs).last_hidden_state
                mask = inputs["attention_mask"].unsqueeze(-1)
                batches.append(((hidden_states * mask).sum(1) / mask.sum(1)).numpy())
        return np.concatenate(batches)

    def embed_sorted():
        order = np.argsort([-len(text) for text in texts], kind="stable")
        return embed([texts[row] for row in order])[np.argsort(order)]

    return {REFERENCE: lambda: embed(texts), "transformers, sorted": embed_sorted}, {}


def prepare_keras_hub(model, texts):
    import keras
    from keras_hub.models import BertTextEmbedder

    embedder = BertTextEmbedder.from_preset(model, normalize=False)

    def run(length, texts):
        # A function is traced for one length, so a change of length starts afresh.
        if embedder.preprocessor.sequence_length != length:
            embedder.preprocessor.sequence_length = length
            embedder.make_predict_function(force=True)
        outputs = embedder.predict(texts, BATCH_SIZE, verbose=0)
        return outputs if isinstance(outputs, np.ndarray) else outputs["sentence_embedding"]

    few = texts[:BATCH_SIZE]
    with_tanh = run(MAX_LENGTH, few)
    for layer in embedder.backbone.transformer_layers:
        # The form that is fast on every backend; Keras' own exact one is slow on JAX's CPU.
        layer._feedforward_intermediate_dense.activation = lambda x: 0.5 * x * (1.0 + keras.ops.erf(x * 0.5**0.5))
    embedder.make_predict_function(force=True)
    gap = float(np.abs(run(MAX_LENGTH, few) - with_tanh).max())
    # Its time does not depend on the length of texts, so a part of them will do.
    part = texts[: max(BATCH_SIZE, len(texts) // 4 // BATCH_SIZE * BATCH_SIZE)]
    ids = np.asarray(embedder.preprocessor(texts)["token_ids"])
    same = (ids == load_tokenizer(model)(texts, max_length=MAX_LENGTH, padding="max_length")["token_ids"]).all(axis=1)
    runs = {"KerasHub, padded to 128": lambda: run(128, part), "KerasHub, padded to 512": lambda: run(512, few)}
    return runs, {"gelu_gap": gap, "other_ids": np.flatnonzero(~same).tolist()}


#: Name of the process -> (how it gets ready, its Keras backend or what it runs on).
CONTENDERS = {
    **{f"ours-{backend}": (prepare_ours, backend) for backend in ("tensorflow", "jax", "torch")},
    "sentence-transformers": (prepare_sentence_transformers, "torch"),
    "transformers": (prepare_transformers, "torch"),
    **{f"keras-hub-{backend}": (prepare_keras_hub, backend) for backend in ("tensorflow", "jax", "torch")},
}


def serve_contender(name, folder):
    """Be one contender: get ready, write the embeddings of the first runs, then wait for turns."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))

    def prepare():
        runs, facts = CONTENDERS[name][0](**job)
        counts, first_seconds = {}, {}
        for row, run in runs.items():
            started = time.perf_counter()
            embeddings = run()
            first_seconds[row] = time.perf_counter() - started
            counts[row] = len(embeddings)
            np.save(folder / f"{name} {row}.npy", embeddings)
        return runs, {**facts, "counts": counts, "first_seconds": first_seconds}

    serve(prepare)


# The texts.


def example_texts(count, rng):
    """Texts of the lengths of news and reviews: one to four messages of examples/data/ in a row."""
    messages = [row.text for path in sorted((ROOT / "examples" / "data").glob("*.tsv")) for row in read_texts(path)]
    return [" ".join(rng.sample(messages, rng.choice((1, 1, 2, 2, 2, 3, 4)))) for _ in range(count)]


def choose_texts(path, count, tokenizer):
    """Return `count` texts, or all there are, in an order of chance, and how many were too long."""
    rng = random.Random(0)
    if path is None:
        texts = example_texts(count, rng)
    else:
        texts = [row.text for row in read_texts(path)]
        rng.shuffle(texts)
    lengths = tokenizer.encode(texts).lengths
    short = [text for text, length in zip(texts, lengths, strict=True) if length <= MAX_LENGTH]
    return short[:count], len(texts) - len(short)


# The run.


def differences(contenders, folder):
    """Return the largest absolute difference of each row's embeddings from the reference's.

    Texts that a contender's own tokenizer reads otherwise are not compared.
    """
    found = {
        (name, row): np.load(folder / f"{name} {row}.npy") for name, contender in contenders.items()
        for row in contender.rows
    }  # fmt: skip
    reference = next((values for (_, row), values in found.items() if row == REFERENCE), None)
    if reference is None:
        raise SystemExit("prediction.py: transformers is what all others are compared with. Run: make setup-all")
    gaps = {}
    for (name, row), values in found.items():
        gap = np.abs(values - reference[: len(values)]).max(axis=1)  # (N,)
        other_ids = [index for index in contenders[name].facts.get("other_ids", ()) if index < len(gap)]
        gaps[name, row] = float(np.delete(gap, other_ids).max())
    return gaps


def summarize(contenders, measured, gaps):
    """Return one dict a row: its speed, and its ratio to each baseline round by round."""
    speeds = {
        key: [contenders[key[0]].facts["counts"][key[1]] / run["seconds"] for run in runs]
        for key, runs in measured.items()
    }
    rows = []
    for (name, row), rates in speeds.items():
        facts = contenders[name].facts
        runs = measured[name, row]
        ratios = {}
        for title, baseline in BASELINES.items():
            # Of several backends, the best round by round: no peer is held to its slow one.
            rivals = [values for (_, other), values in speeds.items() if other == baseline]
            if rivals:
                ratios[title] = statistics.median(rate / max(best) for rate, *best in zip(rates, *rivals, strict=True))
        rows.append(
            {
                "system": row,
                "backend": CONTENDERS[name][1],
                "sentences_per_second": {"median": statistics.median(rates), "min": min(rates), "max": max(rates)},
                "ratios": ratios,
                "largest_difference": gaps[name, row],
                "first_seconds": facts["first_seconds"][row],
                "sentences": facts["counts"][row],
                "seconds": [run["seconds"] for run in runs],
                "cpu_seconds": [run["cpu_seconds"] for run in runs],
            }
        )
    return rows


def print_table(report):
    print(report["machine"])
    print(", ".join(f"{name} {version}" for name, version in report["versions"].items()))
    texts = report["texts"]
    print(
        f"{texts['count']} texts of {texts['mean_words']:.1f} words, {texts['mean_tokens']:.1f} tokens on average "
        f"({texts['longest_tokens']} at most; {texts['left_out']} over {MAX_LENGTH} left out); float32; "
        f"{report['rounds']} rounds"
    )
    titles = list(BASELINES)
    print(f"\n{'':27}{'backend':12}{'sentences/s':>14}{'(min-max)':>14}", end="")
    print("".join(f"{title:>25}" for title in titles), f"{'difference':>12}{'first run':>11}")
    for row in report["rows"]:
        speed = row["sentences_per_second"]
        spread = f"({speed['min']:.0f}-{speed['max']:.0f})"
        print(f"{row['system']:27}{row['backend']:12}{speed['median']:14.0f}{spread:>14}", end="")
        print("".join(f"{row['ratios'].get(title, float('nan')):25.2f}" for title in titles), end=" ")
        print(f"{row['largest_difference']:12.1e}{row['first_seconds']:9.1f} s")
    print(
        "\nRatios are medians over the rounds of the ratio in each; with KerasHub, to the fastest of its backends at "
        "128.\nThe difference is the largest from transformers. The first run includes tracing and compiling."
    )
    if report["gelu_gap"] is not None:
        print(f"KerasHub was given the exact GELU; with its own, tanh, the results differ by {report['gelu_gap']:.1e}.")
        print(f"Its tokenizer gives other ids on {report['other_ids']} of the texts, which are not compared.")
    for name, reason in report["not_measured"].items():
        print(f"{name}: not measured; {reason}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="directory or installed model")
    parser.add_argument("--text", type=Path, help="texts: one a line, or a TSV, CSV or JSON Lines file")
    parser.add_argument("--sentences", type=int, default=512, help="how many texts to use at most")
    parser.add_argument("--rounds", type=int, default=6, help="turns of each contender")
    parser.add_argument("--threads", type=int, default=2, help="threads of each contender")
    parser.add_argument("--only", nargs="+", choices=list(CONTENDERS), metavar="NAME",
                        help=f"leave out others than these and transformers: {', '.join(CONTENDERS)}")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--contender", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contender:
        serve_contender(arguments.contender[0], Path(arguments.contender[1]))
        return 0

    model = resolve_source(arguments.model)
    tokenizer = load_tokenizer(model)
    texts, left_out = choose_texts(arguments.text, arguments.sentences, tokenizer)
    lengths = tokenizer.encode(texts).lengths
    contenders = {}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "job.json").write_text(json.dumps({"model": str(model), "texts": texts}), encoding="utf-8")
        try:
            names = [name for name in CONTENDERS if name in (arguments.only or CONTENDERS) or name == "transformers"]
            backends = {name: CONTENDERS[name][1] for name in names}
            contenders, absent = start_contenders(__file__, backends, folder, arguments.threads)
            gaps = differences(contenders, folder)
            if wrong := {key: gap for key, gap in gaps.items() if not gap <= TOLERANCE}:
                print(f"prediction.py: embeddings must be equal to {TOLERANCE}. Received: {wrong}.", file=sys.stderr)
                return 1
            measured = {key: [] for key in gaps}
            for turn, name, row, run in take_turns(contenders, arguments.rounds):
                measured[name, row].append(run)
                say(f"round {turn + 1} of {arguments.rounds}: {row} ({CONTENDERS[name][1]}) {run['seconds']:.2f} s")
        finally:
            for contender in contenders.values():
                contender.close()
    hubs = [contender for contender in contenders.values() if "gelu_gap" in contender.facts]
    report = {
        "machine": machine(arguments.threads),
        "versions": versions(),
        "texts": {
            "count": len(texts),
            "mean_words": statistics.mean(len(text.split()) for text in texts),
            "mean_tokens": float(lengths.mean()),
            "longest_tokens": int(lengths.max()),
            "left_out": left_out,
        },
        "rounds": arguments.rounds,
        "rows": summarize(contenders, measured, gaps),
        "gelu_gap": max((one.facts["gelu_gap"] for one in hubs), default=None),
        "other_ids": max((len(one.facts["other_ids"]) for one in hubs), default=None),
        "not_measured": absent,
    }
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        print_table(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())

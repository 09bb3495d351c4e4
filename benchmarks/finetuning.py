"""Fine-tuning side by side: `fit` of ours on each backend, transformers and KerasHub, in one run.

All start from the same weights and see the same examples in batches of the same
size, float32, with AdamW, warm-up, linear decay and clipping. Each works as its
own documentation has it:

    ours          `TextClassifier.fit`: batches of like length, or several texts a row
    transformers  the loop of its examples: shuffled, each batch padded to its longest
    KerasHub      `BertTextClassifier.fit`: shuffled, all padded to 128

A run is a training of two epochs, of which the second counts: tokenizing,
tracing and compiling are done once, however long a training is, and have the
column of the first run, which is that of both epochs. Each runs in a process of
its own, and they take turns: see turns.py. That they learn alike is measured by
accuracy.py.

    python benchmarks/finetuning.py
    python benchmarks/finetuning.py --train train.tsv --examples 4096 --json
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from turns import machine, say, serve, start_contenders, take_turns, versions

from keras_bert_suite.data import read_examples
from keras_bert_suite.source import resolve_source
from keras_bert_suite.text import load_tokenizer

ROOT = Path(__file__).resolve().parents[1]
MAX_LENGTH = 128
BASELINES = {"x transformers": "transformers", "x KerasHub": "KerasHub"}


def prepare_ours(model, texts, labels, batch_size, dtype):
    from keras_bert_suite.tasks import TextClassifier

    names = [str(label) for label in range(max(labels) + 1)]
    classifier = TextClassifier.from_pretrained(model, labels=names, max_length=MAX_LENGTH, dtype=dtype)
    classifier.compile(learning_rate=1e-5)
    return lambda: _second_epoch(classifier.fit, texts, labels, batch_size=batch_size, seed=0, verbose=0)


def _second_epoch(fit, *data, **options):
    """Train two epochs with Keras, and return the seconds of the second."""
    import keras

    began = []
    clock = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: began.append(time.perf_counter()))
    fit(*data, epochs=2, callbacks=[clock], **options)
    return time.perf_counter() - began[-1]


def prepare_transformers(model, texts, labels, batch_size, dtype):
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    network = transformers.AutoModelForSequenceClassification.from_pretrained(model, num_labels=max(labels) + 1)
    labels = torch.tensor(labels)
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=dtype == "mixed_bfloat16")

    def run():
        network.train()
        encoded = tokenizer(texts, truncation=True, max_length=MAX_LENGTH)
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5, weight_decay=0.01)
        steps = 2 * -(-len(texts) // batch_size)
        schedule = transformers.get_linear_schedule_with_warmup(optimizer, steps // 10, steps)
        for _ in range(2):
            began = time.perf_counter()
            for rows in torch.randperm(len(texts)).split(batch_size):
                batch = {name: [values[row] for row in rows] for name, values in encoded.items()}
                batch = tokenizer.pad(batch, return_tensors="pt")
                with autocast:
                    loss = network(**batch, labels=labels[rows]).loss
                loss.backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
                loss.item()  # as a progress bar reads it
        return time.perf_counter() - began

    return run


def prepare_keras_hub(model, texts, labels, batch_size, dtype):
    import keras
    from keras_hub.models import BertTextClassifier

    classifier = BertTextClassifier.from_preset(model, num_classes=max(labels) + 1, dtype=dtype)
    classifier.preprocessor.sequence_length = MAX_LENGTH
    classifier.compile(
        optimizer=keras.optimizers.AdamW(1e-5, weight_decay=0.01, global_clipnorm=1.0),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    labels = np.array(labels)
    return lambda: _second_epoch(classifier.fit, texts, labels, batch_size=batch_size, verbose=0)


#: Name of the process -> (how it gets ready, its Keras backend or what it runs on, share of the examples it is given).
CONTENDERS = {
    **{f"ours, {backend}": (prepare_ours, backend, 1.0) for backend in ("tensorflow", "jax", "torch")},
    "transformers": (prepare_transformers, "torch", 1.0),
    # Its time does not depend on the length of texts, so a part of them will do.
    **{f"KerasHub, {backend}": (prepare_keras_hub, backend, 0.25) for backend in ("tensorflow", "jax", "torch")},
}


def serve_contender(name, job):
    values = json.loads(Path(job).read_text(encoding="utf-8"))
    prepare_one, _, share = CONTENDERS[name]
    count = max(values["batch_size"], int(len(values["texts"]) * share) // values["batch_size"] * values["batch_size"])
    values.update({part: values[part][:count] for part in ("texts", "labels")})

    def prepare():
        run = prepare_one(**values)
        started = time.perf_counter()
        run()
        return {name: run}, {"examples": count, "first_seconds": time.perf_counter() - started}

    serve(prepare)


def summarize(contenders, measured):
    """Return one dict a contender: its speed, and its ratio to each baseline round by round."""
    speeds = {
        name: [contenders[name].facts["examples"] / run["seconds"] for run in runs] for name, runs in measured.items()
    }
    rows = []
    for name, rates in speeds.items():
        ratios = {}
        for title, baseline in BASELINES.items():
            # Of several backends, the best round by round: no peer is held to its slow one.
            rivals = [values for other, values in speeds.items() if other.startswith(baseline)]
            if rivals:
                ratios[title] = statistics.median(rate / max(best) for rate, *best in zip(rates, *rivals, strict=True))
        rows.append(
            {
                "system": name,
                "examples_per_second": {"median": statistics.median(rates), "min": min(rates), "max": max(rates)},
                "ratios": ratios,
                "first_seconds": contenders[name].facts["first_seconds"],
                "examples": contenders[name].facts["examples"],
            }
        )
    return rows


def print_table(report):
    print(report["machine"])
    print(", ".join(f"{name} {version}" for name, version in report["versions"].items()))
    print("{count} examples of {mean_tokens:.1f} tokens on average, {longest_tokens} at most".format(**report["texts"]))
    print(f"batches of {report['batch_size']}, {report['dtype']}, {report['rounds']} rounds")
    titles = list(BASELINES)
    print(f"\n{'':24}{'examples/s':>12}{'(min-max)':>14}", end="")
    print("".join(f"{title:>18}" for title in titles) + "   first run")
    for row in report["rows"]:
        speed = row["examples_per_second"]
        spread = f"({speed['min']:.0f}-{speed['max']:.0f})"
        print(f"{row['system']:24}{speed['median']:12.0f}{spread:>14}", end="")
        print("".join(f"{row['ratios'].get(title, float('nan')):18.2f}" for title in titles), end=" ")
        print(f"{row['first_seconds']:9.1f} s")
    print("\nRatios are medians over the rounds of the ratio in each, to KerasHub's fastest backend in the round.")
    for name, reason in report["not_measured"].items():
        print(f"{name}: not measured; {reason}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="directory or installed model")
    parser.add_argument("--train", type=Path, default=ROOT / "examples" / "data" / "train.tsv", help="labelled texts")
    parser.add_argument("--columns", nargs=2, type=int, metavar=("TEXT", "LABEL"), help="of a file without a header")
    parser.add_argument("--examples", type=int, default=1024, help="how many to use at most")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--dtype", default="float32", choices=("float32", "mixed_bfloat16"))
    parser.add_argument("--rounds", type=int, default=4, help="turns of each contender")
    parser.add_argument("--threads", type=int, default=2, help="threads of each contender")
    parser.add_argument("--only", nargs="+", choices=list(CONTENDERS), metavar="NAME", help=", ".join(CONTENDERS))
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--contender", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contender:
        serve_contender(*arguments.contender)
        return 0

    model = str(resolve_source(arguments.model))
    columns = dict(zip(("text", "label"), arguments.columns, strict=True)) if arguments.columns else None
    rows = list(read_examples(arguments.train, require_label=True, columns=columns))
    order = np.random.default_rng(0).permutation(len(rows))[: arguments.examples]
    names = sorted({row.label for row in rows})
    job = {
        "model": model,
        "texts": [rows[index].text for index in order],
        "labels": [names.index(rows[index].label) for index in order],
        "batch_size": arguments.batch_size,
        "dtype": arguments.dtype,
    }
    lengths = load_tokenizer(model).encode(job["texts"], max_length=MAX_LENGTH).lengths
    contenders = {}
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(job, file)
        file.flush()
        try:
            backends = {name: CONTENDERS[name][1] for name in arguments.only or CONTENDERS}
            contenders, absent = start_contenders(__file__, backends, file.name, arguments.threads)
            measured = {name: [] for name in contenders}
            for turn, name, _, run in take_turns(contenders, arguments.rounds):
                measured[name].append(run)
                say(f"round {turn + 1} of {arguments.rounds}: {name} {run['seconds']:.2f} s")
        finally:
            for contender in contenders.values():
                contender.close()
    report = {
        "machine": machine(arguments.threads),
        "versions": versions(),
        "texts": {
            "count": len(order),
            "mean_tokens": float(lengths.mean()),
            "longest_tokens": int(lengths.max()),
        },
        "batch_size": arguments.batch_size,
        "dtype": arguments.dtype,
        "rounds": arguments.rounds,
        "rows": summarize(contenders, measured),
        "not_measured": absent,
    }
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        print_table(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())

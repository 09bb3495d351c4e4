"""A pretraining step side by side: ours on each backend, and `BertForPreTraining` of transformers, in one run.

All train a BERT-mini (4 layers, 256 wide) from new weights on the same batches
of real text: pairs of 128 tokens at most with masked tokens, as `kbs
pretrain-data` and `PretrainingDataset` make them, float32, AdamW, warm-up,
linear decay and clipping. What is measured is the loop that users write: for
ours `model.fit` on the data set, masks included; for transformers a loop over
batches that are ready, as its examples have it. The first run, which traces and
compiles, has a column of its own. Each contender runs in a process of its own,
and they take turns: see turns.py.

    python benchmarks/pretraining.py books/*.txt
    python benchmarks/pretraining.py --corpus corpus --only "ours, jax" transformers --json
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

from keras_bert_suite.data.corpus import Corpus
from keras_bert_suite.text import load_tokenizer


def prepare_ours(corpus, config, batch_size, steps, dtype):
    from first_batches import FirstBatches

    from keras_bert_suite.tasks.pretrainer import Pretrainer
    from keras_bert_suite.training.tf_batches import readable

    tokenizer = load_tokenizer(corpus)
    pretrainer = Pretrainer.from_config(config, tokenizer, pair_head="next_sentence", dtype=dtype, seed=0)
    pretrainer._compile_model(pretrainer.model, 1000)
    dataset = _dataset(corpus, batch_size)
    batches = readable(FirstBatches(dataset, steps))
    return lambda: pretrainer.model.fit(batches, shuffle=False, verbose=0), _tokens(dataset, steps)


def prepare_transformers(corpus, config, batch_size, steps, dtype):
    import torch
    import transformers

    from keras_bert_suite.config import PRESETS

    dataset, values = _dataset(corpus, batch_size), PRESETS[config]
    network = transformers.BertForPreTraining(
        transformers.BertConfig(
            vocab_size=len(dataset.vocabulary.maskable),
            hidden_size=values.hidden_dim,
            num_hidden_layers=values.num_layers,
            num_attention_heads=values.num_heads,
            intermediate_size=values.intermediate_dim,
        )
    )
    batches = [_as_tensors(dataset[index]) for index in range(steps)]
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=dtype == "mixed_bfloat16")
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, weight_decay=0.01)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, 100, 1000)

    def run():
        network.train()
        for batch in batches:
            with autocast:
                loss = network(**batch).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            loss.item()  # as a progress bar reads it

    return run, _tokens(dataset, steps)


def _dataset(corpus, batch_size):
    from keras_bert_suite.training.pretraining_dataset import PretrainingDataset

    return PretrainingDataset(Corpus(corpus), load_tokenizer(corpus), batch_size, pair_head="next_sentence")


def _tokens(dataset, steps):
    """Return the tokens of so many batches, padding left out."""
    return sum(int(dataset[index][0]["padding_mask"].sum()) for index in range(steps))


def _as_tensors(batch):
    import torch

    inputs, targets, weights = batch
    labels = np.full(inputs["token_ids"].shape, -100)
    rows, places = np.nonzero(weights["masked_lm"])
    labels[rows, inputs["masked_positions"][rows, places]] = targets["masked_lm"][rows, places]
    arrays = {
        "input_ids": inputs["token_ids"],
        "token_type_ids": inputs["segment_ids"],
        "attention_mask": inputs["padding_mask"],
        "labels": labels,
        "next_sentence_label": targets["next_sentence"],
    }
    return {name: torch.tensor(array, dtype=torch.long) for name, array in arrays.items()}


#: Name of the process -> (how it gets ready, its Keras backend or what it runs on).
CONTENDERS = {
    **{f"ours, {backend}": (prepare_ours, backend) for backend in ("tensorflow", "jax", "torch")},
    "transformers": (prepare_transformers, "torch"),
}


def serve_contender(name, job):
    values = json.loads(Path(job).read_text(encoding="utf-8"))

    def prepare():
        run, tokens = CONTENDERS[name][0](**values)
        started = time.perf_counter()
        run()
        return {name: run}, {"tokens": tokens, "first_seconds": time.perf_counter() - started}

    serve(prepare)


def summarize(measured, facts):
    """Return one dict a contender: tokens a second, and the ratio to transformers round by round."""
    speeds = {name: [facts[name]["tokens"] / run["seconds"] for run in runs] for name, runs in measured.items()}
    rows = []
    for name, rates in speeds.items():
        rivals = speeds.get("transformers", [float("nan")] * len(rates))
        rows.append(
            {
                "system": name,
                "tokens_per_second": {"median": statistics.median(rates), "min": min(rates), "max": max(rates)},
                "ratio": statistics.median(rate / rival for rate, rival in zip(rates, rivals, strict=True)),
                "first_seconds": facts[name]["first_seconds"],
            }
        )
    return rows


def print_table(report):
    print(report["machine"])
    print(", ".join(f"{name} {version}" for name, version in report["versions"].items()))
    print(
        "{config}, {steps} steps of {batch_size} x {max_length} tokens, {padding:.0%} of them padding, {dtype}, "
        "{rounds} rounds".format(**report)
    )
    print(f"\n{'':24}{'tokens/s':>12}{'(min-max)':>16}{'x transformers':>18}   first run")
    for row in report["rows"]:
        speed = row["tokens_per_second"]
        spread = f"({speed['min']:.0f}-{speed['max']:.0f})"
        print(f"{row['system']:24}{speed['median']:12.0f}{spread:>16}{row['ratio']:18.2f}", end=" ")
        print(f"{row['first_seconds']:9.1f} s")
    print("\nPadding is not counted. Ratios are medians over the rounds of the ratio in each.")
    for name, reason in report["not_measured"].items():
        print(f"{name}: not measured; {reason}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", metavar="FILE", help="plain text")
    parser.add_argument("--corpus", metavar="DIR", help="a corpus of next-sentence pairs, instead of files")
    parser.add_argument("--tokenizer", default="all-MiniLM-L6-v2", help="for the files; directory or installed model")
    parser.add_argument("--config", default="bert-mini", metavar="PRESET", help="default: bert-mini")
    parser.add_argument("--batch-size", type=int, default=32, help="default: 32")
    parser.add_argument("--steps", type=int, default=12, help="steps of a run (default: 12)")
    parser.add_argument("--dtype", default="float32", choices=("float32", "mixed_bfloat16"))
    parser.add_argument("--rounds", type=int, default=5, help="runs of each (default: 5)")
    parser.add_argument("--threads", type=int, default=2, help="of each contender (default: 2)")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=CONTENDERS, help="some of the contenders")
    parser.add_argument("--json", action="store_true", help="print the measurements as JSON")
    parser.add_argument("--contender", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contender:
        serve_contender(*arguments.contender)
        return 0
    if bool(arguments.files) == bool(arguments.corpus):
        parser.error("give files of text, or --corpus")
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(arguments.corpus or Path(folder, "corpus"))
        if arguments.files:
            from keras_bert_suite.data.corpus.build import build_corpus

            build_corpus(arguments.files, load_tokenizer(arguments.tokenizer), corpus)
        report = compare(arguments, corpus.resolve(), Path(folder, "job.json"))
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        print_table(report)
    return 0


def compare(arguments, corpus, job):
    values = {"corpus": str(corpus), "config": arguments.config, "batch_size": arguments.batch_size}
    job.write_text(json.dumps({**values, "steps": arguments.steps, "dtype": arguments.dtype}), encoding="utf-8")
    opened = Corpus(corpus)
    contenders = {}
    try:
        backends = {name: CONTENDERS[name][1] for name in arguments.only or CONTENDERS}
        contenders, absent = start_contenders(__file__, backends, job, arguments.threads)
        measured = {name: [] for name in contenders}
        for turn, name, _, run in take_turns(contenders, arguments.rounds):
            measured[name].append(run)
            say(f"round {turn + 1} of {arguments.rounds}: {name} {run['seconds']:.2f} s")
        facts = {name: contender.facts for name, contender in contenders.items()}
    finally:
        for contender in contenders.values():
            contender.close()
    return {
        "machine": machine(arguments.threads),
        "versions": versions(),
        "config": arguments.config,
        "max_length": opened.max_length,
        "padding": 1 - opened.num_tokens / opened.num_rows / opened.max_length,
        "batch_size": arguments.batch_size,
        "steps": arguments.steps,
        "dtype": arguments.dtype,
        "rounds": arguments.rounds,
        "rows": summarize(measured, facts),
        "not_measured": absent,
    }


if __name__ == "__main__":
    sys.exit(main())

"""Training on packed rows, on batches of like length and on batches padded to their longest, in turns in one process.

The same texts, 32 examples a batch in each, through `fit` of a classifier of
the size of all-MiniLM-L6-v2 with new weights: float32, dropout, AdamW. A turn is
the first batches of an epoch. Each way has a turn of its own in which it
compiles; then they take turns.

    packed    `PackedDataset`: several examples a row, an attention mask between them
    bucketed  `BucketedDataset`: examples of like length share a batch
    padded    random batches, each padded to its longest

    KERAS_BACKEND=jax python benchmarks/packing.py
    KERAS_BACKEND=torch python benchmarks/packing.py --text news.txt --steps 32 --json
"""

import argparse
import json
import random
import statistics
import sys
import time
from pathlib import Path

import keras
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from first_batches import FirstBatches
from turns import machine

from keras_bert_suite import EncoderConfig, load_tokenizer
from keras_bert_suite.data import plan_training_batches, read_texts
from keras_bert_suite.models import build_encoder, build_packed, build_text_classifier
from keras_bert_suite.training import BucketedDataset, build_optimizer
from keras_bert_suite.training.backend import compiles_per_shape
from keras_bert_suite.training.packed_dataset import PackedDataset
from keras_bert_suite.training.tf_batches import readable

DATA = Path(__file__).resolve().parents[1] / "examples" / "data"
MAX_LENGTH = 128
NUM_LABELS = 10
REFERENCE = "padded"


class PaddedDataset(BucketedDataset):
    """Batches of the examples that chance put together."""

    def _plan(self, epoch):
        rng = np.random.default_rng((self.seed, epoch))
        plan = plan_training_batches(self.encoded.lengths, self.batch_size, self.buckets, rng, window=1)
        return self._with_two_lengths(plan)


def compiled(model):
    model.compile(
        optimizer=build_optimizer(1e-4, total_steps=10_000),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight"),
        jit_compile="auto" if compiles_per_shape() else False,
    )
    return model


def contenders(encoded, batch_size, steps):
    """Return dict from name to a model and its data set, the first `steps` batches of an epoch."""
    config = EncoderConfig(num_layers=6, hidden_dim=384, num_heads=12, intermediate_dim=1536)
    model = build_text_classifier(build_encoder(config), NUM_LABELS)
    targets = np.random.default_rng(0).integers(0, NUM_LABELS, len(encoded))
    kinds = {"packed": PackedDataset, "bucketed": BucketedDataset, REFERENCE: PaddedDataset}
    models = {"packed": build_packed(model)}
    return {
        name: (
            compiled(models.get(name) or build_text_classifier(build_encoder(config), NUM_LABELS)),
            FirstBatches(kind(encoded, targets, batch_size, MAX_LENGTH), steps),
        )
        for name, kind in kinds.items()
    }


def seconds_of(model, dataset):
    batches = readable(dataset)
    started = time.perf_counter()
    model.fit(batches, shuffle=False, verbose=0)
    return time.perf_counter() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="whose tokenizer to use: directory or name")
    parser.add_argument("--text", type=Path, help="texts: one a line, or a TSV, CSV or JSON Lines file")
    parser.add_argument("--steps", type=int, default=16, help="batches of a turn")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=4, help="turns of each way")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()

    files = [arguments.text] if arguments.text else sorted(DATA.glob("*.tsv"))
    texts = [row.text for file in files for row in read_texts(file)]
    random.Random(0).shuffle(texts)
    encoded = load_tokenizer(arguments.model).encode(texts, max_length=MAX_LENGTH)

    ways = contenders(encoded, arguments.batch_size, arguments.steps)
    examples, padding = {}, {}
    for name, (_, dataset) in ways.items():
        batches = [dataset[index] for index in range(dataset.num_batches)]
        examples[name] = sum(float(weights.sum()) for _, _, weights in batches)
        tokens = sum(
            int((inputs.get("sequence_ids", inputs.get("padding_mask")) > 0).sum()) for inputs, _, _ in batches
        )
        padding[name] = 1 - tokens / sum(inputs["token_ids"].size for inputs, _, _ in batches)
    first = {name: seconds_of(*way) for name, way in ways.items()}
    seconds = {name: [] for name in ways}
    for turn in range(arguments.rounds):
        for name in list(ways)[:: 1 if turn % 2 == 0 else -1]:
            seconds[name].append(seconds_of(*ways[name]))
    speeds = {name: [examples[name] / time for time in times] for name, times in seconds.items()}
    rows = [
        {
            "way": name,
            "examples_per_second": statistics.median(rates),
            "ratio": statistics.median(rate / other for rate, other in zip(rates, speeds[REFERENCE], strict=True)),
            "padding": padding[name],
            "first_seconds": first[name],
            "seconds": seconds[name],
        }
        for name, rates in speeds.items()
    ]
    report = {
        "machine": machine(2),
        "backend": keras.backend.backend(),
        "examples": len(encoded),
        "steps": ways[REFERENCE][1].num_batches,
        "tokens": {"mean": float(encoded.lengths.mean()), "longest": int(encoded.lengths.max())},
        "rows": rows,
    }
    if arguments.json:
        print(json.dumps(report, indent=2))
        return 0
    print(report["machine"])
    print(
        f"{report['backend']}: {report['steps']} batches of {arguments.batch_size} examples, "
        f"{encoded.lengths.mean():.0f} tokens on average"
    )
    print(f"\n{'':12}{'examples/s':>12}{'x padded':>10}{'padding':>10}{'first turn':>14}")
    for row in rows:
        print(f"{row['way']:12}{row['examples_per_second']:12.1f}{row['ratio']:10.2f}", end="")
        print(f"{row['padding']:10.0%}{row['first_seconds']:12.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())

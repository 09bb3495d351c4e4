"""LiteRT files of one sentence embedder: size, latency at batch 1 and difference, as ratios to float32.

Every variant is written by this package, checked on the same texts, and then
run in turns with the others, one row at a time. A latency is the least of the
rounds: what the work costs where nothing else runs. The difference is the
largest of any number of any vector from Keras', next to 1 - cosine.

    KERAS_BACKEND=tensorflow python benchmarks/litert.py
    KERAS_BACKEND=tensorflow python benchmarks/litert.py --lengths 32 64 128 --json
"""

import argparse
import functools
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from turns import least_seconds, machine, say, versions

from keras_bert_suite.data import read_texts

DATA = Path(__file__).resolve().parents[1] / "examples" / "data"
VARIANTS = {"float32": None, "float16": "float16", "int8": "int8", "full-int8": "full-int8", "int4": "int4"}
ROWS = 32  # texts that are compared


def write(task, folder, lengths, calibration):
    """Write each variant; return its path by name."""
    from keras_bert_suite.export.litert import export_litert
    from keras_bert_suite.export.served_model import build_served_model

    served = build_served_model(task)
    paths = {}
    for name, quantization in VARIANTS.items():
        say(f"{name}: writing")
        paths[name] = folder / f"{name}.tflite"
        export_litert(task, served, paths[name], lengths, quantization=quantization, calibration=calibration)
    return paths


def compare(run, batch, expected):
    """The largest difference of a number, and of 1 - cosine of a vector."""
    found = run(batch)["embedding"]
    norms = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    return float(np.abs(found - expected).max()), float((1 - (found * expected).sum(axis=1) / norms).max())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="directory or installed model")
    parser.add_argument("--lengths", type=int, nargs="+", default=[128], help="tokens; the greatest is timed")
    parser.add_argument("--rounds", type=int, default=100, help="turns of each variant")
    parser.add_argument("--threads", type=int, default=1, help="threads of LiteRT")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()

    import keras

    if keras.backend.backend() != "tensorflow":
        parser.error("LiteRT files are written with the TensorFlow backend. Run: KERAS_BACKEND=tensorflow python ...")
    import keras_bert_suite as kbs
    from keras_bert_suite.export.run_litert import load_litert

    task = kbs.TextEmbedder.from_pretrained(arguments.model)
    lengths = sorted(arguments.lengths)
    texts = [row.text for name in ("dev.tsv", "train.tsv") for row in read_texts(DATA / name)]
    batch = task.tokenizer(texts[:ROWS], max_length=lengths[-1])
    calibration = task.tokenizer(texts[ROWS : 3 * ROWS], max_length=lengths[-1])
    expected = np.asarray(task.model.predict_on_batch(batch))
    full = {"token_ids": np.resize(batch["token_ids"][batch["padding_mask"] > 0], (1, lengths[-1]))}
    full |= {"segment_ids": np.zeros_like(full["token_ids"]), "padding_mask": np.ones_like(full["token_ids"])}
    with tempfile.TemporaryDirectory() as folder:
        paths = write(task, Path(folder), lengths, calibration)
        runs = {name: load_litert(path, arguments.threads) for name, path in paths.items()}
        differences = {name: compare(run, batch, expected) for name, run in runs.items()}
        say("measuring")
        calls = {name: functools.partial(run, full) for name, run in runs.items()}
        seconds = least_seconds(calls, arguments.rounds)
        sizes = {name: path.stat().st_size for name, path in paths.items()}
    rows = [
        {
            "variant": name,
            "megabytes": sizes[name] / 1e6,
            "size_ratio": sizes[name] / sizes["float32"],
            "milliseconds": 1e3 * seconds[name],
            "speed_ratio": seconds["float32"] / seconds[name],
            "largest_difference": differences[name][0],
            "cosine_distance": differences[name][1],
        }
        for name in runs
    ]
    about = {"machine": machine(arguments.threads), "versions": versions(), "lengths": lengths}
    if arguments.json:
        print(json.dumps({**about, "rounds": arguments.rounds, "rows": rows}, indent=2))
        return
    print(about["machine"])
    print(
        f"{arguments.model}, lengths {lengths}, one row of {lengths[-1]} tokens, least of {arguments.rounds} rounds\n"
    )
    print(f"{'':10}{'MB':>8}{'of float32':>12}{'ms':>8}{'x float32':>11}{'difference':>12}{'1 - cosine':>12}")
    for row in rows:
        print(f"{row['variant']:10}{row['megabytes']:8.2f}{row['size_ratio']:12.3f}{row['milliseconds']:8.2f}", end="")
        print(f"{row['speed_ratio']:11.2f}{row['largest_difference']:12.1e}{row['cosine_distance']:12.1e}")


if __name__ == "__main__":
    main()

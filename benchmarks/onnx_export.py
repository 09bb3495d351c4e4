"""ONNX files side by side: a classifier in transformers, ONNX Runtime and OpenVINO, and how long each takes to write.

All have the same weights and one text a call, on the same threads:

    transformers        `AutoModelForSequenceClassification`, float32, PyTorch; every text padded to 128 tokens
    onnx                ours in ONNX Runtime, float32
    onnx-int8           ours, weights in 8 bits, activations rounded by their range of the moment
    onnx-static-int8    ours, activations rounded by ranges known before
    openvino            ours in OpenVINO, float32

Two jobs: rows of 128 tokens, and example messages of their own lengths. Float32
answers are compared before anything is timed; a run in which they differ by
more than 1e-4 fails. Each runs in a process of its own, and they take turns:
see turns.py. What counts is the least time of all rounds: on a busy machine
the others measure its other programs.

    python benchmarks/onnx_export.py
    python benchmarks/onnx_export.py --model DIR --rounds 20 --threads 2 --json
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from prediction import example_texts
from turns import machine, say, serve, start_contenders, take_turns, versions

from keras_bert_suite.source import resolve_source
from keras_bert_suite.text import load_tokenizer

LENGTH = 128
SENTENCES = 24
TOLERANCE = 1e-4
CALLS = 5  # in a row, of which the fastest counts, on rows of 128 tokens
QUANTIZATIONS = {"onnx": None, "onnx-int8": "int8", "onnx-static-int8": "static-int8"}
JOBS = ("128 tokens", "messages")


# Writing the files, in a process that runs TensorFlow.


def write_files(folder):
    """Write every file into `folder`, and how many seconds each took."""
    import keras_bert_suite as kbs
    from keras_bert_suite.export.onnx import export_onnx
    from keras_bert_suite.export.openvino import export_openvino
    from keras_bert_suite.export.served_model import build_served_model

    model = json.loads((folder / "job.json").read_text(encoding="utf-8"))["model"]
    task = kbs.TextClassifier.from_pretrained(model, labels=["no", "yes"])
    task.save_pretrained(folder / "task")
    served = build_served_model(task)
    calibration = task.tokenizer(example_texts(64, random.Random(1)), max_length=LENGTH)
    seconds = {}
    for name, quantization in QUANTIZATIONS.items():
        started = time.perf_counter()
        export_onnx(task, served, folder / f"{name}.onnx", LENGTH, quantization=quantization, calibration=calibration)
        seconds[name] = time.perf_counter() - started
    try:
        started = time.perf_counter()
        export_openvino(folder / "onnx.onnx", folder / "openvino.xml")
        seconds["openvino"] = time.perf_counter() - started
    except ImportError as error:
        say(str(error))
    seconds["tf2onnx alone"] = write_plainly(served.model, folder / "plain.onnx")
    (folder / "seconds.json").write_text(json.dumps(seconds), encoding="utf-8")


def write_plainly(model, path):
    """Write a model as tf2onnx does by itself, and return how many seconds that took."""
    import tensorflow as tf
    import tf2onnx

    signature = [{name: tf.TensorSpec((None, None), tf.int32, name=name) for name in model.input}]
    started = time.perf_counter()
    tf2onnx.convert.from_function(tf.function(model), input_signature=signature, opset=17, output_path=str(path))
    return time.perf_counter() - started


# The contenders. Each takes the folder and returns its function from ids to probabilities.


def prepare_transformers(folder):
    import torch
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(folder / "task").eval()
    names = {"input_ids": "token_ids", "token_type_ids": "segment_ids", "attention_mask": "padding_mask"}

    def run(ids):
        padding = ((0, 0), (0, LENGTH - ids["token_ids"].shape[1]))
        inputs = {theirs: torch.tensor(np.pad(ids[ours], padding)).long() for theirs, ours in names.items()}
        with torch.inference_mode():
            return torch.softmax(model(**inputs).logits, dim=-1).numpy()

    return run


def prepare_onnx(folder, name, threads):
    from keras_bert_suite.export.run_onnx import load_onnx

    run = load_onnx(folder / f"{name}.onnx", threads)
    return lambda ids: run(ids)["probabilities"]


def prepare_openvino(folder, threads):
    from keras_bert_suite.export.run_openvino import load_openvino

    run = load_openvino(folder / "openvino.xml", threads)
    return lambda ids: run(ids)["probabilities"]


def serve_contender(name, folder):
    """Be one contender: get ready, write its answers, then wait for turns."""
    threads = int(os.environ["OMP_NUM_THREADS"])

    def prepare():
        with np.load(folder / "ids.npz") as stored:
            rows = [
                {key: stored[f"{row}/{key}"] for key in ("token_ids", "segment_ids", "padding_mask")}
                for row in range(SENTENCES + 1)
            ]
        if name == "transformers":
            run = prepare_transformers(folder)
        else:
            run = prepare_openvino(folder, threads) if name == "openvino" else prepare_onnx(folder, name, threads)
        np.save(folder / f"{name}.npy", np.concatenate([run(row) for row in rows]))
        return {JOBS[0]: lambda: timed(run, rows[:1] * CALLS), JOBS[1]: lambda: timed(run, rows[1:], sum)}, {}

    serve(prepare)


def timed(run, rows, reduce=min):
    seconds = []
    for row in rows:
        started = time.perf_counter()
        run(row)
        seconds.append(time.perf_counter() - started)
    return reduce(seconds) / (len(rows) if reduce is sum else 1)


# The run.


def encode(tokenizer, folder):
    """Write the rows: one of 128 tokens, then messages of their own lengths. Return the mean length of these."""
    texts = example_texts(SENTENCES, random.Random(0))
    rows = [tokenizer([" ".join(texts)], max_length=LENGTH)]
    rows += [tokenizer([text], max_length=LENGTH) for text in texts]
    np.savez(folder / "ids.npz", **{f"{row}/{key}": ids[key] for row, ids in enumerate(rows) for key in ids})
    return float(np.mean([ids["token_ids"].shape[1] for ids in rows[1:]]))


def compare(folder, names):
    """Return by how much each contender's probabilities differ from transformers'."""
    expected = np.load(folder / "transformers.npy")
    gaps = {name: float(np.abs(np.load(folder / f"{name}.npy") - expected).max()) for name in names}
    wrong = {name: gap for name, gap in gaps.items() if "int8" not in name and gap > TOLERANCE}
    if wrong:
        raise SystemExit(f"onnx_export.py: answers must be within {TOLERANCE} of transformers'. Received: {wrong}.")
    return gaps


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="checkpoint (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--contender", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--write", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        return write_files(Path(options.write))
    if options.contender:
        return serve_contender(options.contender[0], Path(options.contender[1]))
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "job.json").write_text(json.dumps({"model": str(resolve_source(options.model))}))
        environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
        say("writing the files")
        subprocess.run([sys.executable, __file__, "--write", str(folder)], env=environment, check=True)
        seconds = json.loads((folder / "seconds.json").read_text())
        tokens = encode(load_tokenizer(folder / "task"), folder)
        names = ["transformers", *(name for name in (*QUANTIZATIONS, "openvino") if name in seconds)]
        contenders, absent = start_contenders(__file__, dict.fromkeys(names, "torch"), folder, options.threads)
        gaps = compare(folder, contenders)
        best = {}
        for _, name, job, run in take_turns(contenders, options.rounds):
            best[name, job] = min(run["seconds"], best.get((name, job), np.inf))
        for contender in contenders.values():
            contender.close()
        rows = [
            {
                "system": name,
                "milliseconds": {job: 1e3 * best[name, job] for job in JOBS},
                "x transformers": {job: best["transformers", job] / best[name, job] for job in JOBS},
                "largest_difference": gaps[name],
                "export_seconds": seconds.get(name),
                "megabytes": sum(
                    file.stat().st_size for file in folder.glob(f"{name}.*") if file.suffix in (".onnx", ".xml", ".bin")
                )
                / 1e6,
            }
            for name in contenders
        ]
    report(rows, seconds["tf2onnx alone"], tokens, absent, options)


def report(rows, plain_seconds, tokens, absent, options):
    if options.json:
        facts = {"machine": machine(options.threads), "versions": versions(), "mean_tokens_of_messages": tokens}
        print(json.dumps({**facts, "rows": rows, "tf2onnx_alone_seconds": plain_seconds, "absent": absent}, indent=2))
        return
    print(f"{machine(options.threads)}. One text a call, least of {options.rounds} rounds.")
    headings = (
        f"{'128 tokens':>12}{'':>8}{f'messages of {tokens:.0f}':>16}{'':>8}{'difference':>12}{'MB':>8}{'export':>9}"
    )
    print(f"{'':18}{headings}")
    for row in rows:
        cells = "".join(
            f"{row['milliseconds'][job]:>{width}.1f} ms{row['x transformers'][job]:>7.2f}x"
            for job, width in zip(JOBS, (9, 13), strict=True)
        )
        size = f"{row['megabytes']:>8.1f}" if row["megabytes"] else f"{'':8}"
        took = f"{row['export_seconds']:>7.1f} s" if row["export_seconds"] else ""
        print(f"{row['system']:18}{cells}{row['largest_difference']:>12.1e}{size}{took}")
    print(f"tf2onnx alone writes the float32 file in {plain_seconds:.1f} s.")
    for name, why in absent.items():
        print(f"{name} is absent: {why}")


if __name__ == "__main__":
    main()

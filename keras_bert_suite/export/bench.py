"""How fast artifacts are, how large, and how much memory they need. No model is needed beside them."""

import json

import numpy as np

from keras_bert_suite.errors import check_positive_int
from keras_bert_suite.export.formats import check_available
from keras_bert_suite.export.report import table
from keras_bert_suite.export.runner import ArtifactProcess
from keras_bert_suite.export.runtimes import find_artifacts, packed_files, size_of

__all__ = ["bench_artifacts", "bench_table"]

INPUTS = ("token_ids", "segment_ids", "padding_mask", "word_mask")


def bench_artifacts(artifacts, lengths=(128,), batch_sizes=(1, 32), num_threads=None):
    """Time artifacts, each in a process of its own.

    Args:
        artifacts: str or path: a directory as `export_task` wrote it, or one artifact.
        lengths: sequence of int. Tokens of a row.
        batch_sizes: sequence of int. Rows of a call.
        num_threads: optional int. Threads of the runtime. Defaults to what it chooses.
    Returns:
        list of dict, one for each artifact: `format`, `size_mb`, `load_seconds`,
        `peak_memory_mb`, and `latency_ms`, a list of dicts with `batch_size`,
        `length` and `milliseconds`, the median.
    Raises:
        ArtifactError: if there is none, or it cannot be run.
        ImportError: if a runtime is not installed.
    """
    for name, values in (("lengths", lengths), ("batch_sizes", batch_sizes)):
        for value in values:
            check_positive_int("bench", **{name: value})
    paths = find_artifacts(artifacts)
    check_available(paths, runtimes_only=True)
    rows = []
    for name, path in paths.items():
        config = json.loads(packed_files(path).get("task/config.json", b"{}"))
        in_groups = config.get("keras_bert_suite", {}).get("task") == "multiple-choice"
        with ArtifactProcess(path, num_threads) as artifact:
            times = []
            longest = artifact.max_length or config.get("max_position_embeddings", max(lengths))
            for length in (length for length in lengths if length <= longest):
                for batch_size in batch_sizes:
                    shape = (batch_size, 1, length) if in_groups else (batch_size, length)
                    arrays = {name: np.full(shape, name != "segment_ids", "int32") for name in INPUTS}
                    seconds = artifact.time("ids", arrays)
                    times.append({"batch_size": batch_size, "length": length, "milliseconds": 1e3 * seconds})
            rows.append(
                {
                    "format": name,
                    "size_mb": size_of(path) / 1e6,
                    "load_seconds": artifact.load_seconds,
                    "peak_memory_mb": artifact.peak_memory() / 1e6,
                    "latency_ms": times,
                }
            )
    return rows


def bench_table(rows):
    """Return what `bench_artifacts` found as plain text for people."""
    timed = list(dict.fromkeys((one["batch_size"], one["length"]) for row in rows for one in row["latency_ms"]))
    heading = ["format", "size MB", "load s", "peak MB", *(f"ms, {rows}x{length}" for rows, length in timed)]
    cells = [heading]
    for row in rows:
        found = {(one["batch_size"], one["length"]): f"{one['milliseconds']:.1f}" for one in row["latency_ms"]}
        numbers = [f"{row['size_mb']:.1f}", f"{row['load_seconds']:.2f}", f"{row['peak_memory_mb']:.0f}"]
        cells.append([row["format"], *numbers, *(found.get(one, "-") for one in timed)])
    return "\n".join(table(cells))

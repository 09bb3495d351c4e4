"""The worker process of an export: `python -m keras_bert_suite.export.worker JOB.json`.

Runs with Keras on TensorFlow. Rebuilds the task when there is something to
write, writes each format, runs every artifact and compares it with the
probabilities that the parent computed. Standard output belongs to the parent:
one JSON object a line, `{"step"}` and `{"seconds"}` for each step. A job has

    task        optional `{"module", "name", "directory"}`: what to rebuild
    output      the directory of the artifacts
    formats     the formats to write, or only to run
    max_length, litert_length    in tokens
    texts, pairs, targets        the examples; targets are label indices
    arrays      an npz of `full/NAME` and `litert/NAME`, as `encode_examples` makes them

and its last object is `{"result": {"rows", "notes"}}` or `{"result": {"error"}}`.
"""

import contextlib
import importlib
import json
import os
import sys
import threading
import time
from pathlib import Path

import numpy as np

from keras_bert_suite.export.formats import SPECIFICATIONS


def main(path):
    """Do one job; the last thing said is its result, or the error that ended it."""
    say = _take_standard_output()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    try:
        result = _run(job, say)
    except (MemoryError, OSError, RuntimeError, ValueError, ImportError) as error:
        result = {"error": explain(error)}
    except Exception as error:  # TensorFlow, ONNX Runtime and flatbuffers raise classes of their own
        result = {"error": f"{type(error).__name__}: {explain(error)}"}
    say(result=result)


def explain(error):
    """Return what an exception says, in one line of bearable length."""
    if isinstance(error, MemoryError):
        return "there is not enough memory. Close other programs, or export one format at a time."
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " | ".join(lines[:1] + lines[1:][-2:]) or type(error).__name__
    return text if len(text) <= 600 else f"{text[:300]} [...] {text[-300:]}"


def _run(job, say):
    rows, notes = [], []
    output = Path(job["output"])
    if job["task"] is not None:
        with _step(say, "starting TensorFlow"):
            task = _rebuild(**job["task"])
        for name in job["formats"]:
            with _step(say, f"exporting {name}"):
                notes += _write(name, task, output, job)
        del task
    examples = _read_examples(job)
    for name in job["formats"]:
        with _step(say, f"verifying {name}"):
            rows += _measure(name, output, examples)
    return {"rows": rows, "notes": list(dict.fromkeys(notes))}


def _rebuild(module, name, directory):
    import keras

    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    return getattr(importlib.import_module(module), name).from_pretrained(directory)


def _write(name, task, output, job):
    """Write one format and return the notes that go with it."""
    path = output / SPECIFICATIONS[name].file
    path.parent.mkdir(parents=True, exist_ok=True)
    if name == "saved_model":
        from keras_bert_suite.export.saved_model import export_saved_model

        return export_saved_model(task, path, job["max_length"])
    if name == "onnx":
        from keras_bert_suite.export.onnx import export_onnx

        return export_onnx(task, path, job["max_length"])
    from keras_bert_suite.export.litert import export_litert

    return export_litert(task, path, job["litert_length"], int8=name == "litert-int8")


def _measure(name, output, examples):
    from keras_bert_suite.export.measure import measure

    specification = SPECIFICATIONS[name]
    path = output / specification.file
    row = {"format": name, "file": specification.file, "tolerance": specification.tolerance}
    try:
        runners = _load(name, path)
        chosen = examples["litert" if name.startswith("litert") else "full"]
        rows = [measure(run, kind, chosen) for kind, run in runners.items()]
    except Exception as error:  # an artifact that cannot run is a finding, whatever its runtime raises
        return [{**row, "input": "ids", "passed": False, "error": explain(error)}]
    size_mb = _size(path) / 1e6
    for found in rows:
        limit = specification.tolerance
        found["passed"] = found["finite"] and (limit is None or found["max_difference"] <= limit)
    return [{**row, "size_mb": size_mb, **found} for found in rows]


def _load(name, path):
    """Open an artifact in its own runtime: dict from kind of input to a function."""
    if name == "saved_model":
        from keras_bert_suite.export.saved_model import load_saved_model

        return load_saved_model(path)
    if name == "onnx":
        from keras_bert_suite.export.onnx import load_onnx

        return load_onnx(path)
    from keras_bert_suite.export.litert import load_litert

    return load_litert(path)


def _size(path):
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())


def _read_examples(job):
    examples = {}
    with np.load(job["arrays"]) as arrays:
        for name in arrays.files:
            kind, key = name.split("/")
            examples.setdefault(kind, {})[key] = arrays[name]
    for found in examples.values():
        found.update({name: job[name] for name in ("texts", "pairs", "targets")})
    return examples


@contextlib.contextmanager
def _step(say, name):
    start = time.perf_counter()
    say(step=name)
    yield
    say(seconds=time.perf_counter() - start)


def _take_standard_output():
    """Keep standard output for the parent; what libraries print goes where errors go."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(**event):
        print(json.dumps(event), file=channel, flush=True)

    return say


def _end_with_parent():
    """Wait for the end of standard input, which the parent holds open while it lives."""
    os.read(0, 1)  # not through sys.stdin, whose lock would hold up the end of the interpreter
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1])

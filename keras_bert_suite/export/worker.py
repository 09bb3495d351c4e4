"""The worker process of an export: `python -m keras_bert_suite.export.worker JOB.json`.

Runs with Keras on TensorFlow: rebuilds the task and writes each format.
Standard output belongs to the parent: one JSON object a line, `{"step"}` and
`{"seconds"}` for each step. A job has

    task        `{"module", "name", "directory"}`: what to rebuild
    output      the directory of the artifacts
    formats     the formats to write
    max_length, litert_lengths    in tokens
    model_name, version           what a bundle for TF Serving calls the model
    arrays      an npz of `calibration/NAME`: ids of typical texts, for formats that need them

and its last object is `{"result": {"notes"}}` or `{"result": {"error"}}`.
"""

import contextlib
import importlib
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from keras_bert_suite.export.formats import SPECIFICATIONS
from keras_bert_suite.export.process import explain


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


def _run(job, say):
    notes, output = [], Path(job["output"])
    with _step(say, "starting TensorFlow"):
        writer = _Writer(job)
    for name in job["formats"]:
        with _step(say, f"exporting {name}"):
            path = output / SPECIFICATIONS[name].file
            path.parent.mkdir(parents=True, exist_ok=True)
            notes += writer.write(name, path, output)
    return {"notes": list(dict.fromkeys(notes))}


class _Writer:
    """The task of a job, and how each format is written of it."""

    def __init__(self, job):
        from keras_bert_suite.export.description import describe
        from keras_bert_suite.export.served_model import build_served_model

        self.job = job
        self.task = _rebuild(**job["task"])
        self.served = build_served_model(self.task)
        self.files = describe(job["task"]["directory"])
        with np.load(job["arrays"]) as arrays:
            self.calibration = {name.removeprefix("calibration/"): arrays[name] for name in arrays.files}

    def write(self, name, path, output):
        """Write one format and return the notes that go with it."""
        from keras_bert_suite.export.description import FOLDER, write_description
        from keras_bert_suite.export.saved_model import export_saved_model

        kind, _, variant = name.partition("-")
        common = {"quantization": variant or None, "calibration": self.calibration or None}
        if kind == "saved_model":
            return export_saved_model(self.task, self.served, path, self.job["max_length"], self.files)
        if name == "tf-serving":
            from keras_bert_suite.export.bundle import write_bundle

            saved = path / "models" / self.job["model_name"] / str(self.job["version"])
            saved.parent.mkdir(parents=True)
            notes = export_saved_model(self.task, self.served, saved, self.job["max_length"], self.files)
            write_bundle(self.task, saved, path, self.job["model_name"], self.job["version"], self.job["max_length"])
            return notes
        if kind == "litert":
            from keras_bert_suite.export.litert import export_litert

            packed = {f"{FOLDER}/{file}": content for file, content in self.files.items()}
            return export_litert(self.task, self.served, path, self.job["litert_lengths"], files=packed, **common)
        from keras_bert_suite.export.onnx import export_onnx

        write_description(self.files, path.parent)
        if kind == "onnx":
            return export_onnx(self.task, self.served, path, self.job["max_length"], **common)
        from keras_bert_suite.export.openvino import export_openvino

        plain = output / SPECIFICATIONS["onnx"].file
        with tempfile.TemporaryDirectory() as folder:
            if not plain.is_file():
                plain = Path(folder) / "model.onnx"
                export_onnx(self.task, self.served, plain, self.job["max_length"])
            return export_openvino(plain, path)


def _rebuild(module, name, directory):
    import keras

    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    return getattr(importlib.import_module(module), name).from_pretrained(directory)


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

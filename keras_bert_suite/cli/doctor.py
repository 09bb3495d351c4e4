"""Say what is installed, which backends and export formats work here, and what to install for the rest."""

import importlib.metadata
import importlib.util
import os
import platform
import subprocess
import sys

from keras_bert_suite.cli.shared import print_result

EXAMPLE = """\
  kbs doctor
"""

#: Distribution -> the module that shows it is there.
PACKAGES = {
    "keras": "keras",
    "numpy": "numpy",
    "tokenizers": "tokenizers",
    "nanotoken": "nanotoken",
    "safetensors": "safetensors",
    "tensorflow": "tensorflow",
    "tensorflow-text": "tensorflow_text",
    "jax": "jax",
    "torch": "torch",
    "ai-edge-litert": "ai_edge_litert",
    "ai-edge-quantizer": "ai_edge_quantizer",
    "onnx": "onnx",
    "onnxruntime": "onnxruntime",
    "tf2onnx": "tf2onnx",
    "openvino": "openvino",
    "flatbuffers": "flatbuffers",
    "tensorflow-serving-api": "tensorflow_serving",
    "aiohttp": "aiohttp",
    "keras-hub": "keras_hub",
    "pyarrow": "pyarrow",
}

#: What a backend must be able to do, run in a process of its own.
PROBE = """\
import sys
import keras
import numpy as np
inputs = keras.Input((3,))
model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
model.predict(np.zeros((1, 3), "float32"), verbose=0)
sys.path.insert(0, sys.argv[1])
from keras_bert_suite.training.backend import has_accelerator
print("accelerator" if has_accelerator() else "cpu")
"""


def add_arguments(parser):
    pass


def run(options):
    from keras_bert_suite.cli.main import BACKENDS
    from keras_bert_suite.export import available_formats

    packages = {name: _version(name, module) for name, module in PACKAGES.items()}
    backends = {name: _try_backend(name) for name in BACKENDS}
    formats = available_formats()
    string_in = None
    if packages["tensorflow-text"] is None:
        string_in = 'SavedModel takes ids only: raw strings need tensorflow-text. Run: pip install "tensorflow-text"'
    values = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "packages": packages,
        "backends": backends,
        "formats": {name: reason or "works" for name, reason in formats.items()},
        "notes": [note for note in (string_in, _note_on_speed(packages)) if note],
    }
    print_result(options, values, _for_people(values))
    return 0 if any(found["works"] for found in backends.values()) else 1


def _version(distribution, module):
    if importlib.util.find_spec(module) is None:
        return None
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "installed"


def _try_backend(name):
    """Run a tiny model on a backend in a process of its own."""
    if importlib.util.find_spec(name) is None:
        return {"works": False, "detail": f'not installed. Run: pip install "keras_bert_suite[{name}]"'}
    from pathlib import Path

    import keras_bert_suite

    root = str(Path(keras_bert_suite.__file__).parents[1])
    environment = {**os.environ, "KERAS_BACKEND": name, "TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROBE, root], env=environment, capture_output=True, text=True, timeout=180
        )
    except subprocess.TimeoutExpired:
        return {"works": False, "detail": "installed, but a tiny model did not run within 180 s"}
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return {"works": False, "detail": f"installed, but a tiny model failed: {last}"}
    return {"works": True, "detail": done.stdout.strip().splitlines()[-1]}


def _note_on_speed(packages):
    if packages["nanotoken"] is None:
        return 'Tokenizing is about 15 times slower than it could be. Run: pip install "keras_bert_suite[fast]"'
    return None


def _for_people(values):
    lines = [f"Python {values['python']} on {values['platform']}, {values['processors']} processors", "", "Packages"]
    lines += [f"  {name:<16} {version or '-'}" for name, version in values["packages"].items()]
    lines += ["", "Backends"]
    lines += [
        f"  {name:<16} {'works' if found['works'] else 'no'}: {found['detail']}"
        for name, found in values["backends"].items()
    ]
    lines += ["", "Export formats"]
    lines += [f"  {name:<16} {state}" for name, state in values["formats"].items()]
    lines += ["", *values["notes"]] if values["notes"] else []
    return "\n".join(lines)

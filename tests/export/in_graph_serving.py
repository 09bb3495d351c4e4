"""A signature as a server has it: saved, and opened by a process that knows TensorFlow alone."""

import json
import subprocess
import sys

__all__ = ["outputs_of_a_server"]

#: Prints the operations that TensorFlow does not bring itself, and the outputs.
SERVER = """
import json, sys, tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
path = sys.argv[1]
core = set(dir(tf.raw_ops))
graph = SavedModel.FromString(open(f"{path}/saved_model.pb", "rb").read()).meta_graphs[0].graph_def
operations = {node.op for function in graph.library.function for node in function.node_def}
import tensorflow_text
columns = json.load(sys.stdin)
serve = tf.saved_model.load(path).signatures["serving_default"]
outputs = serve(**{name: tf.constant(column, tf.string) for name, column in columns.items()})
decoded = lambda row: [decoded(one) for one in row] if isinstance(row, list) else row.decode()
outputs = {name: decoded(value.numpy().tolist()) if value.dtype == tf.string else value.numpy().tolist()
           for name, value in outputs.items()}
assert not [name for name in sys.modules if name.split(".")[0] in ("keras_bert_suite", "tokenizers")]
print(json.dumps({"foreign": sorted(operations - core), "outputs": outputs}))
"""


def outputs_of_a_server(module, directory, **columns):
    """Save `module.serve` and return its outputs for some columns, and the names of operations not in TensorFlow."""
    import tensorflow as tf

    path = str(directory / "saved")
    tf.saved_model.save(module, path, signatures=module.serve)
    printed = subprocess.run(
        [sys.executable, "-c", SERVER, path], input=json.dumps(columns), capture_output=True, text=True, cwd=directory
    )
    assert printed.returncode == 0, printed.stderr[-2000:]
    found = json.loads(printed.stdout)
    return found["outputs"], found["foreign"]

"""A SavedModel that takes strings beside its own signature of ids: what the tokenizer in the graph costs a call.

Both signatures of one loaded model take the same sentences, ids tokenized
beforehand; the outputs must be equal. They take turns call by call, and a figure
is the least of the rounds: what the work costs where nothing else runs.

    KERAS_BACKEND=tensorflow python benchmarks/strings.py
    KERAS_BACKEND=tensorflow python benchmarks/strings.py --text sentences.txt --json
"""

import argparse
import functools
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from turns import least_seconds, machine, say, versions

from keras_bert_suite.data import read_texts

SENTENCES = Path(__file__).resolve().parents[1] / "examples" / "data" / "dev.tsv"
SIZES = (1, 8, 32)
MOST = 256  # texts of each size of batch


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="directory or installed model")
    parser.add_argument("--text", type=Path, default=SENTENCES, help="file that kbs predict reads")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()

    import keras

    if keras.backend.backend() != "tensorflow":
        parser.error("a SavedModel runs in TensorFlow. Run: KERAS_BACKEND=tensorflow python ...")
    import numpy as np
    import tensorflow as tf

    import keras_bert_suite as kbs
    from keras_bert_suite.export.saved_model import export_saved_model
    from keras_bert_suite.export.served_model import build_served_model

    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    tf.config.threading.set_inter_op_parallelism_threads(arguments.threads)
    texts = [row.text for row in read_texts(arguments.text)]
    task = kbs.TextEmbedder.from_pretrained(arguments.model)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        say("writing")
        export_saved_model(task, build_served_model(task), Path(folder) / "model", task.max_length)
        signatures = tf.saved_model.load(Path(folder) / "model").signatures
        for size in SIZES:
            say(f"batches of {size}")
            seconds = []
            for start in range(0, min(len(texts), MOST) - size + 1, size):
                batch = texts[start : start + size]
                ids = task.tokenizer(batch, max_length=task.max_length)
                ids = {name: tf.constant(values) for name, values in ids.items()}
                calls = {
                    "strings": functools.partial(signatures["serving_default"], text=tf.constant(batch)),
                    "ids": functools.partial(signatures["ids"], **ids),
                }
                if not np.array_equal(*(call()["embedding"].numpy() for call in calls.values())):
                    sys.exit(f"strings.py: strings and ids have other outputs. Received: {batch!r:.200}")
                seconds.append(list(least_seconds(calls, arguments.rounds).values()))
            strings, ids = np.mean(seconds, axis=0)
            rows.append({"texts": size, "strings_ms": 1e3 * strings, "ids_ms": 1e3 * ids, "ratio": strings / ids})
    about = {"machine": machine(arguments.threads), "versions": versions(), "rounds": arguments.rounds}
    if arguments.json:
        print(json.dumps({**about, "rows": rows}, indent=2))
        return
    print(about["machine"])
    print(f"{arguments.model}, {arguments.text.name}, mean over calls of the least of {arguments.rounds} rounds\n")
    print(f"{'texts a call':>12}{'strings, ms':>14}{'ids, ms':>10}{'ratio':>8}")
    for row in rows:
        print(f"{row['texts']:12}{row['strings_ms']:14.2f}{row['ids_ms']:10.2f}{row['ratio']:8.3f}")


if __name__ == "__main__":
    main()

"""Train a tiny classifier once for each case and print what came out as JSON lines. Run by test_distribution.py.

Usage: python distributed_fits.py CASES, a JSON list of dicts.
"""

import functools
import json
import math
import os
import random
import signal
import sys
from pathlib import Path

CASES = json.loads(sys.argv[1])
#: Logical CPUs that the backend is to believe in; on JAX, XLA_FLAGS says so.
DEVICES = max(case.get("logical_devices", 1) for case in CASES)
if os.environ["KERAS_BACKEND"] == "tensorflow" and DEVICES > 1:
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * DEVICES)

import keras  # noqa: E402
import numpy as np  # noqa: E402

import keras_bert_suite as kbs  # noqa: E402
from keras_bert_suite.training import BucketedDataset, fit_resumable  # noqa: E402
from keras_bert_suite.training.distribution import distribute  # noqa: E402
from tests.support.tiny import tiny_encoder, tiny_texts, tiny_tokenizer  # noqa: E402

#: One bucket, so that JAX compiles for one shape; the other backends have one for each length.
MAX_LENGTH = 16
OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.3),
    "clipped": lambda: keras.optimizers.SGD(0.3, momentum=0.9, global_clipnorm=0.2),
    "adamw": lambda: keras.optimizers.AdamW(1e-2, epsilon=1e-3, global_clipnorm=1.0),
}


class DieAtStep(keras.callbacks.Callback):
    def __init__(self, epoch, step):
        super().__init__()
        self.place = (epoch, step)

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.place:
            os.kill(os.getpid(), signal.SIGKILL)


def data(case, order_seed=3, shuffle=True):
    # 29 texts in batches of 8: the last batch has 5, the first replicas more of them than the last.
    texts, labels = tiny_texts(29)
    targets = np.array([label == "pos" for label in labels], "int32")
    encoded = tiny_tokenizer().encode(texts)
    return BucketedDataset(encoded, targets, case.get("batch_size", 8), MAX_LENGTH, shuffle=shuffle, seed=order_seed)


def numpy_weights(model):
    return [np.asarray(keras.ops.convert_to_numpy(weight)) for weight in model.weights]


def build(case, distribution):
    """A classifier with weights from NumPy; on PyTorch only the first process has them at first."""
    changes = {
        "dropout_rate": 0.0,
        "attention_dropout_rate": 0.0,
        "num_heads": 4,
        "num_layers": 1,
        **case.get("config", {}),
    }
    if case.get("directory"):
        model = kbs.TextClassifier.from_pretrained(case["directory"]).model
    else:
        model = kbs.models.build_text_classifier(tiny_encoder(**changes), 2)
    fresh = float(sum(np.abs(weight).sum() for weight in numpy_weights(model)))
    rng = np.random.default_rng(0)
    if keras.backend.backend() != "torch" or distribution.is_chief:
        for weight in model.weights:
            if weight.path.endswith(("kernel", "embeddings")):
                weight.assign(rng.normal(0, 0.2, tuple(weight.shape)).astype("float32"))
    model.compile(
        OPTIMIZERS[case.get("optimizer", "sgd")](),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight"),
        weighted_metrics=["accuracy"],
        jit_compile="auto" if keras.backend.backend() == "jax" else False,
    )
    return model, fresh


def fit(case):
    with distribute(case["strategy"], **case.get("options", {})) as distribution:
        if case.get("task"):
            classifier = kbs.TextClassifier.from_pretrained(case["directory"])
            return classifier.fit(*tiny_texts(29), epochs=1, batch_size=8, seed=1, verbose=0, packing=False).history
        model, fresh = build(case, distribution)
        if case.get("different_data"):
            distribution.dataset(data(case, order_seed=distribution.process_index))
        callbacks = distribution.callbacks() if case.get("callbacks", True) else []
        if case.get("die") == distribution.process_index:
            callbacks.append(DieAtStep(case.get("die_epoch", 0), 2))
        if case.get("states"):
            states = [Path(case["states"], str(index)) for index in range(distribution.num_processes)]
            own = states.pop(distribution.process_index)
            if case.get("damaged") == distribution.process_index:
                newest = max(own.glob("step-*"))
                newest.write_bytes(newest.read_bytes()[:-100])
            train = functools.partial(fit_resumable, model, directory=own, peers=states, save_every=math.inf)
        else:
            train = functools.partial(model.fit, shuffle=False)
        history = train(
            distribution.dataset(data(case)),
            validation_data=distribution.dataset(data(case, shuffle=False)) if case.get("validate") else None,
            epochs=case.get("epochs", 2),
            verbose=0,
            callbacks=callbacks,
        )
        kernel = next(w for w in model.weights if w.path.endswith("block_0/feed_forward/intermediate/kernel"))
        return {
            "num_replicas": distribution.num_replicas,
            "num_processes": distribution.num_processes,
            "is_chief": distribution.is_chief,
            "history": history.history,
            "weights": [float(value) for weight in numpy_weights(model) for value in weight.ravel()],
            "fresh": fresh,
            "placement": str(getattr(kernel.value, "sharding", None) or type(kernel.value).__name__),
        }


if __name__ == "__main__":
    random.seed(int(os.environ.get("RANK") or os.environ.get("KERAS_DISTRIBUTION_PROCESS_ID") or 0))
    for case in CASES:
        try:
            found = fit(case)
        except (ValueError, RuntimeError) as error:
            if not case.get("refused"):
                raise
            found = {"error": str(error)}
        print("FOUND " + json.dumps(found), flush=True)

"""Pretrain a small model, alone or over devices, and print what it became. Run by test_distributed_pretraining.py.

Usage: python distributed_pretraining.py CASES, a JSON list of dicts: a strategy, a corpus, and an objective.
"""

import json
import os
import sys

CASES = json.loads(sys.argv[1])
DEVICES = max(case.get("logical_devices", 1) for case in CASES)
if os.environ["KERAS_BACKEND"] == "tensorflow" and DEVICES > 1:
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * DEVICES)

import keras  # noqa: E402

from keras_bert_suite.tasks.pretrainer import Pretrainer  # noqa: E402
from keras_bert_suite.training.distribution import distribute  # noqa: E402
from tests.tasks.small_corpus import CONFIG, TOKENIZER  # noqa: E402


def train(case):
    with distribute(case["strategy"], **case.get("options", {})) as distribution:
        config = CONFIG.replace(num_layers=1, num_heads=case.get("num_heads", 3))
        pair_head = None if case.get("packing") else "next_sentence"
        pretrainer = Pretrainer.from_config(config, TOKENIZER, pair_head=pair_head, seed=0)
        pretrainer.compile(1e-2)
        history = pretrainer.fit(
            case["corpus"],
            steps=12,
            report_steps=3,
            batch_size=8,
            packing=bool(case.get("packing")),
            seed=1,
            peak_flops=0,
            verbose=0,
        ).history
        return {
            "replicas": distribution.num_replicas,
            "loss": history["loss"],
            "accuracy": history["masked_lm_accuracy"],
            "weights": [
                float(value)
                for weight in pretrainer.model.trainable_weights
                if not weight.path.endswith("key/bias")  # softmax cancels it
                for value in keras.ops.convert_to_numpy(weight).ravel()
            ],
        }


if __name__ == "__main__":
    for case in CASES:
        print("FOUND " + json.dumps(train(case)), flush=True)

"""A training of seconds; as a script, one that a test kills: `python small_training.py DIRECTORY`."""

import random
import sys
from pathlib import Path

import keras
import numpy as np

from keras_bert_suite.training.schedules import PerUpdate


class Batches(keras.utils.PyDataset):
    """Rows of unequal width in an order of its own for each epoch: (16, 5) or (16, 7), and a short last one."""

    def __init__(self, epoch=0, step=0, seed=0, size=4):
        super().__init__()
        self.epoch, self.step, self.seed, self.size = epoch, step, seed, size
        rng = np.random.default_rng(seed)
        inputs = rng.normal(size=(22, 7)).astype("float32")
        self.inputs, self.targets = inputs, (inputs[:, 0] > inputs[:, 1]).astype("int32")
        self.order = np.random.default_rng((seed, epoch)).permutation(22)

    @property
    def num_batches(self):
        return -(-22 // self.size) - self.step

    def __getitem__(self, index):
        number = index + self.step
        if not 0 <= index < self.num_batches:
            raise IndexError(index)
        rows = self.order[self.size * number : self.size * (number + 1)]
        width = 7 if (number + self.epoch) % 2 else 5
        return self.inputs[rows, :width, None], self.targets[rows]

    def starting_at(self, epoch, step):
        return Batches(epoch, step, self.seed, self.size)

    def fingerprint(self):
        return f"random numbers {self.seed}"


def build_model(units=6, rate=0.05, metrics=("accuracy",), dropout_rate=0.2, **optimizer):
    """A classifier over columns, with dropout and a schedule, the same at every call."""
    random.seed(1)  # Keras takes the seeds of layers from here.
    inputs = keras.Input((None, 1), name="inputs")
    hidden = keras.layers.Dense(units, "gelu", kernel_initializer=keras.initializers.GlorotUniform(1))(inputs)
    hidden = keras.layers.Dropout(0.3, seed=2)(hidden)
    hidden = keras.layers.GlobalAveragePooling1D()(keras.layers.Dropout(dropout_rate)(hidden))
    hidden = keras.layers.BatchNormalization(momentum=0.8)(hidden)
    outputs = keras.layers.Dense(2, kernel_initializer=keras.initializers.GlorotUniform(3))(hidden)
    model = keras.Model(inputs, outputs)
    schedule = PerUpdate(keras.optimizers.schedules.CosineDecay(rate, 20), accumulation_steps=2)
    model.compile(
        keras.optimizers.AdamW(schedule, weight_decay=0.01, **optimizer),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=list(metrics),
        jit_compile="auto" if keras.backend.backend() == "jax" else False,
    )
    if keras.backend.backend() == "torch":
        import torch

        torch.manual_seed(5)
    return model


EVERYTHING = {"use_ema": True, "ema_momentum": 0.8, "gradient_accumulation_steps": 2}


def fit_options():
    inputs = np.random.default_rng(9).normal(size=(10, 6, 1)).astype("float32")
    targets = (inputs[:, 0, 0] > 0).astype("int32")
    return {"epochs": 5, "validation_data": (inputs, targets), "verbose": 0}


def digest(model):
    """A number for the weights, equal only if every bit is."""
    import hashlib

    return hashlib.sha256(b"".join(weight.tobytes() for weight in model.get_weights())).hexdigest()


def main(directory):
    from keras_bert_suite.training.early_stopping import EarlyStopping
    from keras_bert_suite.training.resume import fit_resumable

    model = build_model(**EVERYTHING)
    callbacks = [EarlyStopping(patience=2), Steps(Path(directory).with_suffix(".log"))]
    fit_resumable(model, Batches(), directory=directory, callbacks=callbacks, save_every_steps=1, **fit_options())
    assert keras.backend.backend() == "tensorflow" or "tensorflow" not in sys.modules
    print(digest(model))


class Steps(keras.callbacks.Callback):
    """Write down each batch that is trained, so that whoever kills the process knows how far it is."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def on_train_batch_end(self, batch, logs=None):
        with open(self.path, "a") as file:
            file.write(f"{batch}\n")


if __name__ == "__main__":
    main(sys.argv[1])

"""`TrainableTask`: what every task that is trained has in common: how to train, and doing it."""

import contextlib
import hashlib
import math
import random
import types
from pathlib import Path

import keras
import numpy as np

from keras_bert_suite.layers.base import truncated_normal
from keras_bert_suite.models import build_packed, can_pack, encoder_config
from keras_bert_suite.models.features import head_dtype
from keras_bert_suite.tasks.exportable import Exportable
from keras_bert_suite.tasks.inputs import is_batched
from keras_bert_suite.training import (
    BucketedDataset,
    CoSENTLoss,
    EarlyStopping,
    MeanLoss,
    NonFiniteLoss,
    PackedDataset,
    Recipe,
    RepeatedDataset,
    current_distribution,
    fit_resumable,
    freed_memory_kept,
    memory_guard,
)
from keras_bert_suite.training.backend import compiles_per_shape, dropout_under, packs_by_default
from keras_bert_suite.training.tf_batches import EpochsOf, readable

__all__ = ["TrainableTask"]


class TrainableTask(Exportable):
    """A task whose model can be trained.

    A subclass has `model`, `encoder`, `tokenizer`, `max_length` and `task`, the
    set `_new_parts` of the layers whose weights were never trained, and

    - `_read(x, y, pairs, columns, require_label)`, which returns the examples
      that a user handed over;
    - `_dataset(examples, batch_size, packed, shuffle, seed=0)`, their batches;
    - `_default_loss()` and `_default_metrics()`;
    - where it needs them, `_learn_from(examples)` and `_settle(examples)`.
    """

    #: What `patience` watches on the validation data, and whether more of it is better.
    monitor = ("val_accuracy", "max")
    #: Whether that is a score of texts, which `_epoch_scores(examples)` gives after each epoch, and no metric of Keras.
    scores_texts = False
    #: How much the loss of each output counts, by its name; `None` where there is one.
    _loss_weights = None
    #: Whether the weights are of a checkpoint, and then a digest of what they were before the first training.
    _opened = False
    _origin = None

    recipe = Recipe()
    _compile_options = types.MappingProxyType({"loss": None, "metrics": None, "jit_compile": None})

    def compile(self, learning_rate=None, *, loss=None, metrics=None, jit_compile=None, **recipe):
        """Choose how to train. All defaults are those that BERT is usually fine-tuned with.

        Args:
            learning_rate: optional float. The peak; it rises to it over
                `warmup_ratio` of the steps and falls to 0 over the rest.
                Defaults to 5e-5 for a `hidden_dim` of 768, and in inverse
                proportion for others: narrow models need larger steps.
            loss: optional Keras loss over the model's outputs, weighted by example.
            metrics: optional list of Keras metrics.
            jit_compile: optional bool. Whether to compile with XLA. Defaults to
                where it is faster: not on TensorFlow on a CPU.
            **recipe: any field of `training.Recipe`: `optimizer`, `schedule`,
                `warmup_ratio`, `weight_decay`, `clip_norm`, `layer_decay`,
                `accumulation_steps`, `ema_momentum`, `label_smoothing`,
                `r_drop`, `frozen_blocks`, `gradual_unfreezing`, `lora_rank`, `patience`.
        """
        self.recipe = Recipe(learning_rate=learning_rate, **recipe)
        self._compile_options = {"loss": loss, "metrics": metrics, "jit_compile": jit_compile}

    def _compile_model(self, model, num_batches=None):
        chosen = self._compile_options
        jit_compile = chosen["jit_compile"]
        if jit_compile is None:
            jit_compile = "auto" if compiles_per_shape() else False
        loss = chosen["loss"] or self._default_loss()
        metrics = chosen["metrics"] or self._default_metrics()
        # The value of CoSENT is one for the batch.
        if getattr(loss, "reduction", None) == "mean_with_sample_weight" and not isinstance(loss, CoSENTLoss):
            metrics = [MeanLoss(loss), *metrics]
        model.compile(
            optimizer=self.recipe.build_optimizer(model, num_batches),
            loss=loss,
            loss_weights=self._loss_weights,
            weighted_metrics=metrics,
            jit_compile=jit_compile,
        )

    def _packs(self, packing):
        """Whether to train with several examples a row: as asked, or `"auto"`, where it can be done and is faster."""
        if packing == "auto":
            return "auto" if not self.recipe.r_drop and can_pack(self.model) else False
        if packing and self.recipe.r_drop:
            raise ValueError("fit: packing must be False with r_drop, which needs both passes of a text as rows.")
        return packing

    def _batches(self, encoded, targets, batch_size, *, packed, shuffle, seed=0, weights=None):
        """The data set of encoded texts that `model.fit` reads."""
        if packed == "auto":
            packed = packs_by_default(encoded.lengths)
        kind = PackedDataset if packed else BucketedDataset
        return kind(encoded, targets, batch_size, self.max_length, shuffle=shuffle, seed=seed, weights=weights)

    def fit(
        self,
        x,
        y=None,
        *,
        pairs=None,
        validation_data=None,
        epochs=3,
        batch_size=32,
        seed=None,
        columns=None,
        class_weight=None,
        packing="auto",
        directory=None,
        save_every=60.0,
        callbacks=None,
        verbose="auto",
        **options,
    ):
        """Train on a file, on examples, or on anything that `keras.Model.fit` takes.

        Texts are encoded once and batched so that hardly any padding is
        computed. With a seed, the same call on the same machine gives the same weights.

        Args:
            x: path of a file, examples, token arrays by name, or a data set that
                yields batches of them; the class says what it reads.
            y: what is right for each, when `x` is not a file or data set.
            pairs: optional list of str, the second texts, for tasks of pairs.
            validation_data: optional path, `(x, y)` tuple or data set, scored
                after each epoch.
            epochs: int. Defaults to 3.
            batch_size: int. Examples a step. Defaults to 32.
            seed: optional int. Governs new weights, order and dropout.
            columns: optional dict: which columns of the file to read.
            class_weight: optional dict from a label to how much its examples
                count, or `"balanced"`: in inverse proportion to their number. For
                tasks with one label an example.
            packing: bool, or `"auto"`. Whether several texts share a row, kept
                apart by the attention mask, or batches are of texts of like
                length. Defaults to what suits the backend, the device and the lengths.
            directory: optional path. Where the state of the training is kept:
                when the process is killed, the same call goes on from there, to
                the very weights that it would have come to. Needs a seed.
            save_every: float. Seconds between two states. Several processes that
                train together save after each epoch.
            callbacks: optional list of `keras.callbacks.Callback`.
            verbose: as in `keras.Model.fit`.
            **options: passed on to `keras.Model.fit`.
        Returns:
            `keras.callbacks.History`.
        Raises:
            DataError: if a file breaks a rule or has an unknown label.
            TrainingInterrupted: on SIGTERM, when the state has been saved.
        """
        common = {
            "epochs": epochs,
            "seed": seed,
            "directory": directory,
            "save_every": save_every,
            "callbacks": callbacks,
            "verbose": verbose,
            **options,
        }
        if directory is not None and seed is None:
            raise ValueError("fit: a training that can be resumed needs a seed. Received: directory without seed.")
        for_keras = _is_for_keras(validation_data)
        if is_batched(x):
            if not for_keras:
                raise ValueError(
                    "fit: validation_data must be batches, as x is: token arrays and targets, or a data set. "
                    f"Received: {type(validation_data).__name__}."
                )
            if seed is not None:
                keras.utils.set_random_seed(seed)  # Keras orders arrays itself.
            if class_weight is not None:
                common["class_weight"] = class_weight
            return self._train(x, y, validation_data=validation_data, batch_size=batch_size, **common)
        if "shuffle" in options:
            raise ValueError("fit: shuffle is for token arrays. Texts have an order of their own in each epoch.")
        examples = self._read(x, y, pairs, columns, require_label=True)
        with self._as_before_if_refused():
            self._learn_from(examples)
            if not for_keras:
                given = validation_data if isinstance(validation_data, tuple) else (validation_data, None)
                validation = self._read(*given, None, columns, require_label=True)
            if for_keras and validation_data is not None and packing == "auto":
                packing = False  # a model of packed rows could not score it
            packed = self._packs(packing)
            # Keras seeds Python's generator along with its own, so keras.utils.set_random_seed governs this too.
            order_seed = random.getrandbits(31) if seed is None else seed
            training = self._dataset(examples, batch_size, packed, shuffle=True, seed=order_seed)
            training.epoch = -1  # `fit` ends an epoch before the first: with a directory and without, orders are equal.
            if class_weight is not None:
                training.weights = self._example_weights(examples, class_weight)
            if not for_keras:
                common["callbacks"] = self._with_epoch_scores(callbacks, validation)
                packed = isinstance(training, PackedDataset)
                validation_data = self._dataset(validation, batch_size, packed, shuffle=False)
        history = self._train(
            training,
            validation_data=validation_data,
            shuffle=False,  # The data set has an order of its own each epoch.
            **common,
        )
        if not for_keras:
            self._settle(validation)
        return history

    def _with_epoch_scores(self, callbacks, validation):
        """Return callbacks, the one in front that scores texts after each epoch where the task has such scores."""
        if self.scores_texts and current_distribution().name is None:
            return [EpochScores(self, validation), *(callbacks or [])]
        return callbacks

    @contextlib.contextmanager
    def _as_before_if_refused(self):
        """Forget what the block learnt of the data, such as labels, where it ends in an error."""
        before = dict(vars(self))
        try:
            yield
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    def _learn_from(self, examples):
        """Take from the training data what decides the model, such as its labels."""

    def _example_weights(self, examples, class_weight):
        """Return float32 `(N,)`: how much each example counts."""
        raise ValueError("fit: class_weight is for tasks with one label an example, as this one has not. Leave it out.")

    def _settle(self, examples):
        """Choose on validation data what is chosen after training, such as a threshold."""

    def _train(
        self,
        x,
        y=None,
        *,
        validation_data=None,
        epochs,
        batch_size=None,
        seed=None,
        callbacks=None,
        verbose="auto",
        directory=None,
        save_every=60.0,
        **options,
    ):
        """Train on batches, and leave the model as the recipe's end has it.

        Args:
            x, y, validation_data, epochs, batch_size, callbacks, verbose, **options: as in `keras.Model.fit`.
            seed: optional int. Governs new weights and dropout.
            directory: optional path. Where the training keeps its state, so that it can be killed and goes on.
            save_every: float. Seconds between two states; several processes save after each epoch.
        """
        distribution = current_distribution()
        # Weights that are parted between processes cannot be read in one of them.
        readable_here = distribution.name != "model-parallel" or distribution.num_processes == 1
        if self._opened and self._origin is None and readable_here:
            self._origin = _digest(weight for weight in self.encoder.weights if _part(weight) not in self._new_parts)
        if seed is not None:
            self._draw_under(seed)
        num_batches = options.get("steps_per_epoch") or _num_batches(x, batch_size)
        batches_of = {"data_set": type(x).__name__, "batch_size": getattr(x, "batch_size", batch_size)}
        model = self._trained_model(x)
        if self.recipe.patience is not None and validation_data is None:
            raise ValueError("fit: patience watches the scores on validation_data. Received: none. Pass some.")
        if self.recipe.r_drop:
            x, validation_data = (data if data is None else _repeated(data) for data in (x, validation_data))
        x, validation_data = (
            distribution.dataset(data) if isinstance(data, keras.utils.PyDataset) else data
            for data in (x, validation_data)
        )
        callbacks = [*distribution.callbacks(), *self.recipe.callbacks(), NonFiniteLoss(), *(callbacks or [])]
        if self.recipe.patience is not None:
            scored = not self.scores_texts or any(isinstance(callback, EpochScores) for callback in callbacks)
            name, mode = self.monitor if scored else ("val_loss", "min")
            callbacks.append(EarlyStopping(monitor=name, mode=mode, patience=self.recipe.patience))
        with self.recipe.applied(model, seed), dropout_under(seed), freed_memory_kept(), memory_guard():
            for layer in model.layers:
                if layer.name in self._new_parts:  # a pooler, say, that was never trained
                    layer.trainable = True
            self._compile_model(model, num_batches and num_batches * (epochs - options.get("initial_epoch", 0)))
            arguments = {
                "validation_data": readable(validation_data),
                "epochs": epochs,
                "callbacks": callbacks,
                "verbose": verbose,
                **options,
            }
            if directory is None:
                whole = options.get("shuffle") is False and options.get("steps_per_epoch") is None
                batches = readable(x) if whole else x
                if batches is not x:
                    callbacks.append(EpochsOf(x))
                history = model.fit(batches, y, batch_size=batch_size, **arguments)
            else:
                arguments.pop("shuffle", None)  # the data set's own order is what can be resumed
                arguments["settings"] = {
                    "recipe": self.recipe.to_dict(),
                    "seed": seed,
                    **batches_of,
                    "encoder": encoder_config(self.encoder).to_dict(),
                    "dtype": head_dtype(self.encoder).name,
                    "weights": self._origin,
                    "validation_data": validation_data.fingerprint()
                    if hasattr(validation_data, "fingerprint")
                    else None,
                }
                history = fit_resumable(model, x, **_states(directory, save_every, distribution), **arguments)
        self._new_parts = set()
        return history

    def _trained_model(self, x):
        """Return the model that is trained on `x`: the task's own, or another over the same layers."""
        return build_packed(self.model) if isinstance(x, PackedDataset) else self.model

    def _draw_under(self, seed):
        """Draw new weights, dropout and replaced tokens from `seed`, without touching any global generator."""
        kernels = [weight for weight in self.model.weights if weight.path.endswith("/kernel")]
        for number, kernel in enumerate(kernel for kernel in kernels if _part(kernel) in self._new_parts):
            initializer = truncated_normal(encoder_config(self.encoder).initializer_range, seed=seed + number)
            kernel.assign(initializer(kernel.shape))
        for number, layer in enumerate(self.model._flatten_layers()):
            if getattr(layer, "seed_generator", None) is not None:
                layer.seed_generator.state.assign(np.array([seed, number], "uint32"))


class EpochScores(keras.callbacks.Callback):
    """Adds to the logs of each epoch what only whole texts can be scored by, such as the F1 of spans.

    Args:
        task: `TrainableTask` with `_epoch_scores(examples)`.
        examples: the validation data, as the task reads it.
    """

    def __init__(self, task, examples):
        super().__init__()
        self._task = task
        self._examples = examples

    def on_epoch_end(self, epoch, logs=None):
        if "val_loss" not in logs:  # `validation_freq` leaves this epoch out
            return
        self.model  # noqa: B018 - on JAX, asking for it puts the trained values into the variables
        scores = self._task._epoch_scores(self._examples)
        logs.update({f"val_{name}": scores[name] for name in self._task.score_names if f"val_{name}" not in logs})


def _part(weight):
    """The layer of the task's model that a weight is in."""
    return weight.path.split("/")[0]


def _digest(weights):
    """Return a str that tells a checkpoint's weights from others, by the beginning of each."""
    digest = hashlib.sha256()
    for weight in weights:
        values = keras.ops.convert_to_numpy(weight).ravel()[:1024]
        digest.update(f"{weight.path} {weight.shape} ".encode() + values.astype("float32").tobytes())
    return digest.hexdigest()


def _repeated(data):
    """Return batches with every row twice, as `RDropLoss` compares them."""
    if not isinstance(data, keras.utils.PyDataset):
        raise ValueError(
            "fit: r_drop needs texts, a file or a keras.utils.PyDataset, whose rows it can pass through twice. "
            f"Received: {type(data).__name__}."
        )
    return RepeatedDataset(data)


def _states(directory, save_every, distribution):
    """Where and when `fit_resumable` saves: of several processes each for itself, all after the same batches."""
    if distribution.num_processes == 1:
        return {"directory": Path(directory), "save_every": save_every}
    folders = [Path(directory) / f"process-{index}" for index in range(distribution.num_processes)]
    return {"directory": folders.pop(distribution.process_index), "peers": folders, "save_every": math.inf}


def _is_for_keras(data):
    """Whether validation data goes to `keras.Model.fit` as it is."""
    return data is None or is_batched(data) or (isinstance(data, tuple) and is_batched(data[0]))


def _num_batches(x, batch_size):
    """Return how many batches an epoch over `x` has, or `None` where it cannot be known."""
    if isinstance(x, dict):
        return -(-len(next(iter(x.values()))) // (batch_size or 32))
    try:
        return len(x)
    except TypeError:
        return None

"""`TrainableTask`: what every task that is trained has in common: how to train, and doing it."""

import types
from pathlib import Path

import keras
import numpy as np

from keras_bert_suite.layers.base import truncated_normal
from keras_bert_suite.models import build_packed, can_pack, encoder_config
from keras_bert_suite.training import (
    BucketedDataset,
    EarlyStopping,
    NonFiniteLoss,
    PackedDataset,
    Recipe,
    RepeatedDataset,
    current_distribution,
    fit_resumable,
    memory_guard,
)
from keras_bert_suite.training.backend import compiles_per_shape, dropout_under, packs_by_default
from keras_bert_suite.training.dataset import TextDataset

__all__ = ["TrainableTask"]


class TrainableTask:
    """A task whose model can be trained.

    A subclass has `model`, `encoder`, `tokenizer`, `max_length` and `task`, the
    set `_new_parts` of the layers whose weights were never trained, and
    `_default_loss()` and `_default_metrics()`.
    """

    #: What `patience` watches on the validation data, and whether more of it is better.
    monitor = ("val_accuracy", "max")

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
        model.compile(
            optimizer=self.recipe.build_optimizer(model, num_batches),
            loss=chosen["loss"] or self._default_loss(),
            weighted_metrics=chosen["metrics"] or self._default_metrics(),
            jit_compile=jit_compile,
        )

    def _packs(self, packing):
        """Whether to train with several examples a row: as asked, or where it is faster."""
        if packing == "auto":
            return not self.recipe.r_drop and packs_by_default() and can_pack(self.model)
        if packing and self.recipe.r_drop:
            raise ValueError("fit: packing must be False with r_drop, which needs both passes of a text as rows.")
        return packing

    def _batches(self, encoded, targets, batch_size, *, packed, shuffle, seed=0):
        """The data set of encoded texts that `model.fit` reads."""
        kind = PackedDataset if packed else BucketedDataset
        return kind(encoded, targets, batch_size, self.max_length, shuffle=shuffle, seed=seed)

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
            save_every: float. Seconds between two states.
        """
        if seed is not None:
            self._draw_under(seed)
        num_batches = options.get("steps_per_epoch") or _num_batches(x, batch_size)
        model = build_packed(self.model) if isinstance(x, PackedDataset) else self.model
        if self.recipe.r_drop:
            x, validation_data = (
                RepeatedDataset(data) if isinstance(data, TextDataset) else data for data in (x, validation_data)
            )
        distribution = current_distribution()
        if directory is not None and distribution.num_processes > 1:
            raise ValueError(
                "fit: directory must be None where several processes train together: their states could be of "
                f"different steps. Received: directory={directory}, {distribution.num_processes} processes."
            )
        x, validation_data = (
            distribution.dataset(data) if isinstance(data, keras.utils.PyDataset) else data
            for data in (x, validation_data)
        )
        callbacks = [*distribution.callbacks(), *self.recipe.callbacks(), NonFiniteLoss(), *(callbacks or [])]
        if self.recipe.patience is not None:
            name, mode = self.monitor
            callbacks.append(EarlyStopping(monitor=name, mode=mode, patience=self.recipe.patience))
        with self.recipe.applied(model, seed), dropout_under(seed), memory_guard():
            for layer in model.layers:
                if layer.name in self._new_parts:  # a pooler, say, that was never trained
                    layer.trainable = True
            self._compile_model(model, num_batches and num_batches * epochs)
            arguments = {
                "validation_data": validation_data,
                "epochs": epochs,
                "callbacks": callbacks,
                "verbose": verbose,
                **options,
            }
            if directory is None:
                history = model.fit(x, y, batch_size=batch_size, **arguments)
            else:
                arguments.pop("shuffle", None)  # the data set's own order is what can be resumed
                settings = {"recipe": self.recipe.to_dict(), "seed": seed}
                history = fit_resumable(
                    model, x, directory=Path(directory), save_every=save_every, settings=settings, **arguments
                )
        self._new_parts = set()
        return history

    def _draw_under(self, seed):
        """Draw new weights and dropout from `seed`, without touching any global generator."""
        kernels = [weight for weight in self.model.weights if weight.path.endswith("/kernel")]
        for number, kernel in enumerate(kernel for kernel in kernels if kernel.path.split("/")[0] in self._new_parts):
            initializer = truncated_normal(encoder_config(self.encoder).initializer_range, seed=seed + number)
            kernel.assign(initializer(kernel.shape))
        for number, layer in enumerate(self.model._flatten_layers()):
            if isinstance(layer, keras.layers.Dropout) and layer.rate > 0:
                layer.seed_generator.state.assign(np.array([seed, number], "uint32"))


def _num_batches(x, batch_size):
    """Return how many batches an epoch over `x` has, or `None` where it cannot be known."""
    if isinstance(x, dict):
        return -(-len(next(iter(x.values()))) // (batch_size or 32))
    try:
        return len(x)
    except TypeError:
        return None

"""What makes many calls of `fit`, one for each epoch or what is left of it, a single training."""

import time

import keras

from keras_bert_suite.errors import TrainingInterrupted
from keras_bert_suite.training.early_stopping import callback_state, remembers, set_callback_state
from keras_bert_suite.training.random_state import (
    generator_state,
    host_random_state,
    set_generator_state,
    set_host_random_state,
)
from keras_bert_suite.training.training_state import (
    assign_variables,
    keep_newest,
    named_variables,
    save_state,
    state_path,
)

__all__ = ["OneTraining"]


class OneTraining(keras.callbacks.CallbackList):
    """The callbacks of all epochs, and the state of the training, which is saved after them.

    Keras hands it to `fit` as it is. Here and not in a callback, the state is
    saved after all callbacks have run, and a list of callbacks that Keras may
    call from another thread stays one.

    Args:
        model: compiled `keras.Model` with all its variables.
        callbacks: list of `keras.callbacks.Callback`.
        directory: path.
        save_every: float. Seconds between two states within an epoch.
        save_every_steps: optional int. Batches between two states.
        keep: int. How many states stay.
        noted: list, from `noted_signals`.
        identity: dict of JSON values that every state carries.
        **params: what callbacks read as `params`.
    """

    def __init__(
        self, model, callbacks, *, directory, save_every, save_every_steps, keep, noted, identity, verbose, **params
    ):
        super().__init__(callbacks, add_history=True, add_progbar=verbose != 0, model=model, verbose=verbose, **params)
        self._directory = directory
        self._save_every = save_every
        self._save_every_steps = save_every_steps
        self._keep = keep
        self._noted = noted
        self._identity = identity
        self.epoch = self.step = self.batches = 0  # The next batch to train, and how many were trained.
        self.epoch_steps = 0  # Batches of the epoch.
        self.stopped = self.finished = False
        self._path = None
        self._generator = {}  # Of PyTorch, as the next batch must find it.
        self._interrupted_epoch = None  # Arrays and values to put back once Keras has begun the epoch.

    # From beginning to end.

    def begin(self, found=None):
        """Start, or go on from a state.

        Args:
            found: optional tuple from `find_state`.
        """
        if found is not None and found[2]["finished"]:
            self._restore(*found)
            return
        super().on_train_begin()
        if found is not None:
            self._restore(*found)
        self._saved_at = time.monotonic()
        self._saved_batches = self.batches

    def _restore(self, path, arrays, values):
        self._path = path
        for name in ("epoch", "step", "batches", "epoch_steps", "stopped", "finished"):
            setattr(self, name, values[name])
        self._history.history = values["history"]
        self._history.epoch = values["epochs"]
        assign_variables(arrays, named_variables(self.model))
        self._generator = {name: array for name, array in arrays.items() if name.startswith("random/")}
        small = {name: array for name, array in arrays.items() if name.startswith(("metrics/", "callback/"))}
        self._restore_callbacks(small, values)
        set_host_random_state(values["random"])
        if self.step:
            self._interrupted_epoch = (small, values)

    def _remembering(self):
        return [callback for callback in self.callbacks if remembers(callback)]

    def _restore_callbacks(self, arrays, values):
        for number, callback in enumerate(self._remembering()):
            prefix = f"callback/{number}/"
            of_arrays = {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}
            set_callback_state(callback, {**values["callbacks"][number], **of_arrays})

    def finish(self):
        """End the training as the last lines of `fit` do, and save the result."""
        self.model.optimizer.finalize_variable_values(self.model.trainable_weights)
        super().on_train_end({name: values[-1] for name, values in self._history.history.items()})
        self.finished = True
        self.save()

    # What `fit` calls.

    def on_train_begin(self, logs=None):
        """Begin nothing: `begin` did, for all epochs."""

    def on_train_end(self, logs=None):
        """End nothing: `finish` will."""

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        self._offset = self.step
        if self._interrupted_epoch:
            arrays, values = self._interrupted_epoch
            assign_variables(arrays, named_variables(self.model), "metrics/")
            self._restore_callbacks(arrays, values)

    def on_train_batch_begin(self, batch, logs=None):
        # What Keras draws before and after an epoch, to set up its iterators, must not count: it differs.
        set_generator_state(self._generator)
        self._generator = {}
        if self._interrupted_epoch:
            set_host_random_state(self._interrupted_epoch[1]["random"])
            self._interrupted_epoch = None
        super().on_train_batch_begin(batch + self._offset, logs)

    def on_train_batch_end(self, batch, logs=None):
        done = min(self._offset + batch + 1, self.epoch_steps)
        super().on_train_batch_end(done - 1, logs)
        self.batches += done - self.step
        self.step = done
        if self.step == self.epoch_steps:
            self._generator = generator_state()
        if self._noted or self._due():
            self._flush_futures()
            if not self._model.stop_training:
                self.save()
                self._obey()

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        self._interrupted_epoch = None
        self.epoch, self.step = epoch + 1, 0
        self.stopped = self._model.stop_training
        self.save()
        self._obey()

    # Saving.

    def _due(self):
        if self._save_every_steps and self.batches - self._saved_batches >= self._save_every_steps:
            return True
        return time.monotonic() - self._saved_at >= self._save_every

    def save(self):
        """Write the state, and remove those that are not to be kept."""
        variables = named_variables(self.model)
        arrays = {name: keras.ops.convert_to_numpy(variable) for name, variable in variables.items()}
        arrays.update(self._generator or generator_state())
        callbacks = []
        for number, callback in enumerate(self._remembering()):
            state = callback_state(callback)
            of_arrays = {name: value for name, value in state.items() if hasattr(value, "dtype")}
            arrays.update({f"callback/{number}/{name}": value for name, value in of_arrays.items()})
            callbacks.append({name: value for name, value in state.items() if name not in of_arrays})
        values = {
            **self._identity,
            "epoch": self.epoch,
            "step": self.step,
            "batches": self.batches,
            "epoch_steps": self.epoch_steps,
            "stopped": self.stopped,
            "finished": self.finished,
            "history": self._history.history,
            "epochs": self._history.epoch,
            "callbacks": callbacks,
            "random": host_random_state(),
        }
        self._path = state_path(self._directory, self.batches)
        save_state(self._path, arrays, values)
        keep_newest(self._path, self._keep)
        self._saved_at, self._saved_batches = time.monotonic(), self.batches

    def _obey(self):
        if self._noted:
            raise TrainingInterrupted(self._path, self.batches, self._noted[0])

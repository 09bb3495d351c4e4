"""`fit` that can be killed at any moment: the next run goes on from the state saved last, as if never stopped."""

import contextlib
import logging
from pathlib import Path

import keras

from keras_bert_suite.errors import check_positive_int
from keras_bert_suite.training.interruption import noted_signals
from keras_bert_suite.training.one_training import OneTraining
from keras_bert_suite.training.run_identity import check_run, describe_run
from keras_bert_suite.training.tf_batches import as_fit_reads, as_tf_dataset, first_batches, readable
from keras_bert_suite.training.training_state import check_variables, find_state, named_variables

__all__ = ["fit_resumable"]

logger = logging.getLogger(__name__)

FIT_OPTIONS = ("class_weight", "validation_batch_size", "validation_freq", "validation_steps")


def fit_resumable(
    model,
    dataset,
    *,
    directory,
    epochs=1,
    validation_data=None,
    callbacks=None,
    save_every=60.0,
    save_every_steps=None,
    keep=2,
    peers=(),
    settings=None,
    verbose="auto",
    **fit_options,
):
    """Train as `model.fit` does, saving what is needed to go on; or go on, if `directory` holds a state.

    On one device, a training that was killed and went on ends with the same
    bits as one that was not: the order of data, the optimizer and its schedule,
    dropout, metrics and the history continue. Run the same call again, with the
    model built and compiled in the same way. If the training had ended, its
    result is restored and nothing is trained.

    SIGTERM and Ctrl-C save first, at the end of the batch, and raise
    `TrainingInterrupted`; during validation they wait for its end. Random
    numbers are those of the model's own seed generators, of PyTorch, of `random`
    and of NumPy; TensorFlow's stateful operations go on elsewhere.

    Args:
        model: compiled `keras.Model`.
        dataset: `keras.utils.PyDataset` of arrays with `starting_at(epoch, step)`: a
            `PyDataset` of the batches of that epoch from that one on, both
            counted from 0, which depend on nothing else. Optionally with
            `fingerprint()`: a JSON value, different for different data.
        directory: str or path. Holds the states, about three times as large as
            the weights under Adam, and nothing else; made when absent.
        epochs: int. Epochs in all. Defaults to 1.
        validation_data: as for `fit`.
        callbacks: optional list. Those with `get_state()`, a dict of JSON values
            and NumPy arrays, and `set_state(state)` go on where they were:
            `set_state` is called after `on_train_begin` and, within an epoch,
            again after `on_epoch_begin`. So do Keras' own `EarlyStopping`,
            `ModelCheckpoint` and `ReduceLROnPlateau`.
        save_every: float. Seconds between two states within an epoch, besides
            one at the end of each. Defaults to 60.
        save_every_steps: optional int. Batches between two states, besides those.
        keep: int. How many states stay: the one before is used when the newest
            is damaged. Defaults to 2.
        peers: sequence of paths. The directories of the other processes that
            train together, each with states of its own: only a state of a batch
            of which all of them have one is used. Pass `save_every=math.inf`, so
            that all save after the same batches.
        settings: optional dict of JSON values: whatever must be the same when
            training goes on. Number of epochs, backend and optimizer are among it.
        verbose: as for `fit`.
        **fit_options: `class_weight`, `validation_batch_size`,
            `validation_freq` and `validation_steps` of `fit`.
    Returns:
        `keras.callbacks.History` of all epochs, those before the kill included.
    Raises:
        TrainingInterrupted: after a signal, when the state is saved.
        ValueError: if the state in `directory` is of another model, other data
            or other settings.
    Example:
    >>> import keras, tempfile
    >>> class Numbers(keras.utils.PyDataset):
    ...     def __init__(self, first=0):
    ...         super().__init__()
    ...         self.first = first
    ...     def __len__(self):
    ...         return 5 - self.first
    ...     def __getitem__(self, index):
    ...         return np.full((2, 1), self.first + index), np.ones(2)
    ...     def starting_at(self, epoch, step):
    ...         return Numbers(step)
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile(optimizer="sgd", loss="mse")
    >>> history = fit_resumable(model, Numbers(), directory=tempfile.mkdtemp(), epochs=2, verbose=0)
    >>> history.epoch
    [0, 1]
    """
    _check_arguments(model, dataset, epochs, keep, save_every_steps, fit_options)
    directory = Path(directory)
    first_epoch = dataset.starting_at(0, 0)
    examples = first_batches(first_epoch)
    validation_data = readable(validation_data)
    _build(model, examples[0])
    identity = describe_run(model, dataset, callbacks, epochs, settings)
    with noted_signals() as noted, _values_kept(model.optimizer) as put_back:
        training = OneTraining(
            model,
            callbacks,
            directory=directory,
            save_every=save_every,
            save_every_steps=save_every_steps,
            keep=keep,
            noted=noted,
            identity=identity,
            verbose=verbose,
            epochs=epochs,
            steps=first_epoch.num_batches,
        )
        training.begin(_find_own_state(directory, peers, model, identity))
        while training.epoch < epochs and not training.stopped and not training.finished:
            _train_epoch(model, dataset, training, examples, validation_data, fit_options)
        put_back()
        if not training.finished:
            training.finish()
    return model.history


def _check_arguments(model, dataset, epochs, keep, save_every_steps, fit_options):
    if not model.compiled:
        raise ValueError("fit_resumable: model must be compiled. Call model.compile(...) first.")
    check_positive_int("fit_resumable", epochs=epochs, keep=keep)
    if save_every_steps is not None:
        check_positive_int("fit_resumable", save_every_steps=save_every_steps)
    if not hasattr(dataset, "starting_at"):
        raise TypeError(
            "fit_resumable: dataset must be a keras.utils.PyDataset with a method starting_at(epoch, step), as "
            f"BucketedDataset is. Received: {type(dataset).__name__}. Add the method, or train with model.fit."
        )
    unknown = sorted(set(fit_options) - set(FIT_OPTIONS))
    if unknown:
        raise TypeError(
            f"fit_resumable: of the options of fit, it takes {', '.join(FIT_OPTIONS)}. Received: {', '.join(unknown)}. "
            "Leave them out: the data set decides which batches an epoch has."
        )


def _build(model, batch):
    """Make every variable that training will have, so that a state can be put into them."""
    scope = contextlib.nullcontext()
    if keras.backend.backend() == "tensorflow":
        scope = model.distribute_strategy.scope()
    with scope:
        # What `fit` does on the other backends; on TensorFlow it waits for the first step. There is no public way.
        model._symbolic_build(data_batch=as_fit_reads(batch))


@contextlib.contextmanager
def _values_kept(optimizer):
    """Keep `fit` from putting the averages of the weights in their place after each epoch, as it does at its end.

    Yields:
        function that ends this.
    """

    def put_back():
        vars(optimizer).pop("finalize_variable_values", None)

    optimizer.finalize_variable_values = lambda var_list: None
    try:
        yield put_back
    finally:
        put_back()


def _find_own_state(directory, peers, model, identity):
    found = find_state(directory, peers)
    if found is None:
        return None
    path, arrays, values = found
    try:
        check_run(values, identity)
        check_variables(arrays, named_variables(model))
    except ValueError as error:
        raise ValueError(
            f"cannot go on from {path}: {error}. Train with the same, choose another or an empty directory, or begin "
            "anew (kbs: --restart)."
        ) from error
    done = "it is finished" if values["finished"] else f"epoch {values['epoch'] + 1}, batch {values['step'] + 1}"
    logger.info("going on from %s: %s", path, done)
    return found


def _train_epoch(model, dataset, training, examples, validation_data, fit_options):
    epoch = training.epoch
    if training.step and training.step == training.epoch_steps:
        _validate(model, training, validation_data, **fit_options)
        return
    left = dataset.starting_at(epoch, training.step)
    training.epoch_steps = training.step + left.num_batches
    if keras.backend.backend() == "tensorflow":
        left = as_tf_dataset(left, examples, fit_options.get("class_weight"))
        fit_options = {**fit_options, "class_weight": None}
    model.fit(
        left,
        initial_epoch=epoch,
        epochs=epoch + 1,
        shuffle=False,  # Each epoch has its order from the data set.
        validation_data=validation_data,
        callbacks=training,
        **fit_options,
    )


def _validate(
    model,
    training,
    validation_data,
    validation_batch_size=None,
    validation_freq=1,
    validation_steps=None,
    class_weight=None,
):
    """End an epoch of which every batch was trained, as `fit` ends it."""
    epoch = training.epoch
    model.reset_metrics()
    model.stop_training = False
    training.on_epoch_begin(epoch)
    logs = model.get_metrics_result()
    if validation_data is not None and _validates(epoch + 1, validation_freq):
        x, y, weights = keras.utils.unpack_x_y_sample_weight(validation_data)
        results = model.evaluate(
            x,
            y,
            sample_weight=weights,
            batch_size=validation_batch_size,
            steps=validation_steps,
            callbacks=training,
            return_dict=True,
        )
        logs.update({f"val_{name}": value for name, value in results.items()})
    training.on_epoch_end(epoch, logs)


def _validates(epoch, frequency):
    return epoch % frequency == 0 if isinstance(frequency, int) else epoch in frequency

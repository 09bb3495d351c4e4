"""Early stopping that takes part in a resumed training, and what Keras' own callbacks remember."""

import keras

__all__ = ["EarlyStopping", "callback_state", "remembers", "set_callback_state"]

#: Keras' callbacks that compare epochs, and all that they remember besides the best weights.
REMEMBERING = (
    keras.callbacks.EarlyStopping,
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.ReduceLROnPlateau,
)
REMEMBERED = (
    "best", "best_epoch", "wait", "stopped_epoch", "cooldown_counter", "_batches_seen_since_last_saving",
    "_last_batch_seen",
)  # fmt: skip
BEST_WEIGHTS = "best_weights/"


def remembers(callback):
    """Return whether a callback has a state: it has `get_state()`, or is one of Keras' that compare epochs."""
    return hasattr(callback, "get_state") or isinstance(callback, REMEMBERING)


def callback_state(callback):
    """Return the state of a callback that `remembers`, dict of JSON values and NumPy arrays."""
    return callback.get_state() if hasattr(callback, "get_state") else _memory(callback)


def set_callback_state(callback, state):
    """Put back what `callback_state` returned."""
    if hasattr(callback, "set_state"):
        callback.set_state(state)
    else:
        _set_memory(callback, state)


def _memory(callback):
    state = {name: getattr(callback, name) for name in REMEMBERED if hasattr(callback, name)}
    for number, weight in enumerate(getattr(callback, "best_weights", None) or []):
        state[f"{BEST_WEIGHTS}{number:05}"] = weight
    return state


def _set_memory(callback, state):
    weights = [state[name] for name in sorted(state) if name.startswith(BEST_WEIGHTS)]
    for name, value in state.items():
        if not name.startswith(BEST_WEIGHTS):
            setattr(callback, name, value)
    if weights:
        callback.best_weights = weights


class EarlyStopping(keras.callbacks.EarlyStopping):
    """`keras.callbacks.EarlyStopping` that ends with the best weights and can be saved in the middle.

    Args:
        monitor: str. Entry of the epoch logs. Defaults to `"val_loss"`.
        patience: int. Epochs without improvement after which training stops. Defaults to 0.
        restore_best_weights: bool. Defaults to true.
        **options: as for `keras.callbacks.EarlyStopping`.
    Example:
    >>> import keras
    >>> model = keras.Sequential([keras.layers.Dense(1)])
    >>> model.compile(optimizer=keras.optimizers.SGD(0.0), loss="mse")
    >>> stopping = EarlyStopping("loss", patience=2)
    >>> history = model.fit(np.ones((4, 2)), np.ones(4), epochs=9, verbose=0, callbacks=[stopping])
    >>> len(history.epoch), stopping.get_state()["best_epoch"]
    (3, 0)
    """

    def __init__(self, monitor="val_loss", *, patience=0, restore_best_weights=True, **options):
        super().__init__(monitor, patience=patience, restore_best_weights=restore_best_weights, **options)

    def get_monitor_value(self, logs):
        """Return the value that is monitored, or `None` after an epoch without validation."""
        if self.monitor not in logs and any(name.startswith("val_") for name in logs):
            raise ValueError(f"EarlyStopping: monitor must be one of {', '.join(logs)}. Received: {self.monitor}.")
        return logs.get(self.monitor)

    def get_state(self):
        """Return the best value and its epoch, the epochs waited since, and the best weights."""
        return _memory(self)

    def set_state(self, state):
        """Put back what `get_state` returned."""
        _set_memory(self, state)

"""What tells one training from another: its data and settings, as JSON has them."""

import json

import keras
import numpy as np

from keras_bert_suite.errors import shortened
from keras_bert_suite.training.early_stopping import remembers
from keras_bert_suite.training.progress import current_learning_rate

__all__ = ["check_run", "describe_run"]


def describe_run(model, dataset, callbacks, epochs, settings):
    """Return what must be equal for a training to go on: dict with `data` and `settings`."""
    identity = {
        "data": dataset.fingerprint() if hasattr(dataset, "fingerprint") else None,
        "settings": {
            "epochs": epochs,
            "backend": keras.backend.backend(),
            "optimizer": _describe(model.optimizer),
            "callbacks": [type(callback).__name__ for callback in callbacks or [] if remembers(callback)],
            **(settings or {}),
        },
    }
    try:
        return json.loads(json.dumps(identity, default=_as_json))
    except TypeError as error:
        raise TypeError(f"fit_resumable: settings and fingerprint() must be JSON values: {error}.") from error


def _as_json(value):
    """A number or an array of NumPy, as JSON has it."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{value!r} is not one")


def _describe(thing):
    """The settings of an optimizer or a schedule as JSON has them; Keras' `serialize` would import TensorFlow."""
    settings = {"class": type(thing).__name__}
    if isinstance(thing, keras.optimizers.Optimizer):
        settings["learning_rate"] = current_learning_rate(thing)
    for name, value in vars(thing).items():
        if isinstance(value, keras.optimizers.schedules.LearningRateSchedule):
            # The public property of an optimizer has only its present value.
            settings["schedule" if name == "_learning_rate" else name] = _describe(value)
        elif not name.startswith("_") and name != "name" and _is_plain(value):
            settings[name] = value
    if hasattr(thing, "inner_optimizer"):
        settings["inner_optimizer"] = _describe(thing.inner_optimizer)
    return settings


def _is_plain(value):
    if isinstance(value, (list, tuple)):
        return all(_is_plain(each) for each in value)
    return value is None or isinstance(value, (int, float, str, np.generic, np.ndarray))


def check_run(saved, own):
    """Raise `ValueError`, naming what differs, unless both are what `describe_run` returns for one training."""
    before, now = _flat(saved["settings"]), _flat(own["settings"])
    names = [name for name in {**before, **now} if before.get(name) != now.get(name) and not name.endswith(".name")]
    if names:
        differences = [f"{name} was {before.get(name)!r} and is {now.get(name)!r}" for name in names]
        raise ValueError(f"its settings differ: {shortened(differences)}")
    if saved["data"] != own["data"]:
        raise ValueError(f"it is of other data, whose fingerprint was {saved['data']!r:.18} and is {own['data']!r:.18}")


def _flat(settings, prefix=""):
    """Nested dicts as one, with names such as `optimizer.schedule.decay_steps`."""
    flat = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat

"""What tells one training from another: its data and settings, as JSON has them."""

import json

import keras

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
        return json.loads(json.dumps(identity, default=_settings_of))
    except TypeError as error:
        raise TypeError(f"fit_resumable: settings and fingerprint() must be JSON values: {error}.") from error


def _settings_of(value):
    """A schedule within a schedule, or a number of NumPy, as JSON has it."""
    if hasattr(value, "get_config"):
        return value.get_config()
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{value!r} is not one")


def _describe(optimizer):
    """The settings of an optimizer as JSON has them; `keras.optimizers.serialize` would import TensorFlow."""
    simple = (int, float, str, type(None))
    settings = {
        name: value
        for name, value in vars(optimizer).items()
        if isinstance(value, simple) and name != "name" and not name.startswith("_")
    }
    settings.update({"class": type(optimizer).__name__, "learning_rate": current_learning_rate(optimizer)})
    schedule = getattr(optimizer, "_learning_rate", None)  # The public property has only its present value.
    if isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
        settings["schedule"] = {"class": type(schedule).__name__, **schedule.get_config()}
    if hasattr(optimizer, "inner_optimizer"):
        settings["inner_optimizer"] = _describe(optimizer.inner_optimizer)
    return settings


def check_run(saved, own):
    """Raise `ValueError`, naming what differs, unless both are what `describe_run` returns for one training."""
    if saved["data"] != own["data"]:
        raise ValueError(f"it is of other data: {saved['data']!r}, and now {own['data']!r}")
    before, now = _flat(saved["settings"]), _flat(own["settings"])
    names = [name for name in {**before, **now} if before.get(name) != now.get(name) and not name.endswith(".name")]
    if names:
        differences = [f"{name} was {before.get(name)!r} and is {now.get(name)!r}" for name in names]
        raise ValueError(f"its settings differ: {shortened(differences)}")


def _flat(settings, prefix=""):
    """Nested dicts as one, with names such as `optimizer.schedule.decay_steps`."""
    flat = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat

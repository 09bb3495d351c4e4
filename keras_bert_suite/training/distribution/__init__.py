"""Training on several devices and hosts by one option, with the means of the running backend."""

import contextlib
import contextvars

import keras

from keras_bert_suite.errors import check_choice, check_positive_int
from keras_bert_suite.training.distribution.base import Distribution
from keras_bert_suite.training.guards import first_line

__all__ = ["Distribution", "current_distribution", "distribute"]

#: Backend -> strategy -> the options it takes.
STRATEGIES = {
    "tensorflow": {
        "data-parallel": ("devices", "timeout"),
        "mirrored": ("devices",),
        "multi-worker": ("timeout",),
        "tpu": ("tpu",),
    },
    "jax": {
        "data-parallel": ("devices", "timeout"),
        "model-parallel": ("devices", "model_parallel", "timeout"),
    },
    "torch": {"data-parallel": ("timeout",)},
}

_current = contextvars.ContextVar("distribution")
_single = Distribution()


def current_distribution():
    """Return the `Distribution` of the innermost `distribute` block; outside of one, that of a single device."""
    return _current.get(_single)


@contextlib.contextmanager
def distribute(strategy=None, *, devices=None, model_parallel=None, tpu=None, timeout=None):
    """Build, load and train models inside this block on several devices or hosts.

    What is trained is what one device would train: each step sees the same
    global batch, its rows shared out, and takes the gradient of the mean over
    all of it. Hand `distribution.dataset(...)` and `distribution.callbacks()`
    to `fit`.

    Args:
        strategy: optional str. `"data-parallel"` on any backend: each device has
            all weights and a share of each batch. On TensorFlow that is one of
            `"mirrored"` (the devices of this host) and `"multi-worker"` (the
            hosts in `TF_CONFIG`), which may be named too, as may `"tpu"`. On
            JAX also `"model-parallel"`: the weights are split as well. `None`
            changes nothing.
        devices: optional list of str, as the backend names them, e.g. `["GPU:0",
            "GPU:1"]` on TensorFlow, `["gpu:0", "gpu:1"]` on JAX. Defaults to all.
        model_parallel: optional int. Devices over which each weight is split;
            the batch is shared out over the rest. Must divide their number and
            the attention heads. Defaults to all devices.
        tpu: optional str. Name or address of the TPU; `"local"` on a TPU VM.
        timeout: optional float. Seconds that a process waits for the others
            before it gives up. Defaults to 300.
    Yields:
        `Distribution`.
    Raises:
        ValueError: if the running backend has no such strategy, or what it
            needs is missing.
        ConnectionError: in the place of the error that the backend raised
            inside the block because another process ended.
    Example:
    >>> import keras
    >>> with distribute(None) as distribution:
    ...     model = keras.Sequential([keras.layers.Dense(1)])
    >>> distribution.num_replicas, distribution.is_chief
    (1, True)
    """
    given = {"devices": devices, "model_parallel": model_parallel, "tpu": tpu, "timeout": timeout}
    distribution = _build(strategy, {name: value for name, value in given.items() if value is not None})
    with distribution.scope():
        token = _current.set(distribution)
        try:
            yield distribution
        except Exception as error:
            if distribution.num_processes == 1 or not _is_lost_process(error):
                raise
            raise ConnectionError(
                "distribute: another process of the training ended, or cannot be reached. See what it printed last and "
                f"start all again; with a directory of states they go on from there. ({first_line(error)})"
            ) from error
        finally:
            _current.reset(token)


def _is_lost_process(error):
    """Tell by names and messages, so that no backend has to be imported."""
    names = {kind.__name__ for kind in type(error).__mro__}
    said = str(error)
    return bool(names & {"UnavailableError", "DistNetworkError"}) or any(
        words in said for words in ("Connection closed by peer", "Connection reset by peer", "heartbeat timeout")
    )


def _build(strategy, options):
    backend = keras.backend.backend()
    known = STRATEGIES.get(backend, {})
    check_choice(f"distribute on the {backend} backend", "strategy", strategy, (None, *known))
    allowed = known.get(strategy, ())
    wrong = [name for name in options if name not in allowed]
    if wrong:
        takes = ", ".join(allowed) or "no options"
        raise ValueError(
            f"distribute: strategy={strategy!r} takes {takes} on the {backend} backend. Received: {', '.join(wrong)}."
        )
    if "model_parallel" in options:
        check_positive_int("distribute", model_parallel=options["model_parallel"])
    if "timeout" in allowed:
        timeout = options.setdefault("timeout", 300.0)
        if not 0 < timeout < float("inf"):
            raise ValueError(f"distribute: timeout must be a number of seconds above 0. Received: timeout={timeout}.")
    if strategy is None:
        return Distribution()
    if backend == "tensorflow":
        from keras_bert_suite.training.distribution.on_tensorflow import TensorFlowDistribution as kind
    elif backend == "jax":
        from keras_bert_suite.training.distribution.on_jax import JAXDistribution as kind
    else:
        from keras_bert_suite.training.distribution.on_torch import TorchDistribution as kind
    return kind(strategy, **options)

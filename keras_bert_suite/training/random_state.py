"""The states of the random generators that a training may draw from besides those of its model."""

import random

import keras
import numpy as np

__all__ = ["generator_state", "host_random_state", "set_generator_state", "set_host_random_state"]


def host_random_state():
    """Return the states of `random` and of NumPy's global generator, as JSON has them."""
    numpy_state = np.random.get_state(legacy=False)
    numpy_state["state"] = {**numpy_state["state"], "key": numpy_state["state"]["key"].tolist()}
    return {"python": random.getstate(), "numpy": numpy_state}


def set_host_random_state(state):
    """Put back what `host_random_state` returned, also after JSON."""
    version, key, gauss = state["python"]
    random.setstate((version, tuple(key), gauss))
    numpy_state = state["numpy"]
    key = np.array(numpy_state["state"]["key"], "uint32")
    np.random.set_state({**numpy_state, "state": {**numpy_state["state"], "key": key}})


def generator_state():
    """Return the states of PyTorch's global generators, dict of uint8 arrays; elsewhere there are none.

    Other backends draw from the seed generators among a model's variables.
    """
    if keras.backend.backend() != "torch":
        return {}
    import torch

    states = {"random/cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states.update({f"random/cuda/{number}": state for number, state in enumerate(torch.cuda.get_rng_state_all())})
    return {name: state.numpy().copy() for name, state in states.items()}


def set_generator_state(state):
    """Put back what `generator_state` returned."""
    if not state or keras.backend.backend() != "torch":
        return
    import torch

    torch.set_rng_state(torch.tensor(state["random/cpu"]))
    devices = [name for name in state if name.startswith("random/cuda/")]
    if torch.cuda.is_available() and len(devices) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([torch.tensor(state[f"random/cuda/{n}"]) for n in range(len(devices))])

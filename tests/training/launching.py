"""Scripts of the tests in processes of their own, with several devices or knowing of each other.

A script takes a JSON list of cases and prints `FOUND ` and JSON for each.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import keras

from tests.support.compiling import XLA_FLAGS

__all__ = ["BACKEND", "finish", "free_ports", "on_devices", "start", "two_processes"]

BACKEND = keras.backend.backend()
ROOT = Path(__file__).resolve().parents[2]


def start(script, cases, environment=None, devices=4):
    """Start a script and return what `finish` takes."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices} {XLA_FLAGS}",
        "OMP_NUM_THREADS": "1",
        **(environment or {}),
    }
    # Files, as a pipe that nobody reads stops a process.
    out, err = (tempfile.TemporaryFile("w+") for _ in range(2))  # noqa: SIM115
    process = subprocess.Popen(
        [sys.executable, str(script), json.dumps(cases)], env=environment, cwd=ROOT, stdout=out, stderr=err
    )
    return process, out, err


def finish(processes, timeout=240):
    """Return, for each process, what it found, its exit status, and its standard error."""
    ended = []
    try:
        for process, out, err in processes:
            status = process.wait(timeout)
            out.seek(0), err.seek(0)
            found = [json.loads(line[6:]) for line in out if line.startswith("FOUND ")]
            ended.append((found, status, err.read()))
    finally:
        for process, out, err in processes:
            process.kill()
            process.wait()
            out.close(), err.close()
    return ended


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def two_processes(script, cases):
    """Start a script in two processes that know of each other, as their launchers would start them."""
    ports = free_ports(2)
    processes = []
    for index in range(2):
        if BACKEND == "tensorflow":
            workers = [f"127.0.0.1:{port}" for port in ports]
            config = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
            environment = {"TF_CONFIG": json.dumps(config)}
        elif BACKEND == "jax":
            names = ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID")
            values = (f"127.0.0.1:{ports[0]}", "2", str(index))
            environment = {f"KERAS_DISTRIBUTION_{name}": value for name, value in zip(names, values, strict=True)}
        else:
            environment = {"RANK": str(index), "LOCAL_RANK": str(index), "WORLD_SIZE": "2"}
            environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(ports[0])}
        processes.append(start(script, cases, environment, devices=1))
    return processes


def on_devices(strategy, count, **options):
    """Return a case's strategy over `count` of four logical CPUs."""
    names = [f"{'CPU' if BACKEND == 'tensorflow' else 'cpu'}:{index}" for index in range(count)]
    return {"strategy": strategy, "options": {"devices": names, **options}, "logical_devices": 4}

"""Contenders in processes of their own, measured one at a time and in turns.

Each process loads its libraries once and then waits, so that nothing is shared
but the machine. The order turns around and moves on with every round, so that
a machine which gets slower or busier does so for all alike.
"""

import contextlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

__all__ = ["Contender", "least_seconds", "machine", "say", "serve", "start_contenders", "take_turns", "versions"]


def _environment(threads):
    """Variables that give every library the same number of threads, the CPU, and silence."""
    counts = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
    return {**dict.fromkeys(counts, str(threads)), **quiet, "CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}


class Contender:
    """A process that measures itself when asked. Its end of the line is `serve`.

    Args:
        command: list of str. Starts a Python script that calls `serve`.
        threads: int. Threads, and cores, that it may use.
        environment: dict of str. More variables, e.g. the Keras backend.
    Attributes:
        rows: list of the names of what it can run.
        facts: dict: what its `prepare` had to say.
    Raises:
        RuntimeError: when the process fails, with its last words.
    """

    def __init__(self, command, threads, environment):
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115, closed by close
        self._process = subprocess.Popen(
            [sys.executable, *command],
            env={**os.environ, **_environment(threads), **environment},
            stdin=subprocess.PIPE,  # its end tells the process to end
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        try:
            answer = self._ask({"threads": threads})
        except BaseException:
            self.close()
            raise
        self.rows, self.facts = answer["rows"], answer["facts"]

    def run(self, row):
        """Return `{"seconds": wall time, "cpu_seconds": processor time of all threads}` of one run."""
        return self._ask({"row": row})

    def close(self):
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def _ask(self, question):
        with contextlib.suppress(BrokenPipeError):  # the log says why
            print(json.dumps(question), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if answer:
            return json.loads(answer)
        self._process.wait()
        self._log.seek(0)
        said = [line.strip() for line in self._log if line.strip()]
        raise RuntimeError(said[-1] if said else f"ended with code {self._process.returncode}")


def serve(prepare):
    """Be the other end of a `Contender`, until it closes.

    Args:
        prepare: function without arguments that loads everything and returns
            `(runs, facts)`: a dict from a row's name to a function that does
            its work once, and may return the seconds that count, and a dict of
            JSON-ready values.
    """
    # Libraries print as they please: only this channel leads to the parent.
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    runs = {}
    for line in sys.stdin:
        question = json.loads(line)
        if "row" in question:
            wall, cpu = time.perf_counter(), time.process_time()
            seconds = runs[question["row"]]()
            answer = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
            if seconds is not None:  # of a part of it alone
                answer["seconds"] = seconds
        else:
            if hasattr(os, "sched_setaffinity"):
                os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: question["threads"]])
            runs, facts = prepare()
            answer = {"rows": list(runs), "facts": facts}
        print(json.dumps(answer), file=channel, flush=True)


def start_contenders(script, backends, argument, threads):
    """Start `script --contender NAME ARGUMENT` for each name, one after the other.

    Args:
        script: path of the benchmark.
        backends: dict from a contender's name to what Keras is to run on.
        argument: path that each is given.
        threads: int. Threads of each.
    Returns:
        `(contenders, absent)`: those that could be started, by name, and why others could not.
    """
    contenders, absent = {}, {}
    for name, backend in backends.items():
        say(f"{name}: loading, first run")
        try:
            command = [str(Path(script).resolve()), "--contender", name, str(argument)]
            contenders[name] = Contender(command, threads, {"KERAS_BACKEND": backend})
        except RuntimeError as error:
            if not str(error).startswith(("ImportError", "ModuleNotFoundError")):
                raise
            absent[name] = f"{error}. Run: make setup-all"
    return contenders, absent


def take_turns(contenders, rounds):
    """Run every row of every contender once a round, one at a time.

    Args:
        contenders: dict from a name to a `Contender`.
        rounds: int.
    Yields:
        `(round, name, row, measured)` after each run.
    """
    everyone = [(name, row) for name, contender in contenders.items() for row in contender.rows]
    for turn in range(rounds):
        # Forwards, then backwards from the same place; the place moves on every other round.
        first = turn // 2 * 3 % len(everyone)
        order = everyone[first:] + everyone[:first]
        for name, row in order if turn % 2 == 0 else order[::-1]:
            yield turn, name, row, contenders[name].run(row)


def least_seconds(calls, rounds):
    """Call functions in turns; return the least seconds of each, by name: what it costs where nothing else runs.

    Args:
        calls: dict from a name to a function without arguments.
        rounds: int.
    """
    least = dict.fromkeys(calls, float("inf"))
    for turn in range(rounds):
        for name in list(calls) if turn % 2 == 0 else list(calls)[::-1]:
            started = time.perf_counter()
            calls[name]()
            least[name] = min(least[name], time.perf_counter() - started)
    return least


def machine(threads):
    """Say in a line what this runs on."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        models = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        name = models[0] if models else name
    return f"{name}, {os.cpu_count()} cores, {threads} used; Python {platform.python_version()}, {platform.system()}"


def versions():
    """Return the versions of what is compared, by package."""
    packages = ("keras", "tensorflow", "tensorflow-cpu", "jax", "torch", "transformers", "sentence-transformers")
    found = {}
    for name in (*packages, "keras-hub", "tokenizers", "nanotoken"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def say(message):
    """Print progress, apart from results."""
    print(message, file=sys.stderr, flush=True)

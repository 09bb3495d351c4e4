"""Running the worker process, seen from its parent: start, progress, result, and a clean end.

The worker runs TensorFlow whatever backend the parent runs, so that the same
weights give the same artifacts everywhere, and so that a crash, a lack of
memory or Ctrl-C there costs the parent nothing.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

import keras_bert_suite
from keras_bert_suite.errors import ArtifactError

__all__ = ["Progress", "death", "end_process", "explain", "quiet_environment", "run_worker"]

#: Lines that TensorFlow and its kin print whatever happens.
NOISE = ("WARNING", "I0000", "W0000", "E0000", "INFO", "  warnings.warn", "oneDNN")


def run_worker(job, arrays, workspace, progress=True):
    """Run a job in a worker process and return its result.

    Args:
        job: dict of JSON-ready values, as `worker` documents it.
        arrays: dict of NumPy arrays that go with it.
        workspace: path of an existing directory for what passes between the two.
        progress: bool. Whether to print a line per step on standard error.
    Returns:
        dict: the worker's result.
    Raises:
        ArtifactError: if the worker fails or is killed.
    """
    workspace = Path(workspace)
    np.savez(workspace / "arrays.npz", **arrays)
    job = {**job, "arrays": str(workspace / "arrays.npz")}
    (workspace / "job.json").write_text(json.dumps(job), encoding="utf-8")
    step, result = "starting", None
    progress = Progress(progress)
    with open(workspace / "worker.log", "w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "keras_bert_suite.export.worker", str(workspace / "job.json")],
            stdin=subprocess.PIPE,  # never written to: its end tells the worker that its parent is gone
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**quiet_environment(), "TMPDIR": str(workspace)},
            start_new_session=True,
        )
        try:
            for line in process.stdout:
                event = json.loads(line)
                step, result = event.get("step", step), event.get("result", result)
                progress.show(event)
            code = process.wait()
        finally:
            end_process(process)
            progress.close()
        log.seek(0)
        if result is None:
            raise ArtifactError(death(code, step, log))
    if "error" in result:
        raise ArtifactError(f"{step}: {result['error']}")
    return result


def quiet_environment():
    """Return the parent's environment, on TensorFlow and the CPU, without flags meant for the parent alone."""
    package_root = str(Path(keras_bert_suite.__file__).parents[1])
    inherited = {name: value for name, value in os.environ.items() if name not in ("XLA_FLAGS", "PYTHONWARNINGS")}
    return {
        **inherited,
        "CUDA_VISIBLE_DEVICES": "-1",
        "KERAS_BACKEND": "tensorflow",
        "PYTHONPATH": os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")])),
        "PYTHONUTF8": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


class Progress:
    """A line per step on standard error, with its time once it is done."""

    def __init__(self, shown):
        self.shown = shown
        self.open = False

    def show(self, event):
        if "step" in event:
            self._print(f"{event['step']} ... ", opens=True)
        elif "seconds" in event:
            self._print(f"{event['seconds']:.1f} s\n", opens=False)

    def close(self):
        """End the line of a step that did not finish."""
        if self.open:
            self._print("stopped\n", opens=False)

    def _print(self, text, opens):
        self.open = opens
        if self.shown:
            print(text, end="", file=sys.stderr, flush=True)


def end_process(process):
    """End a process and whatever it started, if it is still there."""
    try:
        if process.poll() is None:
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
    except ProcessLookupError:
        pass
    process.wait()
    for stream in (process.stdin, process.stdout):
        stream.close()


def death(code, step, log):
    """Say how a process that left no result ended.

    Args:
        code: int. Its exit code.
        step: str. What it was at.
        log: lines of its standard error.
    Returns:
        str.
    """
    lines = [line.strip() for line in log if line.strip() and not line.startswith(NOISE)]
    if code == -signal.SIGINT:
        return f"{step}: interrupted."
    if hasattr(signal, "SIGKILL") and code == -signal.SIGKILL:
        return (
            f"{step}: the export process was killed (signal 9), most likely for using too much memory. "
            "Close other programs, or export one format at a time."
        )
    how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
    said = " | ".join(lines[-3:]) or "nothing"
    return f"{step}: the export process {how} without a result. Its last words: {said}"


def explain(error):
    """Return what an exception says, in one line of bearable length."""
    if isinstance(error, MemoryError):
        return "there is not enough memory. Close other programs, or export one format at a time."
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " | ".join(lines[:1] + lines[1:][-2:]) or type(error).__name__
    return text if len(text) <= 600 else f"{text[:300]} [...] {text[-300:]}"

"""An artifact in a process of its own: it can crash, and its memory is its own.

`python -m keras_bert_suite.export.runner PATH [THREADS]` opens an artifact and
answers requests on standard input. A message is its length in 8 bytes, then an
npz: arrays, texts as JSON in bytes, and under `do` what is asked.
"""

import contextlib
import io
import json
import os
import resource
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from keras_bert_suite.errors import ArtifactError
from keras_bert_suite.export.process import death, end_process, quiet_environment

__all__ = ["ArtifactProcess"]

#: Timed calls: at most so many, and at most so many seconds of them.
TIMED_CALLS, TIMED_SECONDS = 30, 2.0


class ArtifactProcess:
    """An artifact that runs in a process of its own, as a context manager.

    Args:
        path: path, as `runtimes.find_artifact` returns it.
        num_threads: optional int. Threads of the runtime. Defaults to what it chooses.
    Attributes:
        load_seconds: float. What opening the artifact took, the import of its runtime left out.
        takes_text: bool. Whether it takes strings.
        max_length: optional int. The most tokens that it takes.
    Raises:
        ArtifactError: if the artifact cannot be opened or run.
    """

    def __init__(self, path, num_threads=None):
        self.path = Path(path)
        self._arguments = [str(path), *([] if num_threads is None else [str(num_threads)])]

    def __enter__(self):
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "keras_bert_suite.export.runner", *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=quiet_environment(),
            start_new_session=True,
        )
        try:
            opened = self._receive()
        except BaseException:
            self.__exit__()
            raise
        self.load_seconds = float(opened["load_seconds"])
        self.takes_text = bool(opened["takes_text"])
        self.max_length = int(opened["max_length"]) or None
        return self

    def __exit__(self, *error):
        end_process(self._process)
        self._log.close()

    def run_ids(self, arrays):
        """Return what the artifact makes of int32 arrays: dict of arrays."""
        return self._ask("ids", arrays)

    def run_text(self, columns):
        """Return what the artifact makes of strings, a dict of lists: dict of arrays, texts as lists of str."""
        return self._ask("text", columns)

    def time(self, kind, columns):
        """Return the median time of a call, in seconds.

        Args:
            kind: `"ids"` or `"text"`.
            columns: what `run_ids` or `run_text` takes.
        """
        return float(self._ask(f"time {kind}", columns)["seconds"])

    def peak_memory(self):
        """Return the most memory that the process has held, in bytes."""
        return int(self._ask("memory", {})["bytes"])

    def _ask(self, what, columns):
        with contextlib.suppress(OSError):  # what it died of is read below
            _send(self._process.stdin, {**columns, "do": [what]})
        return self._receive()

    def _receive(self):
        found = _receive(self._process.stdout)
        if found is None:
            self._log.seek(0)
            raise ArtifactError(death(self._process.wait(), f"running {self.path.name}", self._log))
        if "error" in found:
            raise ArtifactError(found["error"][0])
        return found


def _send(stream, columns):
    """Write a message: arrays as they are, lists of str as JSON."""
    packed = {}
    for name, column in columns.items():
        column = column.tolist() if isinstance(column, np.ndarray) and column.dtype == object else column
        if isinstance(column, np.ndarray):
            packed[name] = column
        else:
            packed[f"json {name}"] = np.frombuffer(json.dumps(_decoded(column)).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **packed)
    stream.write(struct.pack("<Q", buffer.tell()))
    stream.write(buffer.getvalue())
    stream.flush()


def _receive(stream):
    """Read a message: dict, or `None` where the stream has ended."""
    size = stream.read(8)
    if len(size) < 8:
        return None
    content = stream.read(struct.unpack("<Q", size)[0])
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        found = {name: arrays[name] for name in arrays.files}
    return {
        name.removeprefix("json "): json.loads(value.tobytes()) if name.startswith("json ") else value
        for name, value in found.items()
    }


def _decoded(value):
    if isinstance(value, list):
        return [_decoded(one) for one in value]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def main(path, num_threads=None):
    """Open an artifact and answer until standard input ends."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what runtimes print is no message
    from keras_bert_suite.export.runtimes import open_runtime
    from keras_bert_suite.export.worker import explain

    try:
        _import_runtime(Path(path))
        start = time.perf_counter()
        runtime = open_runtime(path, None if num_threads is None else int(num_threads))
        seconds = time.perf_counter() - start
        takes_text = runtime.run_text is not None
        _send(output, {"load_seconds": seconds, "takes_text": takes_text, "max_length": runtime.max_length or 0})
    except Exception as error:  # runtimes raise classes of their own
        _send(output, {"error": [explain(error)]})
        return
    kinds = {"ids": runtime.run_ids, "text": runtime.run_text}
    while (request := _receive(sys.stdin.buffer)) is not None:
        (what,) = request.pop("do")
        try:
            if what == "memory":
                answer = {"bytes": _peak_memory()}
            elif what.startswith("time "):
                answer = {"seconds": _median_time(kinds[what.removeprefix("time ")], request)}
            else:
                answer = kinds[what](request)
        except Exception as error:
            answer = {"error": [explain(error)]}
        _send(output, answer)


def _import_runtime(path):
    """Import what takes seconds and is no part of opening a file."""
    if path.is_dir():
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        import tensorflow  # noqa: F401


def _peak_memory():
    """Return the most memory that this process has held, in bytes.

    What `getrusage` says begins with the memory of the process that started this one.
    """
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _median_time(run, columns):
    for _ in range(3):
        run(columns)
    times = []
    while len(times) < TIMED_CALLS and sum(times) < TIMED_SECONDS:
        start = time.perf_counter()
        run(columns)
        times.append(time.perf_counter() - start)
    return float(np.median(times))


if __name__ == "__main__":
    main(*sys.argv[1:])

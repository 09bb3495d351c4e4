"""Toy models written once, and servers over them in processes of their own."""

import contextlib
import http.client
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

for module in ("aiohttp", "grpc", "prometheus_client", "tensorflow", "tensorflow_serving"):
    pytest.importorskip(module, reason="the builtin server is not installed")


class RunningServer:
    """A server process and how to ask it."""

    def __init__(self, directory, log, **options):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
        self.log = log
        with open(log, "w", encoding="utf-8") as errors:
            self.process = subprocess.Popen(
                [sys.executable, str(HERE / "run_server.py"), str(directory), json.dumps(options)],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment,
            )

    def wait_ready(self):
        line = self.process.stdout.readline()
        assert line, self.log.read_text()
        ports = json.loads(line)
        self.port, self.grpc_port = ports["port"], ports["grpc_port"]
        return self

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path, body=None, method=None, headers=None, timeout=30):
        """Return status and body, parsed where it is JSON; a body that is no bytes is sent as JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        with contextlib.closing(connection):
            connection.request(method or ("GET" if body is None else "POST"), path, data, headers or {})
            response = connection.getresponse()
            answer = response.read()
        if response.headers.get("Content-Type", "").startswith("application/json"):
            return response.status, json.loads(answer)
        return response.status, answer

    def predict(self, body, model="toy", **options):
        return self.ask(f"/v1/models/{model}:predict", body, **options)

    def score(self, text, model="toy"):
        status, answer = self.predict({"instances": [text]}, model)
        assert status == 200, answer
        return answer["predictions"][0]["score"]

    def stop(self):
        self.process.terminate()
        return self.process.wait(30)


@contextlib.contextmanager
def running(directory, log, **options):
    server = RunningServer(directory, log, **options)
    try:
        yield server.wait_ready()
    finally:
        server.process.kill()
        server.process.wait()
        server.process.stdout.close()


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    return tmp_path_factory.mktemp("serving")


@pytest.fixture(scope="session")
def server(base):
    """A server of the models `toy` and `moving`, with small limits."""
    models = base / "models"
    models.mkdir()
    limits = {"max_body_bytes": 200_000, "max_batch_rows": 64, "max_text_bytes": 10_000, "read_seconds": 1.5}
    copies = [str(models / name / "1") for name in ("toy", "moving")]
    with running(models, base / "server.log", limits=limits, toys=str(base / "toys"), copies=copies) as found:
        yield found


@pytest.fixture(scope="session")
def toys(base, server):
    """A directory with SavedModels of the weights 1, 2 and 3."""
    return base / "toys"


@pytest.fixture(scope="session")
def models(base, server):
    """The directory that `server` serves."""
    return base / "models"


@pytest.fixture(scope="session")
def narrow_server(base, toys):
    """A server in which eight requests find a place."""
    shutil.copytree(toys / "1", base / "narrow" / "toy" / "1")
    with running(base / "narrow" / "toy", base / "narrow.log", limits={"max_waiting": 8}) as found:
        yield found

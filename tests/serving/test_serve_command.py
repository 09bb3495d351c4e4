"""`kbs serve`: its options, its refusals, and the stock server where there is one."""

import argparse
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time

import pytest

from keras_bert_suite.cli import serve
from keras_bert_suite.errors import ArtifactError

STOCK = """#!{python}
import json, re, signal, sys, time
options = dict(word[2:].split("=", 1) for word in sys.argv[1:])
for name in ("model_config_file", "batching_parameters_file"):
    options[name] = open(options[name]).read()
base = re.search('base_path: "(.*?)"', options["model_config_file"]).group(1)
options["seen"] = open(base + "/1/saved_model.pb").read()
print(json.dumps(options), flush=True)
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(3))
if options["port"] == "1":
    sys.exit(7)
time.sleep(60)
"""


def options(*words):
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    serve.add_arguments(parser)
    return parser.parse_args([str(word) for word in words])


@pytest.fixture
def stock(tmp_path, monkeypatch):
    """A stand-in for the stock server on the path; says what it was given."""
    program = tmp_path / "bin" / "tensorflow_model_server"
    program.parent.mkdir()
    program.write_text(STOCK.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return program


@pytest.fixture
def exported(tmp_path):
    path = tmp_path / "intents" / "saved_model"
    path.mkdir(parents=True)
    (path / "saved_model.pb").write_text("the graph")
    return path.parent


RUN = (
    "import argparse, sys; from keras_bert_suite.cli import serve; parser = argparse.ArgumentParser();"
    "parser.add_argument('--json', action='store_true'); serve.add_arguments(parser);"
    "sys.exit(serve.run(parser.parse_args()))"
)


def test_the_stock_server_is_run_where_it_is_installed(stock, exported):
    words = [exported, "--port", "8601", "--grpc-port", "8600", "--max-batch", "16", "--batch-timeout-ms", "2"]
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        given = json.loads(process.stdout.readline())
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.stdout.close()
    assert (given["rest_api_port"], given["port"], given["enable_batching"]) == ("8601", "8600", "true")
    assert 'name: "intents"' in given["model_config_file"]
    assert given["seen"] == "the graph"  # below a folder of versions, which the stock server wants
    assert given["batching_parameters_file"] == ("max_batch_size { value: 16 }\nbatch_timeout_micros { value: 2000 }\n")


def test_the_stock_servers_exit_code_is_passed_on(stock, exported):
    done = subprocess.run([sys.executable, "-c", RUN, str(exported), "--grpc-port", "1"], capture_output=True)
    assert done.returncode == 7


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--port", "70000"], "--port must be in"),
        (["--grpc-port", "-1"], "--grpc-port must be in"),
        (["--batch-timeout-ms", "nan"], "--batch-timeout-ms must be in"),
        (["--batch-timeout-ms", "-1"], "--batch-timeout-ms must be in"),
    ],
)
def test_options_out_of_range_are_refused(exported, words, message):
    with pytest.raises(ValueError, match=message):
        serve.run(options(exported, *words))


def test_nothing_to_serve_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        serve.run(options(tmp_path / "nothing"))
    with pytest.raises(ValueError, match="has no model to serve"):
        serve.run(options(tmp_path, "--builtin"))


@pytest.mark.tensorflow
def test_what_cannot_be_loaded_and_ports_in_use_are_refused(exported):
    from keras_bert_suite.serving.server import serve as start

    with pytest.raises(ArtifactError, match="the model intents cannot be served. version 1: "):
        start(exported, port=0, grpc_port=0)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}.*--port"):
            start(exported, port=port, grpc_port=0)
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}.*--grpc-port"):
            start(exported, port=0, grpc_port=port)

"""Running the stock `tensorflow_model_server` over the same models."""

import contextlib
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

__all__ = ["STOCK_SERVER", "find_stock_server", "run_stock_server"]

STOCK_SERVER = "tensorflow_model_server"


def find_stock_server():
    """Return the path of the stock server, or `None` where it is not installed."""
    return shutil.which(STOCK_SERVER)


def run_stock_server(program, places, *, config=None, port, grpc_port, max_batch, batch_timeout):
    """Run the stock server until it ends or a signal ends it.

    Args:
        program: path of `tensorflow_model_server`.
        places: list of `ModelPlace`.
        config: optional path of the user's own `models.config`, passed on as it is.
        port, grpc_port: int.
        max_batch: int. Rows of a run.
        batch_timeout: float. In seconds.
    Returns:
        int. Its exit code, 0 where SIGTERM or Ctrl-C ended it.
    """
    with tempfile.TemporaryDirectory(prefix="kbs-serve-") as scratch:
        scratch = Path(scratch)
        batching = scratch / "batching.config"
        batching.write_text(
            f"max_batch_size {{ value: {max_batch} }}\n"
            f"batch_timeout_micros {{ value: {round(batch_timeout * 1e6)} }}\n",
            encoding="utf-8",
        )
        if config is None:
            config = scratch / "models.config"
            config.write_text(_config(places, scratch), encoding="utf-8")
        command = [
            str(program),
            f"--rest_api_port={port}",
            f"--port={grpc_port}",
            f"--model_config_file={config}",
            "--enable_batching=true",
            f"--batching_parameters_file={batching}",
        ]
        return _run(command)


def _config(places, scratch):
    """Return a `models.config`; a SavedModel that is in no folder of versions gets one."""
    entries = []
    for place in places:
        base = place.path.absolute()
        if not place.versioned:
            base = scratch / place.name
            base.mkdir()
            (base / "1").symlink_to(place.path.absolute(), target_is_directory=True)
        entries.append(
            f'  config {{ name: "{_quoted(place.name)}" base_path: "{_quoted(base)}" model_platform: "tensorflow" }}\n'
        )
    return "model_config_list {\n" + "".join(entries) + "}\n"


def _quoted(text):
    return str(text).replace("\\", "\\\\").replace('"', '\\"')


def _run(command):
    process = subprocess.Popen(command)
    asked = []

    def pass_on(number, frame):
        asked.append(number)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        code = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0 if asked else code

"""A builtin server for tests: `python run_server.py DIRECTORY OPTIONS`, the options as JSON.

With `toys`, a directory, it first writes the toy models of weights 1, 2 and 3 there, and copies the first
to each place in `copies`.
"""

import json
import logging
import shutil
import sys

from keras_bert_suite.serving.limits import Limits
from keras_bert_suite.serving.server import serve


def announce(server):
    print(json.dumps({"port": server.port, "grpc_port": server.grpc_port}), flush=True)


if __name__ == "__main__":
    logging.basicConfig(level="INFO", format="%(message)s", stream=sys.stderr)
    options = json.loads(sys.argv[2])
    toys = options.pop("toys", None)
    if toys:
        from toy_model import write_toy

        for weight in (1, 2, 3):
            write_toy(f"{toys}/{weight}", weight)
    for place in options.pop("copies", []):
        shutil.copytree(f"{toys}/1", place)
    limits = Limits(**options.pop("limits", {}))
    serve(sys.argv[1], on_ready=announce, limits=limits, port=0, grpc_port=0, poll_seconds=0.2, **options)

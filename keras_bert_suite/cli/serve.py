"""Serve exported models over REST and gRPC, as TF Serving does.

Runs the stock tensorflow_model_server where it is installed, and otherwise a
local server over the same SavedModel that answers the same calls.
"""

import json
import logging
import os
import sys
from pathlib import Path

from keras_bert_suite.cli.shared import log_to_stderr, positive_float, positive_int, quiet_import

EXAMPLE = """\
  kbs export saved_models/intents --output out --format saved_model
  kbs serve out --model-name intents
  curl -d '{"instances": ["where is my parcel"]}' http://localhost:8501/v1/models/intents:predict
  kbs predict --server http://localhost:8501/v1/models/intents --text "where is my parcel"
"""


def add_arguments(parser):
    parser.add_argument(
        "directory",
        metavar="DIR",
        help="NAME/VERSION/saved_model.pb, a directory of such models, a SavedModel, what kbs export wrote, "
        "or a models.config file",
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8501, metavar="N", help="of REST; 0: a free one (default: 8501)")
    parser.add_argument(
        "--grpc-port", type=int, default=8500, metavar="N", help="of gRPC; 0: a free one (default: 8500)"
    )
    parser.add_argument("--model-name", metavar="NAME", help="the name of a single model (default: its directory's)")
    parser.add_argument(
        "--max-batch", type=positive_int, default=32, metavar="N", help="rows in one run of the model (default: 32)"
    )
    parser.add_argument(
        "--batch-timeout-ms",
        type=float,
        default=0.0,
        metavar="X",
        help="how long a request that could run waits for others (default: 0)",
    )
    parser.add_argument(
        "--max-body-mb", type=positive_float, default=4.0, metavar="N", help="size of a request (default: 4)"
    )
    parser.add_argument(
        "--max-batch-rows", type=positive_int, default=256, metavar="N", help="rows of a request (default: 256)"
    )
    parser.add_argument(
        "--max-text-bytes", type=positive_int, default=1 << 20, metavar="N", help="bytes of a text (default: 1 MiB)"
    )
    parser.add_argument("--builtin", action="store_true", help="never run the stock server")


def run(options):
    from keras_bert_suite.serving.layout import find_models
    from keras_bert_suite.serving.limits import Limits
    from keras_bert_suite.serving.server import serve
    from keras_bert_suite.serving.stock import find_stock_server, run_stock_server

    if not 0 <= options.batch_timeout_ms < 60_000:
        raise ValueError(f"--batch-timeout-ms must be in [0, 60000). Received: {options.batch_timeout_ms}.")
    for name in ("port", "grpc_port"):
        if not 0 <= getattr(options, name) < 65536:
            raise ValueError(f"--{name.replace('_', '-')} must be in [0, 65535]. Received: {getattr(options, name)}.")
    batching = {"max_batch": options.max_batch, "batch_timeout": options.batch_timeout_ms / 1000}
    ports = {"port": options.port, "grpc_port": options.grpc_port}
    places = find_models(options.directory, options.model_name)
    program = None if options.builtin else find_stock_server()
    if program:
        print(f"running {program}; its own limits apply", file=sys.stderr)
        config = Path(options.directory) if Path(options.directory).is_file() else None
        return run_stock_server(program, places, config=config, **ports, **batching)
    log_to_stderr()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel("ERROR")
    quiet_import("tensorflow")
    limits = Limits(
        max_body_bytes=round(options.max_body_mb * (1 << 20)),
        max_batch_rows=options.max_batch_rows,
        max_text_bytes=options.max_text_bytes,
    )

    def announce(server):
        host = f"[{options.host}]" if ":" in options.host else options.host
        models = {
            name: {
                "version": server.repository.get(name).version,
                "url": f"http://{host}:{server.port}/v1/models/{name}",
            }
            for name in server.repository.names
        }
        if options.json:
            print(json.dumps({"port": server.port, "grpc_port": server.grpc_port, "models": models}), flush=True)
            return
        for name, found in models.items():
            print(f"{name} version {found['version']}: {found['url']}, gRPC {host}:{server.grpc_port}")
        print("Ctrl-C ends the server.", flush=True)

    serve(
        options.directory,
        model_name=options.model_name,
        on_ready=announce,
        host=options.host,
        limits=limits,
        **ports,
        **batching,
    )
    return 0

"""The local server: both protocols over one service, from its start to a clean end."""

import asyncio
import contextlib
import gc
import logging
import os
import signal

from keras_bert_suite.errors import ArtifactError, require
from keras_bert_suite.serving.batching import Batcher
from keras_bert_suite.serving.layout import find_models
from keras_bert_suite.serving.limits import Limits
from keras_bert_suite.serving.metrics import Metrics
from keras_bert_suite.serving.repository import Repository
from keras_bert_suite.serving.rest import build_app
from keras_bert_suite.serving.rpc import build_grpc_server
from keras_bert_suite.serving.servable import Servable
from keras_bert_suite.serving.service import Service
from keras_bert_suite.serving.sockets import in_use, listening_sockets, raise_file_limit
from keras_bert_suite.serving.warming import warm_up

__all__ = ["Server", "serve"]

logger = logging.getLogger(__name__)

BACKLOG = 4096

#: Seconds that requests in flight have to end when the server stops.
GRACE_SECONDS = 30


def serve(path, *, model_name=None, on_ready=None, **options):
    """Serve SavedModels until SIGTERM or Ctrl-C, then end what is in flight and return.

    Args:
        path: str or path, as `find_models` takes it.
        model_name: optional str. The name of a single model; its directory's by default.
        on_ready: optional function of the `Server`, called when it answers.
        **options: of `Server`.
    Raises:
        ArtifactError: if a model has no version that can be loaded.
        OSError: if a port is in use.
    """
    places = find_models(path, model_name)
    for module in ("aiohttp", "grpc", "prometheus_client", "tensorflow", "tensorflow_serving.apis.predict_pb2"):
        require(module, "kbs serve")
    asyncio.run(_serve(Server(places, **options), on_ready))


async def _serve(server, on_ready):
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    starting = asyncio.ensure_future(server.start())
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait([starting, stopped], return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            if on_ready:
                on_ready(server)
            await stopped
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):  # The next one ends the process at once.
            loop.remove_signal_handler(number)
        starting.cancel()
        stopped.cancel()
        await server.stop()


class Server:
    """The builtin server. All of it runs on one event loop, and the models in threads.

    Args:
        places: list of `ModelPlace`.
        host: str. Defaults to `"127.0.0.1"`, this machine alone.
        port: int. REST; 0 takes a free one. Defaults to 8501.
        grpc_port: int. gRPC; 0 takes a free one. Defaults to 8500.
        max_batch: int. Rows of a run. Defaults to 32.
        batch_timeout: float. Seconds that a request waits for others though it could run. Defaults to 0.
        limits: `Limits`.
        poll_seconds: float. Time between two looks for new versions. Defaults to 1.
    """

    def __init__(
        self,
        places,
        host="127.0.0.1",
        port=8501,
        grpc_port=8500,
        max_batch=32,
        batch_timeout=0.0,
        limits=None,
        poll_seconds=1.0,
    ):
        self.host, self.port, self.grpc_port = host, port, grpc_port
        metrics = Metrics()
        self._batcher = Batcher(max_batch, batch_timeout, threads=min(2, _cpus()), metrics=metrics)
        self.repository = Repository(places, _load, poll_seconds)
        self.service = Service(self.repository, self._batcher, limits or Limits(), metrics)
        self._runner = self._grpc = self._watching = None

    async def start(self):
        """Take the ports, load the models, then answer."""
        raise_file_limit()
        sockets = listening_sockets(self.host, self.port)
        self.port = sockets[0].getsockname()[1]
        try:
            self._grpc = build_grpc_server(self.service)
            self._bind_grpc()
            await self.repository.refresh()
            self._check_loaded()
            await self._grpc.start()
            await self._start_rest(sockets)
        except BaseException:
            for found in sockets:
                found.close()
            raise
        self._watching = asyncio.ensure_future(self.repository.watch())
        # What is alive by now stays: without it, the collector's full passes take milliseconds, not tenths of seconds.
        gc.collect()
        gc.freeze()

    async def stop(self, grace=GRACE_SECONDS):
        """Take no more requests, answer those that are here, and let go of everything."""
        self.service.stopping = True
        if self._watching:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
        ends = [self._grpc.stop(grace)] if self._grpc else []
        if self._runner:
            ends.append(self._runner.cleanup())
        await asyncio.gather(*ends)
        self._batcher.close()
        self.repository.close()

    def _bind_grpc(self):
        address = f"[{self.host}]" if ":" in self.host else self.host
        try:
            port = self._grpc.add_insecure_port(f"{address}:{self.grpc_port}")
        except RuntimeError as error:
            raise in_use(self.host, self.grpc_port, "--grpc-port") from error
        if not port:
            raise in_use(self.host, self.grpc_port, "--grpc-port")
        self.grpc_port = port

    def _check_loaded(self):
        for name in self.repository.names:
            try:
                self.repository.get(name)
            except Exception as error:
                try:
                    states = self.repository.states(name)
                    why = "; ".join(f"version {version}: {found.message}" for version, _, found in states if found)
                except Exception:
                    why = "there is no version of it on disk"
                raise ArtifactError(f"the model {name} cannot be served. {why}") from error

    async def _start_rest(self, sockets):
        web = require("aiohttp.web", "kbs serve")
        logging.getLogger("aiohttp.server").addFilter(_in_one_line)
        seconds = self.service.limits.read_seconds
        self._runner = web.AppRunner(
            build_app(self.service),
            access_log=None,
            handler_cancellation=True,  # a client that has gone costs no run
            keepalive_timeout=seconds,
            lingering_time=min(10.0, seconds),  # for the rest of a body that was refused
            shutdown_timeout=GRACE_SECONDS,
        )
        await self._runner.setup()
        for found in sockets:
            await web.SockSite(self._runner, found, backlog=BACKLOG).start()


def _in_one_line(record):
    """Log what a client sent that is no HTTP in one line: the fault is none of ours."""
    error = record.exc_info[1] if record.exc_info else None
    web, faults = (require(f"aiohttp.{name}", "kbs serve") for name in ("web", "http_exceptions"))
    if isinstance(error, (web.RequestPayloadError, faults.HttpProcessingError)):
        record.msg, record.args, record.exc_info = f"{record.getMessage()}: {' '.join(str(error).split())}", (), None
    return True


def _load(name, version, path):
    servable = Servable(name, version, path)
    try:
        warm_up(servable, path)
    except BaseException:
        servable.close()
        raise
    return servable


def _cpus():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

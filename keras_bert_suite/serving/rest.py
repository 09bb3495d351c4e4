"""The REST API of TF Serving, health and metrics, over a `Service`."""

import asyncio
import re
from urllib.parse import unquote

from keras_bert_suite.errors import require
from keras_bert_suite.serving.examples import examples_from_json
from keras_bert_suite.serving.json_answers import write_classes, write_columns, write_numbers, write_rows
from keras_bert_suite.serving.json_requests import parse_body, read_inputs
from keras_bert_suite.serving.protos import metadata_message, status_message, to_json
from keras_bert_suite.serving.signature import DEFAULT_SIGNATURE
from keras_bert_suite.serving.status import StatusError

__all__ = ["build_app"]

MODEL = r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?"
INFERENCE = re.compile(MODEL + r":(classify|regress|predict)", re.IGNORECASE | re.ASCII)
ABOUT = re.compile(MODEL + r"(/metadata)?", re.IGNORECASE | re.ASCII)

#: What a body may be compressed with.
ENCODINGS = ("gzip", "deflate", "identity")

#: Values from which reading or writing JSON is moved off the event loop.
LARGE_BYTES = 64 << 10
LARGE_VALUES = 10_000


def build_app(service):
    """Return the `aiohttp.web.Application` of a `Service`."""
    web = require("aiohttp.web", "kbs serve")
    api = _Api(service, web)
    # What a handler reads is bounded by `Limits`, with a message of its own.
    refuse = web.middleware(lambda request, handler: api.refuse(request, handler))
    app = web.Application(client_max_size=0, middlewares=[refuse])
    app.router.add_get("/healthz", api.health)
    app.router.add_get("/metrics", api.metrics)
    app.router.add_get("/monitoring/prometheus/metrics", api.metrics)
    app.router.add_route("*", "/{path:(?i:v1)/.*}", api.answer)
    return app


class _Api:
    def __init__(self, service, web):
        self.service = service
        self.web = web

    async def refuse(self, request, handler):
        """Give what aiohttp refuses by itself, such as an unknown path, the body that all errors have."""
        try:
            return await handler(request)
        except self.web.HTTPException as error:
            response = self._json(
                {"error": f"{error.reason}: {request.method} {request.rel_url.raw_path}"}, error.status
            )
            if "Allow" in error.headers:
                response.headers["Allow"] = error.headers["Allow"]
            return response

    async def health(self, request):
        """200 while every model answers; 503 otherwise, and while the server stops."""
        ready = self.service.repository.ready and not self.service.stopping
        state = "stopping" if self.service.stopping else "ok" if ready else "loading"
        return self._json({"status": state, "models": self.service.repository.names}, 200 if ready else 503)

    async def metrics(self, request):
        page, kind = self.service.metrics.page()
        return self.web.Response(body=page, headers={"Content-Type": kind})

    async def answer(self, request):
        """Answer any path below /v1/ as the stock server does: what is malformed is a 400."""
        path = request.rel_url.raw_path
        try:
            if request.method == "POST" and (found := INFERENCE.fullmatch(path)):
                name, version, label, method = found.groups()
                with self.service.call(method.lower(), "rest") as call:
                    return self._response(await self._infer(call, request, *_named(name, version, label)))
            if request.method == "GET" and (found := ABOUT.fullmatch(path)):
                name, version, label, metadata = found.groups()
                with self.service.call("metadata" if metadata else "status", "rest") as call:
                    return self._about(call, *_named(name, version, label), metadata)
            if request.method == "GET" and re.fullmatch(r"/v1/models/?", path, re.IGNORECASE):
                raise StatusError("INVALID_ARGUMENT", "Missing model name in request.")
            raise StatusError("INVALID_ARGUMENT", f"Malformed request: {request.method} {path}")
        except StatusError as error:
            response = self._json({"error": error.message}, error.http)
            if error.code == "UNAVAILABLE":
                response.headers["Retry-After"] = "1"
            return response

    async def _infer(self, call, request, name, version, label):
        with self.service.model(call, name, version, label) as servable:
            body = await self._read(request, call.add_bytes)
            parsed = await _off_loop(len(body) > LARGE_BYTES, parse_body, body)
            name = parsed.get("signature_name")
            if call.method == "classify":
                return write_classes(await self.service.classify(call, servable, name, examples_from_json(parsed)))
            if call.method == "regress":
                return write_numbers(await self.service.regress(call, servable, name, examples_from_json(parsed)))
            signature = servable.signature(name or DEFAULT_SIGNATURE)
            if not signature.inputs:
                raise StatusError("INVALID_ARGUMENT", f"Failed to get input map for signature: {signature.name}")
            inputs, rows = await _off_loop(len(body) > LARGE_BYTES, read_inputs, parsed, signature)
            outputs = await self.service.predict(call, servable, signature, inputs)
            large = sum(array.size for array in outputs.values()) > LARGE_VALUES
            return await _off_loop(large, write_rows if rows else write_columns, outputs)

    def _about(self, call, name, version, label, metadata):
        if metadata:
            with self.service.model(call, name, version, label) as servable:
                return self._json(to_json(metadata_message(servable)))
        states = self.service.repository.states(name, version)
        call.model = name
        return self._json(to_json(status_message(states)))

    async def _read(self, request, add_bytes):
        """Return the body; too large, too slow, broken off and badly compressed ones each have an answer."""
        limits, chunks, size = self.service.limits, [], 0
        most = limits.max_body_bytes
        too_large = StatusError(
            "RESOURCE_EXHAUSTED",
            f"the body is larger than {most} bytes. Send several requests, or start the server with --max-body-mb",
            http=413,
        )
        if (request.content_length or 0) > most:
            raise too_large
        if (encoding := request.headers.get("Content-Encoding", "identity").lower()) not in ENCODINGS:
            raise StatusError(
                "INVALID_ARGUMENT", f"Content-Encoding must be {' or '.join(ENCODINGS)}. Received: {encoding}", http=415
            )
        try:
            async with asyncio.timeout(limits.read_seconds):
                async for chunk in request.content.iter_any():
                    size += len(chunk)
                    if size > most:
                        raise too_large
                    add_bytes(len(chunk))
                    chunks.append(chunk)
        except TimeoutError as error:
            request.protocol.keep_alive(False)
            raise StatusError(
                "DEADLINE_EXCEEDED", f"the body did not arrive within {limits.read_seconds:g} seconds", http=408
            ) from error
        except (self.web.RequestPayloadError, ValueError) as error:
            raise StatusError("INVALID_ARGUMENT", f"the body cannot be read: {error}") from error
        return b"".join(chunks)

    def _response(self, body):
        return self.web.Response(body=body, content_type="application/json")

    def _json(self, value, status=200):
        return self.web.json_response(value, status=status)


def _named(name, version, label):
    """Return name, version and label as written in a path, decoded."""
    if version is not None and int(version) >= 1 << 63:
        raise StatusError("INVALID_ARGUMENT", f"Failed to convert version: {version[:40]} to numeric.")
    return unquote(name), None if version is None else int(version), None if label is None else unquote(label)


async def _off_loop(large, function, *arguments):
    """Call a function, in a thread where it takes long enough to hold up other clients."""
    if large:
        return await asyncio.to_thread(function, *arguments)
    return function(*arguments)

"""What Prometheus is told."""

from keras_bert_suite.errors import require

__all__ = ["Metrics"]

#: Upper bounds in seconds: a short text on a small model to a long queue.
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)

#: The label of what a client asked for and is not there, so that no client can make new time series.
UNKNOWN = "unknown"


class Metrics:
    """Counters of one server, in a registry of their own."""

    def __init__(self):
        self._prometheus = prometheus = require("prometheus_client", "kbs serve")
        self.registry = prometheus.CollectorRegistry()
        prometheus.ProcessCollector(registry=self.registry)
        self.requests = prometheus.Counter(
            "kbs_serving_requests",
            "Requests answered, by canonical status code.",
            ["model", "signature", "method", "protocol", "code"],
            registry=self.registry,
        )
        self.seconds = prometheus.Histogram(
            "kbs_serving_request_seconds",
            "Time from the request's head to its answer.",
            ["model", "method", "protocol"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.batch_rows = prometheus.Histogram(
            "kbs_serving_batch_rows", "Rows of a run of the model.", buckets=ROWS, registry=self.registry
        )
        self._gauge = lambda name, text: prometheus.Gauge(name, text, registry=self.registry)

    def watch(self, batcher, admission):
        """Report the queue's length, and the requests and bytes in the server."""
        self._gauge("kbs_serving_queue_requests", "Requests that wait for a run.").set_function(lambda: batcher.waiting)
        self._gauge("kbs_serving_inside_requests", "Requests being read, waiting or running.").set_function(
            lambda: admission.requests
        )
        self._gauge("kbs_serving_inside_bytes", "Bytes of the bodies of those requests.").set_function(
            lambda: admission.bytes
        )

    def record(self, call, protocol, code, seconds):
        """Count one answered call.

        Args:
            call: `Call`. Its model and signature are those found, not those asked for.
            protocol: `"rest"` or `"grpc"`.
            code: str. Canonical status code.
            seconds: float.
        """
        model, signature = call.model or UNKNOWN, call.signature or UNKNOWN
        self.requests.labels(model, signature, call.method, protocol, code).inc()
        self.seconds.labels(model, call.method, protocol).observe(seconds)

    def page(self):
        """Return the page as bytes, and its content type."""
        return self._prometheus.generate_latest(self.registry), self._prometheus.CONTENT_TYPE_LATEST

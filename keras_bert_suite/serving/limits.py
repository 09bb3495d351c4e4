"""What a server accepts: sizes of one request, and how much may wait at a time."""

import contextlib
import dataclasses

from keras_bert_suite.errors import check_positive_int
from keras_bert_suite.serving.status import StatusError

__all__ = ["Admission", "Limits"]


@dataclasses.dataclass(frozen=True)
class Limits:
    """Bounds of a server.

    Args:
        max_body_bytes: int. Bytes of a request body, after decompression, and of a gRPC message.
        max_batch_rows: int. Rows (texts) of one request.
        max_text_bytes: int. Bytes of one string.
        max_waiting: int. Requests that are read, waiting or running at a time.
        max_waiting_bytes: int. Bytes of their bodies together.
        read_seconds: float. Seconds that a client may take to send a body, or to send the next request.
    """

    max_body_bytes: int = 4 << 20
    max_batch_rows: int = 256
    max_text_bytes: int = 1 << 20
    max_waiting: int = 16384
    max_waiting_bytes: int = 256 << 20
    read_seconds: float = 30.0

    def __post_init__(self):
        sizes = {name: value for name, value in dataclasses.asdict(self).items() if name != "read_seconds"}
        check_positive_int("Limits", **sizes)
        if not self.read_seconds > 0:
            raise ValueError(f"Limits: read_seconds must be above 0. Received: read_seconds={self.read_seconds}.")

    def check_inputs(self, inputs):
        """Raise `StatusError` if arrays have too many rows or too long strings.

        Args:
            inputs: dict from name to array; strings are bytes in object arrays.
        """
        for name, array in inputs.items():
            rows = array.shape[0] if array.ndim else 1
            if rows > self.max_batch_rows:
                raise StatusError(
                    "INVALID_ARGUMENT",
                    f"input {name!r} has {rows} rows; this server takes at most {self.max_batch_rows} in a request. "
                    "Send several requests",
                )
            if array.dtype.kind == "O":
                longest = max(map(len, array.ravel()), default=0)
                if longest > self.max_text_bytes:
                    raise StatusError(
                        "INVALID_ARGUMENT",
                        f"input {name!r} has a string of {longest} bytes; this server takes at most "
                        f"{self.max_text_bytes}. Send a shorter text",
                    )


class Admission:
    """Counts the requests that are in the server and the bytes they hold. For one event loop.

    Args:
        limits: `Limits`.
    """

    def __init__(self, limits):
        self.limits = limits
        self.requests = 0
        self.bytes = 0

    @contextlib.contextmanager
    def enter(self):
        """Hold a place for the block; yields a function that adds bytes to it.

        Raises:
            StatusError: UNAVAILABLE, when there is no place or the bytes are too many.
        """
        if self.requests >= self.limits.max_waiting:
            raise StatusError("UNAVAILABLE", f"overloaded: {self.requests} requests are waiting. Try again later")
        held = 0

        def add(size):
            nonlocal held
            held += size
            self.bytes += size
            if self.bytes > self.limits.max_waiting_bytes:
                raise StatusError("UNAVAILABLE", f"overloaded: {self.bytes} bytes are waiting. Try again later")

        self.requests += 1
        try:
            yield add
        finally:
            self.requests -= 1
            self.bytes -= held

"""JSON over HTTP, asked again when a server is overloaded or a connection breaks."""

import http.client
import json
import threading
import time
import urllib.parse

__all__ = ["ServerError", "Transport"]

#: Seconds before the first retry, and the longest wait; it doubles in between.
FIRST_WAIT, LONGEST_WAIT = 0.1, 2.0


class ServerError(OSError):
    """A server refused a request, or could not be reached.

    Args:
        message: str.
        status: optional int. The HTTP status of the answer.
    """

    def __init__(self, message, status=None):
        super().__init__(message)
        self.status = status


class Transport:
    """Connections to one server that stay open, one for each thread.

    Args:
        url: str. `http://HOST:PORT`, whatever follows.
        timeout: float. Seconds to wait for an answer.
        retries: int. How often a request is sent again.
    """

    def __init__(self, url, timeout, retries):
        self._local = threading.local()
        self.url = url
        self._parts = urllib.parse.urlsplit(url)
        self._timeout, self._retries = timeout, retries

    def ask(self, method, path, body=None):
        """Send a request until it is answered.

        Args:
            method: `"GET"` or `"POST"`.
            path: str, from the host on.
            body: optional JSON value.
        Returns:
            The JSON of the answer.
        Raises:
            ServerError: if the server refuses, or does not answer.
        """
        data = None if body is None else json.dumps(body).encode("utf-8")
        wait = FIRST_WAIT
        for attempt in range(self._retries + 1):
            try:
                status, answer = self._send(method, path, data)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                failure = ServerError(f"{self.url}: no answer from the server: {error or type(error).__name__}")
                if isinstance(error, TimeoutError):  # It may be at work on it still.
                    raise failure from error
            else:
                if status == 200:
                    return _parsed(answer, self.url)
                failure = ServerError(f"{self.url}: {_message(answer)} (HTTP {status})", status)
                if status != 503:
                    raise failure
            if attempt < self._retries:
                time.sleep(wait)
                wait = min(2 * wait, LONGEST_WAIT)
        raise failure

    def _send(self, method, path, data):
        connection = getattr(self._local, "connection", None)
        if connection is None:
            kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
            connection = self._local.connection = kind(self._parts.hostname, self._parts.port, timeout=self._timeout)
        connection.request(method, path, data, {"Content-Type": "application/json"} if data else {})
        with connection.getresponse() as response:
            return response.status, response.read()

    def close(self):
        """Close this thread's connection; the next request opens another."""
        connection = self._local.__dict__.pop("connection", None)
        if connection is not None:
            connection.close()

    __del__ = close


def _parsed(answer, url):
    try:
        return json.loads(answer)
    except ValueError as error:
        raise ServerError(f"{url}: the answer is not JSON: {answer[:80]!r}") from error


def _message(answer):
    """Return the message of an error's body, whoever wrote it."""
    try:
        return json.loads(answer)["error"]
    except (ValueError, KeyError, TypeError):
        return answer[:200].decode("utf-8", errors="replace").strip() or "no message"

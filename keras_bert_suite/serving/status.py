"""The one error type of the server: a canonical status code, and what REST makes of it."""

__all__ = ["HTTP_STATUS", "StatusError", "explained"]

#: Canonical code -> HTTP status, as TF Serving maps them. The order is that of the code's numbers.
HTTP_STATUS = {
    "OK": 200,
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}

CODES = list(HTTP_STATUS)

#: Characters of a message that are sent; TF Serving cuts at the same length.
LONGEST_MESSAGE = 1024


class StatusError(Exception):
    """A request that cannot be answered.

    Args:
        code: str. Name of a canonical status code, e.g. `"INVALID_ARGUMENT"`.
        message: str. What is wrong, for the client.
        http: optional int. HTTP status where it is another than the code's.
    """

    def __init__(self, code, message, http=None):
        super().__init__(message)
        self.code = code
        self.http = http or HTTP_STATUS[code]
        self.message = message if len(message) <= LONGEST_MESSAGE else message[:LONGEST_MESSAGE] + "...TRUNCATED"


def explained(error):
    """Return the `StatusError` for an exception that a session raised.

    TensorFlow's errors carry a canonical code; a `ValueError` or `TypeError` is
    what its Python side says of a value that does not fit a placeholder.
    """
    if isinstance(error, StatusError):
        return error
    number = getattr(error, "error_code", None)
    if isinstance(number, int) and 0 < number < len(CODES):
        # One line tells the cause; before it is a heading, after it a listing of graph nodes.
        lines = [line.strip() for line in str(getattr(error, "message", None) or error).splitlines() if line.strip()]
        cause = next((line for line in lines if not line.startswith("Graph execution error")), type(error).__name__)
        return StatusError(CODES[number], cause)
    if isinstance(error, (ValueError, TypeError)):
        return StatusError("INVALID_ARGUMENT", str(error))
    if isinstance(error, MemoryError):
        return StatusError("RESOURCE_EXHAUSTED", "the request needs more memory than there is")
    return StatusError("INTERNAL", f"{type(error).__name__}: {error}")

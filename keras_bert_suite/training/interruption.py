"""A request to stop, from a scheduler or from Ctrl-C, that waits until it suits the training."""

import contextlib
import signal
import threading

__all__ = ["noted_signals"]


@contextlib.contextmanager
def noted_signals():
    """Note SIGTERM, and the first SIGINT, instead of obeying at once.

    Outside the main thread, where Python lets no one handle signals, nothing
    is noted. What nobody answered to with `TrainingInterrupted` is obeyed at
    the end of the block.

    Yields:
        list of the signals' numbers, empty as long as none came.
    """
    noted = []
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    handlers = {number: signal.getsignal(number) or signal.SIG_DFL for number in (signal.SIGTERM, signal.SIGINT)}

    def note(number, frame):
        noted.append(number)
        if number == signal.SIGINT:
            signal.signal(number, handlers[number])  # a second Ctrl-C does not wait

    for number in handlers:
        signal.signal(number, note)
    try:
        yield noted
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if noted:
        signal.raise_signal(noted[0])

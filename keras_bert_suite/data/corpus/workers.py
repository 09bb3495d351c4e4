"""The same work for each of many things, in this process or in several."""

import contextlib
import multiprocessing
import os
import signal
import threading
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait as wait_for_any

__all__ = ["completed"]

_work = None


def completed(things, work, workers=1, start_method="spawn"):
    """Yield what `work` returns for each thing, as soon as it is done.

    Only a few things are taken ahead of the work, so `things` may be endless.

    Args:
        things: iterable.
        work: function of one thing. With several workers it, the things and the results must pickle.
        workers: int. 1 works in this process.
        start_method: of `multiprocessing`.
    Yields:
        results, in any order.
    Raises:
        MemoryError: if a worker was killed.
    """
    if workers == 1:
        yield from map(work, things)
        return
    context = multiprocessing.get_context(start_method)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(work,))
    waiting = set()
    try:
        for thing in things:
            with _uninterrupted():
                waiting.add(pool.submit(_run, thing))
            if len(waiting) > workers + 1:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
    except BrokenProcessPool as error:
        raise MemoryError(
            "a worker was ended from outside, most often because memory ran out. Run the same command again to go "
            f"on, with fewer than {workers} workers if it was the memory."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _uninterrupted():
    """Put signals off, so that no worker is half started; one that is started never gets Ctrl-C, its parent does."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(work):
    """Get a worker ready; it ends when its parent does."""
    global _work
    _work = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    os.environ["RAYON_NUM_THREADS"] = "1"  # Of tokenizers: there is a worker for each core.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent():
    wait_for_any([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _run(thing):
    return _work(thing)

"""Memory that a computation frees and takes again, batch after batch."""

import contextlib
import ctypes
import os
import sys
import threading

import keras

__all__ = ["freed_memory_kept"]

# Options of glibc's mallopt, numbered as in malloc.h: when free memory goes back, how much is taken beyond what is
# asked for, and how many blocks may be mappings of their own, which always go back. First those we set, then its own.
_KEEPING = {"M_TRIM_THRESHOLD": (-1, -1), "M_TOP_PAD": (-2, 64 * 2**20), "M_MMAP_MAX": (-4, 0)}
_USUAL = {"M_TRIM_THRESHOLD": (-1, 128 * 2**10), "M_TOP_PAD": (-2, 128 * 2**10), "M_MMAP_MAX": (-4, 65536)}

_lock = threading.Lock()
_users = 0


@contextlib.contextmanager
def freed_memory_kept():
    """Keep what PyTorch and JAX free on a CPU for their next batch, instead of giving it back to Linux at once.

    They take each array from the C library, which returns large ones as soon as
    they are freed; the pages of the next are then fetched and cleared anew. With
    rows of 384 tokens that is up to half of the time of a training step. What is
    free at the end of the block goes back. Where another C library or allocator
    is at work, or `MALLOC_...` or `GLIBC_TUNABLES` are set, nothing changes.

    Example:
    >>> with freed_memory_kept():
    ...     total = np.ones(10).sum()
    """
    library = _glibc()
    if library is None:
        yield
        return
    _count(library, 1)
    try:
        yield
    finally:
        _count(library, -1)


def _count(library, change):
    """Note one user more or less; the first sets the options, the last sets them back."""
    global _users
    with _lock:
        before, _users = _users, _users + change
        if not before or not _users:
            for option, value in (_KEEPING if _users else _USUAL).values():
                library.mallopt(option, value)
        if not _users:
            library.malloc_trim(0)


def _glibc():
    """Return the C library, or None where there is nothing to set or nothing to gain."""
    chosen = any(name == "GLIBC_TUNABLES" or name.startswith("MALLOC_") for name in os.environ)
    if sys.platform != "linux" or keras.backend.backend() == "tensorflow" or chosen:
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") else None

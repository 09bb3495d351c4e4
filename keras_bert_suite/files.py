"""Writing files and directories so that nothing is ever left half-written.

What is written goes to a temporary sibling first and takes its final name only
when it is whole; an exception or Ctrl-C removes the temporary.
"""

import contextlib
import errno
import json
import os
import shutil
import tempfile
from pathlib import Path

__all__ = [
    "check_free",
    "emptied",
    "exchange",
    "only_process",
    "replaced_directory",
    "replaced_file",
    "write_json_lines",
]


#: How each error of this file begins.
UNWRITABLE = "cannot write"


def _temporary_name(path):
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
    except OSError as error:
        raise _cannot_write(path, error) from error


@contextlib.contextmanager
def _explained(path):
    """Re-raise an `OSError` without a file name (a full disk) with the path it concerns."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or str(error.strerror).startswith(UNWRITABLE):
            raise
        raise _cannot_write(path, error) from error


@contextlib.contextmanager
def replaced_file(path, mode="w", encoding="utf-8"):
    """Open a file that appears under `path` only when the block ends well.

    Args:
        path: str or path. The final name; its folder is made when absent.
        mode: `"w"` or `"wb"`.
    Yields:
        The open file object.
    """
    path = Path(path)
    temporary = _temporary_name(path)
    try:
        with _explained(path):
            with open(
                temporary / path.name, mode, **({} if "b" in mode else {"encoding": encoding, "newline": "\n"})
            ) as file:
                yield file
            os.replace(temporary / path.name, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_json_lines(path, rows):
    """Write each of some JSON values on a line of its own; the file appears when all are written.

    Args:
        path: str or path.
        rows: iterable.
    Returns:
        int. Lines written.
    """
    count = 0
    with replaced_file(path) as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count


@contextlib.contextmanager
def replaced_directory(path, overwrite=False):
    """Yield a temporary directory that becomes `path` only when the block ends well.

    Args:
        path: str or path. The final directory.
        overwrite: bool. Whether a directory already there may be replaced;
            an empty one always may.
    Yields:
        `pathlib.Path` of the temporary directory, on the same file system.
    Raises:
        FileExistsError: if `path` holds anything and `overwrite` is false.
    """
    path = Path(path)
    check_free(path, overwrite)
    temporary = _temporary_name(path)
    written = temporary / path.name
    try:
        with _explained(path):
            written.mkdir()
            yield written
        check_free(path, overwrite)  # Something may have appeared there meanwhile.
        with _explained(path):
            exchange(written, path, aside=temporary / "replaced")
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def only_process(directory):
    """Make a directory, and keep other processes that ask for it out of it until the block ends.

    Where the file system has no locks, or on Windows, nobody is kept out.

    Args:
        directory: str or path.
    Raises:
        BlockingIOError: if another process is in it.
    """
    Path(directory).mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:
        yield
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            message = f"another process is writing to {directory}. Wait for it, stop it, or choose another output"
            raise BlockingIOError(error.errno, message) from None
        except OSError:  # no locks here
            pass
        yield
    finally:
        os.close(handle)


def emptied(directory):
    """Remove all that is in a directory, but not itself."""
    for path in Path(directory).iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def exchange(written, path, aside):
    """Give the directory `written` the name `path`; what was there goes `aside`, or stays if that fails.

    Args:
        written, path, aside: paths on one file system; the last must be absent.
    """
    if path.exists():
        os.replace(path, aside)
    try:
        os.replace(written, path)
    except BaseException:
        if aside.exists():
            os.replace(aside, path)
        raise


def check_free(path, overwrite=False, room=0):
    """Raise unless a directory can be written at `path`, before any work is done for it.

    Args:
        path: str or path. Must be absent, empty, or `overwrite`.
        overwrite: bool. Whether a directory already there may be replaced.
        room: int. Bytes that will be written.
    Raises:
        OSError: naming the path, and what stands in the way.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise FileExistsError(f"{path} is a file; an output directory is needed. Choose another path.")
    if path.is_dir() and not overwrite and any(path.iterdir()):
        raise FileExistsError(
            f"{path} already exists and is not empty. Choose another path, remove it, or overwrite it."
        )
    existing = next(parent for parent in (path.absolute(), *path.absolute().parents) if parent.exists())
    try:
        shutil.rmtree(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=existing))
    except OSError as error:
        raise _cannot_write(path, error) from error
    free = shutil.disk_usage(existing).free
    if free < room:
        raise OSError(
            errno.ENOSPC,
            f"{UNWRITABLE} {path}: it needs {room / 1e6:.1f} MB, and the disk has {free / 1e6:.1f} MB left. "
            "Free some space, or choose another path",
        )


def _cannot_write(path, error):
    return OSError(
        error.errno,
        f"{UNWRITABLE} {path}: {error.strerror or error}. Choose another path, or give it space and permissions",
    )

"""Memory freed while computing stays with the process, and only then."""

import json
import os
import subprocess
import sys

import keras
import pytest

pytestmark = [pytest.mark.per_backend, pytest.mark.skipif(sys.platform != "linux", reason="sets options of glibc")]

#: Of a process of its own, as what a long one did before decides which arena its blocks come from.
SCRIPT = """
import contextlib, ctypes, json, os
from keras_bert_suite.training import freed_memory_kept
from keras_bert_suite.training.memory import _glibc

NAMES = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()

class Mallinfo2(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in NAMES]

library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p

def takes_a_mapping():
    # Whether a large block, for which nothing that is free would do, is a mapping of its own.
    library.mallinfo2.restype = Mallinfo2
    before, free = library.mallinfo2().hblks, library.mallinfo2().fordblks
    block = library.malloc(ctypes.c_size_t(free + 40 * 2**20))
    mapped = library.mallinfo2().hblks > before
    library.free(ctypes.c_void_p(block))
    return mapped

found = {"glibc": hasattr(library, "mallinfo2"), "sets": _glibc() is not None}
if found["glibc"]:
    found["before"] = takes_a_mapping()
    with freed_memory_kept():
        found["inside"] = takes_a_mapping()
        with freed_memory_kept():
            found["twice inside"] = takes_a_mapping()
        found["inside again"] = takes_a_mapping()
        blocks = [ctypes.c_void_p(library.malloc(ctypes.c_size_t(size * 2**20))) for size in (64, 1)]
        library.free(blocks[0])  # a hole in the heap
    found["after"] = takes_a_mapping()
    with contextlib.suppress(KeyError), freed_memory_kept():
        raise KeyError
    found["after an error"] = takes_a_mapping()
    for name in ("MALLOC_ARENA_MAX", "GLIBC_TUNABLES"):
        os.environ[name] = "2"
        with freed_memory_kept():
            found[name] = takes_a_mapping()
        del os.environ[name]
print("FOUND", json.dumps(found))
"""


@pytest.fixture(scope="module")
def found():
    """Whether a large block was a mapping of its own, by where it was asked for."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.rpartition("FOUND")[2])
    if not found["glibc"]:
        pytest.skip("another C library")
    return found


def test_large_blocks_come_from_the_heap_inside_and_from_mappings_after(found):
    if keras.backend.backend() == "tensorflow":
        pytest.skip("TensorFlow has an allocator of its own")
    assert not any(found[place] for place in ("inside", "twice inside", "inside again"))
    assert found["before"]
    assert found["after"]


def test_an_error_inside_sets_the_options_back(found):
    assert found["after an error"]


@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_options_of_the_user_stay(found, name):
    assert found[name]


def test_nothing_changes_on_tensorflow(found):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("of TensorFlow")
    assert not found["sets"]
    assert found["inside"]

"""Memory freed while computing stays with the process, and only then."""

import ctypes
import sys

import keras
import pytest

from keras_bert_suite.training import freed_memory_kept
from keras_bert_suite.training.memory import _glibc

pytestmark = [pytest.mark.per_backend, pytest.mark.skipif(sys.platform != "linux", reason="sets options of glibc")]


class Mallinfo2(ctypes.Structure):
    """What glibc tells of its allocator; `hblks` counts the blocks that are mappings of their own."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        )
    ]


def takes_a_mapping():
    """Whether a large block is now a mapping of its own; one for which nothing that is free would do."""
    library = ctypes.CDLL(None)
    library.mallinfo2.restype = Mallinfo2
    library.malloc.restype = ctypes.c_void_p
    before, free = library.mallinfo2().hblks, library.mallinfo2().fordblks
    block = library.malloc(ctypes.c_size_t(free + 40 * 2**20))
    mapped = library.mallinfo2().hblks > before
    library.free(ctypes.c_void_p(block))
    return mapped


@pytest.fixture
def no_options(monkeypatch):
    for name in ("GLIBC_TUNABLES", "MALLOC_ARENA_MAX", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_MMAP_MAX_"):
        monkeypatch.delenv(name, raising=False)


def test_large_blocks_come_from_the_heap_inside_and_from_mappings_after(no_options):
    if keras.backend.backend() == "tensorflow":
        pytest.skip("TensorFlow has an allocator of its own")
    if _glibc() is None:
        pytest.skip("another C library")
    with freed_memory_kept():
        assert not takes_a_mapping()
        with freed_memory_kept():
            assert not takes_a_mapping()
        assert not takes_a_mapping()
    assert takes_a_mapping()


def test_a_hole_in_the_heap_is_no_matter(no_options):
    library = ctypes.CDLL(None)
    library.malloc.restype = ctypes.c_void_p
    with freed_memory_kept():
        blocks = [ctypes.c_void_p(library.malloc(ctypes.c_size_t(size * 2**20))) for size in (64, 1)]
        library.free(blocks[0])
    assert takes_a_mapping()
    library.free(blocks[1])


def test_an_error_inside_sets_the_options_back(no_options):
    with pytest.raises(KeyError), freed_memory_kept():
        raise KeyError
    assert takes_a_mapping()


@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_options_of_the_user_stay(no_options, monkeypatch, name):
    monkeypatch.setenv(name, "2")
    with freed_memory_kept():
        assert takes_a_mapping()


def test_nothing_changes_on_tensorflow(no_options):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("of TensorFlow")
    with freed_memory_kept():
        assert takes_a_mapping()

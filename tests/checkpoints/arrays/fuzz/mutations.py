"""Valid tiny files, ways to spoil them, and what must hold of a reader whatever it is given.

A format that guards itself with lengths and checksums would turn away most damage at the
door; so a part of a file is spoiled as well, and lengths and checksums are then made to fit.
"""

import contextlib
import io
import random
import signal
import tracemalloc
import zipfile
from pathlib import Path

from keras_bert_suite.checkpoints.arrays.crc32c import crc32c, mask
from keras_bert_suite.checkpoints.arrays.leveldb_table import TABLE_MAGIC, read_varint, to_block, to_varint
from keras_bert_suite.checkpoints.arrays.safetensors_files import read_safetensors_file
from keras_bert_suite.checkpoints.arrays.tensor_bundle import read_bundle
from keras_bert_suite.checkpoints.arrays.torch_file import read_torch
from keras_bert_suite.errors import CheckpointError

CORPUS = Path(__file__).parent / "corpus"

#: First part of a corpus file's name -> (its reader, the suffix of the file that is given to it).
READERS = {
    "safetensors": (read_safetensors_file, ".safetensors"),
    "torch": (read_torch, ".bin"),
    "bundle": (lambda path: read_bundle(path.with_suffix("")), ".index"),
}
BUNDLE_DATA = CORPUS / "bundle.data-00000-of-00001"

#: Seconds and bytes that one small file may cost; the bytes are beside 64 for each of its own.
MAX_SECONDS = 5
MAX_BYTES = 2_000_000

TOKENS = (
    b"[", b"]", b"{", b"}", b",", b'"', b"-1", b"1e999", b"0", b"18446744073709551616", b"null", b"true", b"\\ud800",
    b'"F64"', b"9" * 5000, b"(", b"t", b"\x85", b"R", b"Q", b"u", b"s", b"a", b"h\0", b"cos\nsystem\n", b"N", b".",
    b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f", b"J\xff\xff\xff\x80", b"\xff" * 9 + b"\x01", b"\xff" * 10, b"\0",
)  # fmt: skip
EXTREMES = (0, 1, 2**7 - 1, 2**8 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)


def valid(name):
    return (CORPUS / name).read_bytes()


def _fitted_safetensors(header):
    return len(header).to_bytes(8, "little") + header + bytes(64)


def _fitted_zip(program):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("m/data.pkl", program)
        for key in range(3):
            archive.writestr(f"m/data/{key}", bytes(48))
    return content.getvalue()


def _fitted_table(block, blocks=None):
    """A table of one block with true checksums; `blocks`, the index of it, may be spoiled too."""

    def closed(content):
        checksum = mask(crc32c(content + b"\0"))
        return content + b"\0" + checksum.to_bytes(4, "little")

    content = closed(block)
    blocks = blocks or to_block([(b"\xff", to_varint(0) + to_varint(len(block)))])
    handle = to_varint(len(content)) + to_varint(len(blocks))
    return content + closed(blocks) + (b"\0\0" + handle).ljust(40, b"\0") + TABLE_MAGIC


def _index_parts():
    """The entries of the valid index, and the index of its block, without trailers."""
    content = valid("bundle-valid.index")
    _, position = read_varint(content, len(content) - 48)
    _, position = read_varint(content, position)
    offset, position = read_varint(content, position)
    size, _ = read_varint(content, position)
    _, _, length = content[offset], content[offset + 1], content[offset + 2]
    handle = content[offset + 3 + content[offset + 1] :][:length]
    start, position = read_varint(handle, 0)
    count, _ = read_varint(handle, position)
    return content[start : start + count], content[offset : offset + size]


def targets():
    """Yield `(reader's name, bytes to spoil, what makes a file of them)`."""
    for kind, name in [
        ("safetensors", "safetensors-valid.safetensors"),
        ("torch", "torch-valid-zip.bin"),
        ("torch", "torch-valid-legacy.bin"),
        ("bundle", "bundle-valid.index"),
    ]:
        yield kind, valid(name), lambda content: content
    content = valid("safetensors-valid.safetensors")
    yield "safetensors", content[8 : 8 + int.from_bytes(content[:8], "little")], _fitted_safetensors
    with zipfile.ZipFile(CORPUS / "torch-valid-zip.bin") as archive:
        pickled = archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))
    yield "torch", pickled, _fitted_zip
    block, blocks = _index_parts()
    yield "bundle", block, _fitted_table
    yield "bundle", blocks, lambda content: _fitted_table(block, content)


def spoil(content, source):
    """Return `content` after one to four changes drawn from `source`, a `random.Random`."""
    content = bytearray(content)
    for _ in range(source.choice((1, 1, 1, 2, 4))):
        if not content:
            break
        start = source.randrange(len(content))
        stop = min(len(content), start + source.choice((1, 2, 4, 8, 32, 200)))
        change = source.randrange(8)
        if change <= 1:
            content[start] ^= 1 << source.randrange(8)
        elif change == 2:
            del content[start:]
        elif change == 3:
            del content[start:stop]
        elif change == 4:
            target = source.randrange(len(content))
            content[target:target] = content[start:stop] * source.choice((1, 1, 50))
        elif change == 5:
            size = source.choice((1, 2, 4, 8))
            order = source.choice(("little", "big"))
            content[start : start + size] = (source.choice(EXTREMES) % 256**size).to_bytes(size, order)
        elif change == 6:
            content[start:stop] = source.choice(TOKENS)
        else:
            content[start:start] = source.choice(TOKENS)
    return bytes(content)


def cases(seed, count):
    """Yield `count` spoiled files as `(reader's name, content)`, the same for the same seed."""
    source = random.Random(seed)
    everything = list(targets())
    for number in range(count):
        kind, content, fitted = everything[number % len(everything)]
        yield kind, fitted(spoil(content, source))


@contextlib.contextmanager
def _time_limit():
    def stop(*_):
        raise TimeoutError(f"a small file took more than {MAX_SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, MAX_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def outcome(kind, content, folder):
    """Read a file of hostile content; returns `None` if it could be read, or the message of the refusal.

    Raises:
        Exception: whatever a reader may not do: another exception, a message that does not
            name the file or is of several lines, much memory, or much time.
    """
    read, suffix = READERS[kind]
    path = folder / f"x{suffix}"
    path.write_bytes(content)
    if kind == "bundle":
        (folder / "x.data-00000-of-00001").write_bytes(BUNDLE_DATA.read_bytes())
    tracemalloc.start()
    try:
        with _time_limit():
            for stored in read(path).values():
                array = stored.read()
                assert (array.shape, array.dtype) == (stored.shape, stored.dtype)
        message = None
    except CheckpointError as error:
        message = str(error)
        assert message.startswith(str(path.with_suffix(""))), message
        assert message.isprintable(), ascii(message)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < MAX_BYTES + 64 * len(content), f"{peak} bytes for a file of {len(content)}"
    return message

"""Hostile files end in one `CheckpointError`, or are read; never anything else, much memory or much time."""

import signal

import pytest

from tests.checkpoints.arrays.fuzz.mutations import BUNDLE_DATA, CORPUS, cases, outcome

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the time limit needs POSIX signals")

FILES = sorted(path for path in CORPUS.iterdir() if path != BUNDLE_DATA)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_corpus(path, tmp_path):
    kind, expected = path.name.split("-")[:2]
    message = outcome(kind, path.read_bytes(), tmp_path)
    assert (message is None) == expected.startswith("valid"), message


@pytest.mark.parametrize("seed", range(4))
def test_fresh_damage(seed, tmp_path):
    messages = [outcome(kind, content, tmp_path) for kind, content in cases(f"test {seed}", 200)]
    assert sum(message is not None for message in messages) > 100


def test_the_corpus_is_small():
    assert len(FILES) > 50
    assert sum(path.stat().st_size for path in CORPUS.iterdir()) < 200_000

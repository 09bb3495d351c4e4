"""`kbs` in this process, and a small model to run it on."""

import logging
import signal

import pytest

from tests.tasks.small import LABELS, examples, small_classifier, write_tsv


@pytest.fixture
def kbs(capsys, monkeypatch):
    """Run `kbs` with these words and return its exit code, standard output and standard error."""
    from keras_bert_suite.cli.main import main

    logger = logging.getLogger("keras_bert_suite")
    before = (list(logger.handlers), logger.level, logger.propagate)
    handler = signal.getsignal(signal.SIGTERM)

    def run(*words):
        code = main([str(word) for word in words])
        return code, *capsys.readouterr()

    yield run
    signal.signal(signal.SIGTERM, handler)
    logger.handlers, logger.level, logger.propagate = before


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A folder with train.tsv and test.tsv."""
    folder = tmp_path_factory.mktemp("data")
    write_tsv(folder / "train.tsv", *examples(24))
    write_tsv(folder / "test.tsv", *examples(9, seed=4))
    return folder


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """The directory of a classifier with random weights."""
    directory = tmp_path_factory.mktemp("model") / "small"
    small_classifier(labels=LABELS, max_length=16, num_layers=1).save_pretrained(directory)
    return directory

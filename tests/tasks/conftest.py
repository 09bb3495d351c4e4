"""One trained classifier and one bare encoder for all tests of tasks."""

import pytest

from tests.tasks.small import examples, small_classifier


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Matrices this small only wait for each other on several threads of PyTorch."""
    import keras

    if keras.backend.backend() == "torch":
        import torch

        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def trained():
    """A classifier that has learnt its task. Tests must not train it."""
    classifier = small_classifier()
    classifier.compile(learning_rate=5e-3)
    classifier.fit(*examples(240), epochs=8, batch_size=16, seed=1, verbose=0)
    return classifier


@pytest.fixture(scope="session")
def trained_directory(trained, tmp_path_factory):
    directory = tmp_path_factory.mktemp("trained") / "model"
    trained.save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def encoder_directory(tmp_path_factory):
    """A checkpoint without a head."""
    import keras_bert_suite as kbs

    directory = tmp_path_factory.mktemp("encoder") / "model"
    classifier = small_classifier(num_layers=1)
    kbs.save_encoder(classifier.encoder, directory, classifier.tokenizer)
    return directory

"""A tiny classifier with random weights, and what an export makes of it; written once a session."""

import pytest

WORDS = """
the a order is late where my parcel i want to cancel change address please thanks refund not good bad
"""
LABELS = ["cancel", "größe", "where is it"]
LITERT_LENGTH = 24


def make_task(pair=False, dtype=None, lowercase=True):
    """A `TextClassifier` small enough to export in seconds, with a head that decides."""
    import keras

    import keras_bert_suite as kbs

    keras.utils.set_random_seed(1)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    vocab = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *WORDS.split(),
        *".,!?'-",
        *letters,
        *(f"##{c}" for c in letters),
    ]
    vocab = list(dict.fromkeys(vocab))
    config = kbs.EncoderConfig(
        vocabulary_size=len(vocab),
        num_layers=2,
        hidden_dim=12,
        num_heads=3,
        intermediate_dim=20,
        max_length=64,
        initializer_range=0.3,
    )
    encoder = kbs.models.build_encoder(config, dtype=dtype)
    tokenizer = kbs.WordPieceTokenizer(vocab, lowercase=lowercase)
    return kbs.TextClassifier(encoder, tokenizer, labels=LABELS, max_length=48, pair=pair)


@pytest.fixture(scope="session")
def task():
    return make_task()


@pytest.fixture(scope="session")
def pair_task():
    """It computes in bfloat16, as after mixed-precision training; its artifacts are float32."""
    return make_task(pair=True, dtype="mixed_bfloat16")


@pytest.fixture(scope="session")
def exported(task, tmp_path_factory):
    """The directory and report of one export of everything."""
    from keras_bert_suite.export import FORMATS

    directory = tmp_path_factory.mktemp("export") / "all formats"
    report = task.export(directory, formats=FORMATS, litert_length=LITERT_LENGTH, progress=False)
    return directory, report


@pytest.fixture(scope="session")
def exported_pairs(pair_task, tmp_path_factory):
    """The directory and report of a model of pairs."""
    directory = tmp_path_factory.mktemp("export") / "pairs"
    report = pair_task.export(directory, formats=["saved_model", "litert"], max_length=32, progress=False)
    return directory, report


@pytest.fixture
def texts():
    return ["Where is my order?", "cancel the parcel, please", "I want a refund!"]

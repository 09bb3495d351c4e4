"""A tiny classifier with random weights, and what an export makes of it; written once a session."""

import importlib

import numpy as np
import pytest

WORDS = """
the a order is late where my parcel i want to cancel change address please thanks refund not good bad it was
"""
LABELS = ["cancel", "größe", "where is it"]
TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
LITERT_LENGTH = 24
#: What every environment that exports can write; others need more, or only round the weights in other ways.
WRITTEN = ("saved_model", "litert", "litert-int8", "onnx")


#: One tiny task of each kind, by name: its class and what its constructor takes.
KINDS = {
    "single label": ("TextClassifier", {"labels": LABELS}),
    "several labels": (
        "TextClassifier",
        {"labels": LABELS, "problem_type": "multi_label_classification", "thresholds": [0.3, 0.5, 0.6]},
    ),
    "regression": ("TextClassifier", {"labels": ["score"], "problem_type": "regression"}),
    "pairs": ("TextClassifier", {"labels": LABELS, "pair": True}),
    "relations": ("RelationClassifier", {"labels": LABELS}),
    "few-shot": ("FewShotClassifier", {"labels": LABELS}),
    "prompt": ("PromptClassifier", {"words": {"yes": "good", "no": ["bad", "late"]}}),
    "tags": ("TokenClassifier", {"labels": TAGS}),
    "tags with a field": ("TokenClassifier", {"labels": TAGS, "crf": True}),
    "questions": ("QuestionAnswerer", {}),
    "choices": ("MultipleChoice", {}),
    "embeddings": ("TextEmbedder", {}),
    "fill-mask": ("MaskedLM", {}),
}
MODULES = {
    "TextClassifier": "text_classifier",
    "RelationClassifier": "relation_classifier",
    "FewShotClassifier": "few_shot",
    "PromptClassifier": "prompt_classifier",
    "TokenClassifier": "token_classifier",
    "QuestionAnswerer": "question_answerer",
    "MultipleChoice": "multiple_choice",
    "TextEmbedder": "text_embedder",
    "MaskedLM": "masked_lm",
}


def make_tokenizer(lowercase=True):
    import keras_bert_suite as kbs

    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = [*special, *WORDS.split(), *".,!?'-", *letters, *(f"##{c}" for c in letters)]
    return kbs.WordPieceTokenizer(list(dict.fromkeys(vocabulary)), lowercase=lowercase)


def make_encoder(tokenizer, dtype=None):
    import keras_bert_suite as kbs

    config = kbs.EncoderConfig(
        vocabulary_size=tokenizer.vocab_size,
        num_layers=2,
        hidden_dim=12,
        num_heads=3,
        intermediate_dim=20,
        max_length=64,
        initializer_range=0.3,
    )
    return kbs.models.build_encoder(config, dtype=dtype)


def make_kind(kind):
    """A task of one of `KINDS`, with random weights, that reads at most 48 tokens."""
    import keras

    from keras_bert_suite import models

    keras.utils.set_random_seed(1)
    name, options = KINDS[kind]
    found = getattr(importlib.import_module(f"keras_bert_suite.tasks.{MODULES[name]}"), name)
    tokenizer = make_tokenizer()
    encoder = make_encoder(tokenizer)
    if name == "TextEmbedder":
        return found(models.build_text_embedder(encoder), tokenizer, max_length=48)
    if name == "MaskedLM":
        return found(models.build_masked_lm(encoder), tokenizer, max_length=48)
    if name == "FewShotClassifier":
        task = found(make_kind("embeddings"), **options)
        rng = np.random.default_rng(0)
        task._set_head(rng.normal(size=(12, 3)).astype("float32"), rng.normal(size=3).astype("float32"))
        return task
    task = found(encoder, tokenizer, max_length=48, **options)
    if options.get("crf"):
        rng = np.random.default_rng(0)
        for weight in task.model.get_layer("crf").weights:
            weight.assign(rng.normal(size=weight.shape).astype("float32"))
    return task


def make_task(pair=False, dtype=None, lowercase=True):
    """A `TextClassifier` small enough to export in seconds, with a head that decides."""
    import keras

    import keras_bert_suite as kbs

    keras.utils.set_random_seed(1)
    tokenizer = make_tokenizer(lowercase)
    return kbs.TextClassifier(make_encoder(tokenizer, dtype), tokenizer, labels=LABELS, max_length=48, pair=pair)


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
    directory = tmp_path_factory.mktemp("export") / "all formats"
    report = task.export(directory, formats=WRITTEN, litert_length=LITERT_LENGTH, progress=False)
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

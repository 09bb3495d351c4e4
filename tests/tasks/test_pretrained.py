"""A saved classifier comes back whole; nothing that is there is overwritten unasked."""

import json
import shutil

import numpy as np
import pytest

import keras_bert_suite as kbs
from keras_bert_suite.config import FAMILIES
from keras_bert_suite.errors import CheckpointError
from tests.support.layer_checks import numpy_of
from tests.support.selection import rarely_all, slow_to_compile
from tests.tasks.small import LABELS, VOCABULARY, examples

TEXTS, NAMES = examples(12, seed=3)


def test_what_is_saved_comes_back(trained, trained_directory):
    loaded = kbs.TextClassifier.from_pretrained(trained_directory)
    assert loaded.labels == trained.labels == LABELS
    assert (loaded.max_length, loaded.pair) == (trained.max_length, False) == (32, False)
    assert np.array_equal(loaded.predict_probabilities(TEXTS), trained.predict_probabilities(TEXTS))


def test_the_directory_says_what_it_holds(trained_directory):
    names = {path.name for path in trained_directory.iterdir()}
    assert names == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt"}
    values = json.loads((trained_directory / "config.json").read_text(encoding="utf-8"))
    assert values["keras_bert_suite"] == {"task": "text-classification", "max_length": 32, "pair": False}
    assert values["id2label"] == {str(index): name for index, name in enumerate(LABELS)}


def test_a_directory_in_use_is_replaced_only_when_asked(trained, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.txt").write_text("keep", encoding="utf-8")
    with pytest.raises(FileExistsError, match=r"model already exists and is not empty"):
        trained.save_pretrained(tmp_path / "model")
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["mine.txt"]
    trained.save_pretrained(tmp_path / "model", overwrite=True)
    assert kbs.TextClassifier.from_pretrained(tmp_path / "model").labels == LABELS
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_model_may_be_saved_over_itself(trained_directory, tmp_path):
    kbs.TextClassifier.from_pretrained(trained_directory).save_pretrained(tmp_path / "model")
    classifier = kbs.TextClassifier.from_pretrained(tmp_path / "model")
    expected = classifier.predict_probabilities(TEXTS)
    classifier.save_pretrained(tmp_path / "model", overwrite=True)
    loaded = kbs.TextClassifier.from_pretrained(tmp_path / "model")
    assert np.array_equal(loaded.predict_probabilities(TEXTS), expected)


def test_without_labels_there_is_nothing_to_save(encoder_directory, tmp_path):
    with pytest.raises(ValueError, match="labels are not known"):
        kbs.TextClassifier.from_pretrained(encoder_directory).save_pretrained(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_other_labels_than_the_heads_are_refused(trained_directory):
    with pytest.raises(CheckpointError, match=r"\['cancel', 'refund', 'track'\].*replace_head=True"):
        kbs.TextClassifier.from_pretrained(trained_directory, labels=["a", "b"])
    assert kbs.TextClassifier.from_pretrained(trained_directory, labels=LABELS).labels == LABELS


def test_a_head_is_replaced_when_asked(trained_directory):
    classifier = kbs.TextClassifier.from_pretrained(trained_directory, labels=["a", "b"], replace_head=True)
    assert classifier.predict_probabilities(TEXTS).shape == (len(TEXTS), 2)
    classifier = kbs.TextClassifier.from_pretrained(trained_directory, replace_head=True)
    assert classifier.labels is None


def test_max_length_may_be_chosen_anew(trained_directory):
    assert kbs.TextClassifier.from_pretrained(trained_directory, max_length=20).max_length == 20


def test_scores_are_those_of_model_evaluate(trained):
    scores = trained.evaluate(TEXTS, NAMES)
    inputs = trained.tokenizer(TEXTS, max_length=trained.max_length)
    expected = trained.evaluate(inputs, np.array([LABELS.index(name) for name in NAMES]))
    assert scores["accuracy"] == pytest.approx(expected["accuracy"], abs=1e-6)
    assert scores["loss"] == pytest.approx(expected["loss"], abs=1e-5)


def test_the_head_of_another_task_is_left_aside(trained_directory, tmp_path):
    shutil.copytree(trained_directory, tmp_path / "tagger")
    path = tmp_path / "tagger" / "config.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**values, "architectures": ["BertForTokenClassification"]}), encoding="utf-8")
    assert kbs.TextClassifier.from_pretrained(tmp_path / "tagger").labels is None


def test_a_vocabulary_that_is_cut_short_is_refused(trained_directory, tmp_path):
    shutil.copytree(trained_directory, tmp_path / "model")
    (tmp_path / "model" / "tokenizer.json").unlink()
    path = tmp_path / "model" / "vocab.txt"
    words = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(words[: len(words) // 2]) + "\n", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"model: the tokenizer has \d+ tokens, the encoder \d+ embeddings"):
        kbs.TextClassifier.from_pretrained(tmp_path / "model")


# Every family


def family_classifier(family, max_length=16):
    """A classifier over a new encoder of a family, all of them with one WordPiece vocabulary."""
    changes = {"embedding_dim": 8} if family in ("albert", "electra") else {}
    config = FAMILIES[family].replace(
        vocabulary_size=len(VOCABULARY),
        num_layers=2,
        hidden_dim=24,
        num_heads=3,
        intermediate_dim=40,
        max_length=40,
        initializer_range=0.1,
        pad_token_id=0,
        **changes,
    )
    return kbs.TextClassifier(
        kbs.models.build_encoder(config), kbs.WordPieceTokenizer(VOCABULARY), max_length=max_length
    )


def fitted(classifier):
    classifier.compile(learning_rate=1e-2, jit_compile=False)
    classifier.fit(TEXTS[:6], NAMES[:6], epochs=1, batch_size=6, seed=3, verbose=0)
    return classifier


def weights_of(classifier):
    return [numpy_of(weight) for weight in classifier.model.weights]


@slow_to_compile
@pytest.mark.parametrize(
    "family", rarely_all(["roberta", "distilbert", "albert", "electra", "modernbert"], "roberta", "modernbert")
)
def test_a_classifier_of_every_family(family, tmp_path):
    """It trains, `transformers` opens what is saved and agrees, and so do we."""
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    first = family_classifier(family)
    kbs.save_encoder(first.encoder, tmp_path / "encoder", first.tokenizer)
    one, other = (fitted(kbs.TextClassifier.from_pretrained(tmp_path / "encoder", max_length=16)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(weights_of(one), weights_of(other), strict=True))
    assert one.labels == LABELS
    scores = one.evaluate(TEXTS, NAMES)
    assert 0 <= scores["accuracy"] <= 1
    assert np.isfinite(scores["loss"])

    one.save_pretrained(tmp_path / "model")
    kind = transformers.AutoModelForSequenceClassification
    theirs, report = kind.from_pretrained(tmp_path / "model", output_loading_info=True, attn_implementation="eager")
    assert not any(report.values()), report
    assert theirs.config.model_type == family
    assert theirs.config.id2label == dict(enumerate(LABELS))
    inputs = one.tokenizer(TEXTS, max_length=16)
    with torch.no_grad():
        expected = theirs.eval()(
            input_ids=torch.tensor(inputs["token_ids"], dtype=torch.long),
            attention_mask=torch.tensor(inputs["padding_mask"], dtype=torch.long),
        ).logits.numpy()
    np.testing.assert_allclose(one.model.predict_on_batch(inputs), expected, rtol=0, atol=1e-5)
    again = kbs.TextClassifier.from_pretrained(tmp_path / "model")
    assert again.labels == LABELS
    assert all(np.array_equal(a, b) for a, b in zip(weights_of(again), weights_of(one), strict=True))
    np.testing.assert_allclose(again.model.predict_on_batch(inputs), expected, rtol=0, atol=1e-5)

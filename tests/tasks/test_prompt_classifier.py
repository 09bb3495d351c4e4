"""A classifier without a head: what it answers untrained is what the gap of the prompt says; and it learns."""

import numpy as np
import pytest

import keras_bert_suite as kbs
from keras_bert_suite import CheckpointError, MaskedLM
from keras_bert_suite.tasks import PromptClassifier, open_task
from tests.support.selection import slow_to_compile
from tests.tasks.small import CONFIG, VOCABULARY, examples

pytestmark = pytest.mark.per_backend

WORDS = {"cancel": "stop", "refund": ["money", "refund"], "track": ["where"]}
PATTERN = "{text} , it is {mask} ."
TEXTS = ["my order is where", "money please", "[MASK] stop the order"]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """A masked language model with random weights."""
    import keras

    keras.utils.set_random_seed(3)
    directory = tmp_path_factory.mktemp("masked_lm") / "model"
    model = kbs.models.build_masked_lm(kbs.models.build_encoder(CONFIG))
    MaskedLM(model, kbs.WordPieceTokenizer(VOCABULARY), max_length=32).save_pretrained(directory)
    return directory


def test_labels_are_as_likely_as_their_words(directory):
    classifier = PromptClassifier.from_pretrained(directory, words=WORDS, pattern=PATTERN)
    masked_lm = MaskedLM.from_pretrained(directory)
    prompts = [PATTERN.format(text=text.replace("[MASK]", "MASK"), mask="[MASK]") for text in TEXTS]
    words = [word for label in WORDS.values() for word in np.atleast_1d(label).tolist()]
    filled = masked_lm.fill(prompts, top_k=len(words), targets=words)
    for row, gaps in enumerate(filled):
        logs = {answer["token"]: np.log(answer["score"]) for answer in gaps[0]}
        scores = np.array([np.mean([logs[word] for word in np.atleast_1d(label)]) for label in WORDS.values()])
        expected = np.exp(scores) / np.exp(scores).sum()
        np.testing.assert_allclose(classifier.predict_probabilities([TEXTS[row]])[0], expected, atol=1e-5)


@slow_to_compile
def test_it_learns_from_few_examples_and_is_saved(directory, tmp_path):
    classifier = PromptClassifier.from_pretrained(directory, words=WORDS, pattern=PATTERN)
    classifier.compile(learning_rate=3e-3)
    texts, labels = examples(120)
    classifier.fit(texts, labels, epochs=20, batch_size=12, seed=1, verbose=0)
    assert classifier.evaluate(texts, labels)["accuracy"] > 0.9
    classifier.save_pretrained(tmp_path / "saved")
    again = open_task(tmp_path / "saved")
    assert (type(again), again.words, again.pattern) == (PromptClassifier, classifier.words, PATTERN)
    np.testing.assert_allclose(
        again.predict_probabilities(texts), classifier.predict_probabilities(texts), atol=1e-6, rtol=0
    )
    assert MaskedLM.from_pretrained(tmp_path / "saved").fill(["my [MASK]"])


def test_a_long_text_does_not_push_the_gap_out(directory):
    classifier = PromptClassifier.from_pretrained(directory, words=WORDS, pattern=PATTERN)
    long = "where is my parcel " * 40
    encoded = classifier._encode(classifier._read([long, "", "where"]))
    mask = classifier.tokenizer.mask_token_id
    assert encoded.lengths.max() <= classifier.max_length
    assert [(encoded[row] == mask).sum() for row in range(3)] == [1, 1, 1]


def test_pairs_have_a_pattern_of_their_own(directory):
    classifier = PromptClassifier.from_pretrained(directory, words=WORDS, pattern="{text} ? {mask} , {text_b}")
    long = "where is my parcel " * 40
    assert classifier.pair
    assert len(classifier.predict([("where", "money"), (long, long)])) == 2


def test_refused(directory, tmp_path):
    with pytest.raises(ValueError, match="must be one token of the vocabulary. Received: 'unbelievable'"):
        PromptClassifier.from_pretrained(directory, words={"a": "stop", "b": "unbelievable"})
    with pytest.raises(ValueError, match="pattern must have"):
        PromptClassifier.from_pretrained(directory, words=WORDS, pattern="{text} was nice")
    kbs.save_encoder(kbs.models.build_encoder(CONFIG), tmp_path / "bare", kbs.WordPieceTokenizer(VOCABULARY))
    with pytest.raises(CheckpointError, match="needs a trained masked language model"):
        PromptClassifier.from_pretrained(tmp_path / "bare", words=WORDS)

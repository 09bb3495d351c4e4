"""A vocabulary learnt from text is the same one each time, and every tokenizer reads it alike."""

import hashlib
import subprocess
import sys

import pytest

from keras_bert_suite.errors import DataError
from keras_bert_suite.text import load_tokenizer, train_word_piece

ENGLISH = [
    "Low, lower, lowest: the lowest of the low.",
    "Newer and wider; the newest is the widest!",
    "Wide rivers, lower rivers, newer rivers.",
] * 4
CHINESE = ["今天天气很好，我们去公园玩。", "我们今天去公园，天气好。", "公园很好玩。"] * 3
GERMAN = ["Größer und schöner, über die Straße.", "Die Straße wird größer, und schöner."] * 3
TEXTS = {"english": ENGLISH, "chinese": CHINESE, "german": GERMAN, "mixed": ENGLISH + CHINESE + GERMAN}

each_language = pytest.mark.parametrize("language", TEXTS)


@each_language
def test_every_text_of_training_is_spelled_without_unknown_tokens(language):
    tokenizer = train_word_piece(TEXTS[language], vocab_size=300)
    tokens = [token for text in TEXTS[language] for token in tokenizer.tokenize(text)]
    assert tokens
    assert "[UNK]" not in tokens


@each_language
def test_transformers_reads_the_saved_vocabulary_alike(language, tmp_path):
    transformers = pytest.importorskip("transformers")
    tokenizer = train_word_piece(TEXTS[language], vocab_size=200, lowercase=language != "german", max_length=64)
    tokenizer.save_pretrained(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert theirs.model_max_length == 64
    ours = load_tokenizer(tmp_path)
    for text in (*TEXTS["mixed"], "unseen Ångström 未知 [MASK]"):
        assert [*ours.encode([text])[0]] == theirs(text)["input_ids"]


def test_the_order_of_a_vocabulary():
    tokenizer = train_word_piece(ENGLISH, vocab_size=60, reserved=["Zebra"], num_unused=2)
    tokens = [tokenizer.id_to_token(index) for index in range(tokenizer.vocab_size)]
    assert tokens[:8] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "zebra", "[unused0]", "[unused1]"]
    letters = [token for token in tokens[8:] if len(token) == 1]
    assert tokens[8 : 8 + len(letters)] == sorted(letters)
    assert "the" in tokens
    assert tokenizer.tokenize("the zebra") == ["the", "zebra"]


def test_every_run_learns_the_same_vocabulary():
    script = (
        "from tests.text.test_train_word_piece import TEXTS;from keras_bert_suite.text import train_word_piece;"
        "print(train_word_piece(TEXTS['mixed'], vocab_size=150).to_json())"
    )
    runs = [subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout for _ in range(3)]
    assert len({hashlib.sha256(run).hexdigest() for run in runs}) == 1


def test_a_chinese_vocabulary_has_characters_and_no_continuing_ones():
    tokenizer = train_word_piece(CHINESE, vocab_size=100)
    tokens = {tokenizer.id_to_token(index) for index in range(tokenizer.vocab_size)}
    assert {*"今天气很好我们去公园玩，。"} <= tokens
    assert not any(token.startswith("##") for token in tokens)


def test_rare_characters_give_way_to_frequent_ones():
    texts = ["aa bb cc", "aa bb", "aa"]
    tokenizer = train_word_piece(texts, vocab_size=40, max_alphabet=2)
    assert tokenizer.tokenize("aa bb cc") == ["aa", "bb", "[UNK]"]
    tokenizer = train_word_piece(texts, vocab_size=40, min_frequency=4)
    assert tokenizer.tokenize("aa bb cc") == ["a", "##a", "b", "##b", "[UNK]"]


def test_continuing_characters_take_their_room():
    letters = [chr(0x4E00 + number) for number in range(400)]
    texts = ["".join(letters[number:]) for number in range(300)]
    tokenizer = train_word_piece(texts, vocab_size=200, split_chinese=False, min_frequency=1)
    tokens = set(tokenizer.vocabulary)
    assert len(tokens) == 200
    assert {f"##{letter}" for letter in letters[299:370]} <= tokens  # the most frequent
    assert train_word_piece(texts, vocab_size=200, split_chinese=False, num_unused=120).vocab_size == 200


def test_a_cased_vocabulary_keeps_capitals_and_accents():
    tokenizer = train_word_piece(GERMAN, vocab_size=200, lowercase=False)
    assert tokenizer.tokenize("Straße") == ["Straße"]
    assert train_word_piece(GERMAN, vocab_size=200).tokenize("Größer") == ["großer"]


def test_a_text_of_any_length_is_cut_at_spaces():
    long, short = ["lower wider " * 20000], ["lower wider"] * 20000
    assert train_word_piece(long, vocab_size=60).to_json() == train_word_piece(short, vocab_size=60).to_json()


@pytest.mark.parametrize(
    ("texts", "options", "error", "words"),
    [
        ([], {}, DataError, "needs text"),
        (["", "  \n"], {}, DataError, "needs text"),
        (iter(ENGLISH), {}, TypeError, "gone through twice"),
        (ENGLISH, {"vocab_size": 0}, ValueError, "vocab_size must be above 0"),
        (ENGLISH, {"vocab_size": 10, "max_alphabet": 30}, ValueError, "vocab_size must hold"),
        (ENGLISH, {"reserved": ["two words"]}, ValueError, "'two words'"),
        (ENGLISH, {"reserved": ["e-mail"]}, ValueError, "'-'"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(texts, options, error, words):
    with pytest.raises(error, match=words):
        train_word_piece(texts, **options)

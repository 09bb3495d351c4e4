"""Tokenizer files: what may be read, what is written, and what a damaged one says."""

import json

import pytest

from keras_bert_suite.errors import CheckpointError, DataError
from keras_bert_suite.text import WordPieceTokenizer, load_tokenizer
from tests.support.shared import shared_path
from tests.text.hard_text import KINDS, SPECIALS, random_texts, small_vocabulary

TEXTS = ["Hello Café [MASK] [sep]", "一二 ab", "Straße ÜN!", *random_texts(30, seed=21)]


BERT_PROCESSING = {"type": "BertProcessing", "cls": ["[CLS]", 2], "sep": ["[SEP]", 3]}
TWO_FRAMES = {"type": "Sequence", "processors": [BERT_PROCESSING, BERT_PROCESSING]}


def write(directory, name="vocab.txt", tokens=(*SPECIALS, "a", "b", "##b"), **settings):
    if name:
        (directory / name).write_text("".join(f"{token}\n" for token in tokens), encoding="utf-8")
    if settings:
        (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    return directory


@pytest.mark.parametrize("kind", KINDS)
def test_transformers_opens_what_we_save(kind, tmp_path):
    transformers = pytest.importorskip("transformers")
    tokenizer = WordPieceTokenizer(small_vocabulary(), **KINDS[kind], max_length=77)
    tokenizer.save_pretrained(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tokenizer.json", "tokenizer_config.json", "vocab.txt"]
    for theirs in (
        transformers.AutoTokenizer.from_pretrained(tmp_path),
        transformers.BertTokenizerFast.from_pretrained(tmp_path),
    ):
        assert theirs.model_max_length == 77
        assert theirs.mask_token_id == tokenizer.mask_token_id
        for text in TEXTS:
            expected = theirs(text, "ab", return_offsets_mapping=True)
            ours = tokenizer([text], ["ab"], return_offsets=True)
            assert ours["token_ids"][0].tolist() == expected["input_ids"], ascii(text)
            assert ours["segment_ids"][0].tolist() == expected["token_type_ids"]
            assert ours["offsets"][0].tolist() == [list(span) for span in expected["offset_mapping"]]


@pytest.mark.parametrize("kind", KINDS)
def test_we_open_what_transformers_saves(kind, tmp_path):
    transformers = pytest.importorskip("transformers")
    ours = WordPieceTokenizer(small_vocabulary(), **KINDS[kind])
    options = {
        "lowercase": "do_lower_case",
        "strip_accents": "strip_accents",
        "split_chinese": "tokenize_chinese_chars",
    }
    theirs = transformers.BertTokenizer(
        vocab={token: index for index, token in enumerate(small_vocabulary())},
        **{options[name]: value for name, value in KINDS[kind].items()},
    )
    theirs.add_special_tokens({"additional_special_tokens": ["[E1]"]})
    theirs.save_pretrained(tmp_path)
    ours = load_tokenizer(tmp_path)
    for text in [*TEXTS, "a[E1]b"]:
        assert ours(text)["token_ids"][0].tolist() == theirs(text)["input_ids"], ascii(text)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("file", ["", "tokenizer.json", "vocab.txt"])
def test_saved_files_open_alone_and_together(kind, file, tmp_path):
    tokenizer = WordPieceTokenizer(small_vocabulary(), **KINDS[kind])
    tokenizer.save_pretrained(tmp_path)
    again = load_tokenizer(tmp_path / file)
    assert again(TEXTS)["token_ids"].tolist() == tokenizer(TEXTS)["token_ids"].tolist()
    assert again.lowercase == tokenizer.lowercase
    assert again.vocabulary == tokenizer.vocabulary
    assert again.max_length is None


def test_a_vocabulary_without_a_mask_token_stays_without(tmp_path):
    transformers = pytest.importorskip("transformers")
    WordPieceTokenizer([*SPECIALS[:4], "a"]).save_pretrained(tmp_path)
    assert len(transformers.AutoTokenizer.from_pretrained(tmp_path)) == load_tokenizer(tmp_path).vocab_size == 5


def test_defaults_and_settings_of_vocab_txt(tmp_path):
    assert load_tokenizer(write(tmp_path)).lowercase
    assert load_tokenizer(tmp_path / "vocab.txt").max_length is None
    settings = {"do_lower_case": False, "model_max_length": 128, "cls_token": {"content": "[CLS]"}}
    tokenizer = load_tokenizer(write(tmp_path, **settings))
    assert not tokenizer.lowercase
    assert tokenizer.max_length == 128
    assert load_tokenizer(write(tmp_path, model_max_length=int(1e30))).max_length is None


def test_special_tokens_by_other_names(tmp_path):
    tokens = ["<unk>", "a", "<s>", "</s>", "<pad>"]
    names = {"unk_token": "<unk>", "cls_token": "<s>", "sep_token": {"content": "</s>"}, "pad_token": "<pad>"}
    write(tmp_path, tokens=tokens)
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(names))
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer(["a z", ""])["token_ids"].tolist() == [[2, 1, 0, 3], [2, 3, 4, 4]]
    assert tokenizer.mask_token_id is None


def test_tokens_declared_beside_a_vocabulary(tmp_path):
    decoder = {"8": {"content": "[E1]", "special": True, "normalized": False}}
    tokenizer = load_tokenizer(write(tmp_path, added_tokens_decoder=decoder, additional_special_tokens=["[E2]"]))
    assert tokenizer("a[E1][E2]")["token_ids"].tolist() == [[2, 5, 8, 9, 3]]
    assert tokenizer.vocab_size == 10


def test_settings_that_override_tokenizer_json(tmp_path):
    WordPieceTokenizer(small_vocabulary()).save_pretrained(tmp_path)
    write(tmp_path, name=None, do_lower_case=False)
    assert not load_tokenizer(tmp_path).lowercase
    write(tmp_path, name=None, do_lower_case=False, tokenizer_class="PreTrainedTokenizerFast")
    assert load_tokenizer(tmp_path).lowercase


def test_only_line_feeds_end_a_line(tmp_path):
    content = "\ufeff[PAD]\r\n[UNK]\r\n[CLS]\n[SEP]\n\u2028\n\x85\n \na\n\n"
    (tmp_path / "vocab.txt").write_text(content, encoding="utf-8", newline="")
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.vocabulary == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "\u2028", "\x85", " ", "a"]


def test_other_checkpoints():
    tokenizer = load_tokenizer(shared_path("weights/minilm-pii-ner"))
    assert (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.mask_token_id) == (2, 3, 4)
    assert tokenizer.vocab_size == 19_730
    toy = load_tokenizer(shared_path("weights/tf1-bert-toy"))
    assert toy("All work")["token_ids"].tolist() == [[2, 5, 6, 3]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "vocab.txt: the vocabulary must not be empty"),
        (b"\n\n", "vocab.txt: the vocabulary must not be empty"),
        (b"[PAD]\n[UNK]\na\nb\na\n", "vocab.txt:5: a vocabulary must not repeat a token; 'a' is also on line 3"),
        (b"[PAD]\n[CLS]\n[SEP]\na\n", r"vocab.txt: .*missing: \[UNK\]. Add them, or name"),
        (b"[PAD]\na\xffb\n", "vocab.txt:2: a vocabulary must be UTF-8 text; byte 0xff at column 2"),
    ],
)
def test_a_damaged_vocabulary_says_where(content, message, tmp_path):
    (tmp_path / "vocab.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[: len(text) // 2], r"tokenizer.json:\d+: must be complete JSON; .* truncated"),
        (lambda text: text.replace('"type": "WordPiece", "unk', '"type": "BPE", "unk'), "cannot open"),
        (
            lambda text: text.replace('"type": "WordPiece", "unk', '"type": "WordLevel", "unk'),
            "holds a WordLevel model",
        ),
        (lambda text: "[]", "a damaged or unknown model"),
        (lambda text: json.dumps({**json.loads(text), "pre_tokenizer": {"type": "New"}}), "tokenizers cannot open"),
        (
            lambda text: json.dumps({**json.loads(text), "post_processor": TWO_FRAMES}),
            "post_processor must add special tokens once, not 2 times",
        ),
        (
            lambda text: json.dumps({**json.loads(text), "model": {"type": "WordPiece", "vocab": {}}}),
            "must not be empty",
        ),
        (lambda text: text.replace("[SEP]", "[GONE]"), r"missing: \[SEP\]. Add them, or name"),
    ],
)
def test_a_damaged_tokenizer_json_says_where(change, message, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(change(WordPieceTokenizer([*SPECIALS, "a"]).to_json()))
    with pytest.raises(DataError, match=message) as error:
        load_tokenizer(tmp_path)
    assert "tokenizer" in str(error.value)


def test_a_missing_tokenizer_says_what_to_do(tmp_path):
    with pytest.raises(DataError, match=r"must hold tokenizer\.json or vocab.txt; it has neither"):
        load_tokenizer(tmp_path)
    with pytest.raises(CheckpointError, match="absent: no such directory"):
        load_tokenizer(tmp_path / "absent")
    write(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("{")
    with pytest.raises(DataError, match=r"tokenizer_config\.json:1: must be complete JSON"):
        load_tokenizer(tmp_path)


def test_other_models_are_refused_by_name(tmp_path):
    content = {"model": {"type": "Unigram", "vocab": [["<pad>", 0.0]]}}
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="WordPieceTokenizer reads WordPiece models; this file holds a Unigram model"):
        WordPieceTokenizer.from_pretrained(tmp_path)


@pytest.mark.parametrize(("word", "lowercase"), [("hello", True), ("Hello", False)])
def test_case_of_a_tf1_release_is_its_vocabularys(word, lowercase, tmp_path):
    write(tmp_path, tokens=[*SPECIALS, "A", word])
    (tmp_path / "bert_config.json").write_text("{}")
    assert load_tokenizer(tmp_path).lowercase is lowercase
    assert load_tokenizer(tmp_path, lowercase=not lowercase).lowercase is not lowercase
    assert load_tokenizer(write(tmp_path, name=None, model_max_length=512)).lowercase


def test_the_callers_case_wins_over_every_file(tmp_path):
    WordPieceTokenizer(small_vocabulary()).save_pretrained(tmp_path)
    assert not load_tokenizer(tmp_path, lowercase=False).lowercase
    write(tmp_path, name=None, do_lower_case=True, tokenizer_class="PreTrainedTokenizerFast")
    assert not load_tokenizer(tmp_path, lowercase=False).lowercase


def test_further_names_of_special_tokens_survive(tmp_path):
    transformers = pytest.importorskip("transformers")
    tokens = [*SPECIALS, "a", "[BOS]", "[E1]"]
    write(tmp_path, tokens=tokens, bos_token="[BOS]", additional_special_tokens=["[E1]"], model_max_length=9)
    for _ in range(2):
        tokenizer = load_tokenizer(tmp_path)
        assert tokenizer.special_tokens["bos_token"] == "[BOS]"
        assert tokenizer("a[E1][BOS]")["token_ids"].tolist() == [[2, 5, 7, 6, 3]]
        tokenizer.save_pretrained(tmp_path)
        theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
        assert (theirs.bos_token, theirs.model_max_length, theirs.extra_special_tokens) == ("[BOS]", 9, ["[E1]"])
        assert theirs("a[E1][BOS]")["input_ids"] == [2, 5, 7, 6, 3]


def test_added_tokens_with_gaps_between_ids_are_refused(tmp_path):
    decoder = {"99": {"content": "[E1]", "special": True}}
    with pytest.raises(DataError, match=r"'\[E1\]' has the id 99. Number the added tokens from 8 on"):
        load_tokenizer(write(tmp_path, added_tokens_decoder=decoder))


def test_vocabularies_given_directly():
    assert WordPieceTokenizer({"[PAD]": 4, "[UNK]": 3, "[CLS]": 2, "[SEP]": 1, "a": 9})("a")["token_ids"].tolist() == [
        [2, 9, 1]
    ]
    with pytest.raises(DataError, match="must not repeat"):
        WordPieceTokenizer([*SPECIALS, "a", "a"])
    with pytest.raises(DataError, match="each vocabulary id must belong to one token"):
        WordPieceTokenizer({"a": 1, "b": 1})
    with pytest.raises(DataError, match="must not be empty"):
        WordPieceTokenizer([])
    with pytest.raises(DataError, match=r"missing: \[PAD\], \[UNK\], \[CLS\], \[SEP\]"):
        WordPieceTokenizer(["a"])

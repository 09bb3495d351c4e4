"""The tokenizers of RoBERTa, XLM-R, CamemBERT and ALBERT against transformers' own classes, files both ways."""

import json
import pickle

import pytest

from keras_bert_suite.errors import DataError
from keras_bert_suite.text import BytePairTokenizer, UnigramTokenizer, load_tokenizer
from tests.text.small_models import FAMILIES, MASKED, TEXTS, assert_equal, byte_pair, sentence_piece, write_family

transformers = pytest.importorskip("transformers")

#: As the published files of these families have it; transformers' own defaults differ among themselves.
MASK = {"content": "<mask>", "lstrip": True, "rstrip": False, "single_word": False, "normalized": False}
#: Symbols that the user of SentencePiece defined, and pieces of digit and comma, are tested against SentencePiece.
ALBERT_TEXTS = [text for text in TEXTS if not set('().-"').intersection(text) and "," not in text]


@pytest.fixture(params=FAMILIES)
def family(request):
    return request.param


def texts_of(family):
    return ALBERT_TEXTS if family == "albert" else TEXTS


def settings_of(family):
    content = "[MASK]" if family == "albert" else "<mask>"
    return {"mask_token": {**MASK, "content": content, "__type": "AddedToken"}, "model_max_length": 77}


def test_vocabulary_files_alone(family, tmp_path):
    write_family(tmp_path, family)
    ours, theirs = load_tokenizer(tmp_path), transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert type(theirs).__name__ == FAMILIES[family]
    assert_equal(ours, theirs, texts_of(family))
    assert ours.max_length is None
    assert ours.engine == "tokenizers"


def test_vocabulary_files_with_settings(family, tmp_path):
    settings = {"add_prefix_space": family == "roberta", "trim_offsets": False, "do_lower_case": False}
    write_family(
        tmp_path, family, **settings_of(family), **settings, keep_accents=True, additional_special_tokens=["<e>"]
    )
    ours, theirs = load_tokenizer(tmp_path), transformers.AutoTokenizer.from_pretrained(tmp_path)
    texts = [*texts_of(family), *(MASKED if family != "albert" else ["[MASK] a [MASK]", "a[MASK]b"]), "a<e>b"]
    assert_equal(ours, theirs, texts)
    assert ours.max_length == theirs.model_max_length == 77


def test_what_transformers_saves(family, tmp_path):
    theirs = transformers.AutoTokenizer.from_pretrained(write_family(tmp_path, family, **settings_of(family)))
    theirs.add_special_tokens({"additional_special_tokens": ["[E1]"]})
    theirs.add_tokens(["wörd"])
    for file in tmp_path.iterdir():
        file.unlink()
    theirs.save_pretrained(tmp_path)
    ours = load_tokenizer(tmp_path)
    assert_equal(ours, transformers.AutoTokenizer.from_pretrained(tmp_path), [*TEXTS, *MASKED, "a[E1]b wörd"])
    assert ours.max_length == 77


def test_what_we_save(family, tmp_path):
    source, saved = tmp_path / "source", tmp_path / "saved"
    source.mkdir()
    ours = load_tokenizer(write_family(source, family, **settings_of(family), additional_special_tokens=["[E1]"]))
    ours.save_pretrained(saved)
    (saved / "config.json").write_text(json.dumps({"model_type": family}))
    again, theirs = load_tokenizer(saved), transformers.AutoTokenizer.from_pretrained(saved)
    assert_equal(again, theirs, [*TEXTS, *MASKED, "a[E1]b"])
    assert theirs.model_max_length == 77
    assert theirs.extra_special_tokens == ["[E1]"]
    texts = [*TEXTS, *MASKED]
    for other in (again, pickle.loads(pickle.dumps(ours))):
        assert other(texts)["token_ids"].tolist() == ours(texts)["token_ids"].tolist()
        assert other.special_tokens == ours.special_tokens
    again.save_pretrained(tmp_path / "twice")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "twice" / name).read_bytes() == (saved / name).read_bytes()
    for name in {"vocab.json", "merges.txt", "spiece.model", "sentencepiece.bpe.model"}:
        if (source / name).exists() and name.endswith(".model"):
            assert (tmp_path / "twice" / name).read_bytes() == (source / name).read_bytes()
    if family == "roberta":
        (saved / "tokenizer.json").unlink()
        assert load_tokenizer(saved)(texts)["token_ids"].tolist() == ours(texts)["token_ids"].tolist()


def test_settings_that_override_tokenizer_json(family, tmp_path):
    load_tokenizer(write_family(tmp_path, family)).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    changes = {"add_prefix_space": family == "roberta", "trim_offsets": False, "do_lower_case": False}
    changes.update(keep_accents=True, tokenizer_class=FAMILIES[family] + "Fast")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config | changes))
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert type(theirs).__name__ == FAMILIES[family]
    assert_equal(load_tokenizer(tmp_path), theirs, TEXTS)
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({**config, **changes, "tokenizer_class": "TokenizersBackend"})
    )
    assert_equal(load_tokenizer(tmp_path), transformers.AutoTokenizer.from_pretrained(tmp_path), TEXTS)


def test_constructors_equal_the_files(tmp_path):
    vocab, merges = byte_pair()
    loaded = load_tokenizer(write_family(tmp_path, "roberta"))
    built = BytePairTokenizer(vocab, [f"{first} {second}" for first, second in merges], max_length=5)
    assert built.to_json() == loaded.to_json()
    assert (built.max_length, built.kind, built.merges[0]) == (5, "BPE", merges[0])
    assert built.decode(built("Hello  Wörld 今")["token_ids"][0]) == "Hello  Wörld 今"
    from keras_bert_suite.text import pipeline

    loaded = load_tokenizer(write_family(tmp_path / "..", "xlm-roberta") / "sentencepiece.bpe.model")
    built = UnigramTokenizer(loaded.pieces, charsmap=pipeline.charsmap_of(loaded.normalizer))
    assert built.to_json() == loaded.to_json()
    assert built.decode(built("hello world")["token_ids"][0]) == "hello world"
    assert "BytePair" not in repr(built)


@pytest.mark.parametrize("as_strings", [False, True])
@pytest.mark.parametrize("typed", [False, True])
def test_modern_bert(as_strings, typed, tmp_path):
    """Byte-level BPE with BERT's special tokens and frame; old files spell merges as one string, and name no type."""
    vocab, merges = byte_pair()
    names = {"<s>": "[CLS]", "</s>": "[SEP]", "<pad>": "[PAD]", "<unk>": "[UNK]", "<mask>": "[MASK]"}
    vocab = {names.get(token, token): token_id for token, token_id in vocab.items()}
    special = {name: vocab[name] for name in names.values()}
    content = json.loads(BytePairTokenizer(byte_pair()[0], merges).to_json())
    content["model"].update(vocab=vocab, merges=[" ".join(merge) for merge in merges] if as_strings else merges)
    if not typed:
        del content["model"]["type"]
    content["normalizer"] = {"type": "NFC"}
    content["added_tokens"] = [
        {"id": token_id, "content": token, "special": True, "normalized": False, "rstrip": False,
         "lstrip": token == "[MASK]", "single_word": False}
        for token, token_id in sorted(special.items(), key=lambda item: item[1])
    ]  # fmt: skip
    from keras_bert_suite.text import pipeline

    content["post_processor"] = pipeline.template("[CLS]", special["[CLS]"], "[SEP]", special["[SEP]"])
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    ours = load_tokenizer(tmp_path)
    assert (ours.cls_token_id, ours.mask_token_id) == (special["[CLS]"], special["[MASK]"])
    (tmp_path / "config.json").write_text('{"model_type": "modernbert"}')
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 8192}
    config.update((f"{name[1:-1].lower()}_token", name) for name in special)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    ours, theirs = load_tokenizer(tmp_path), transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert_equal(ours, theirs, [*TEXTS, "a [MASK] b"])
    assert ours.max_length == 8192


@pytest.mark.parametrize("file", ["tokenizer.json", "vocab.json"])
def test_gpt2(file, tmp_path):
    """No special tokens but one, which nothing puts around a text."""
    vocab, merges = byte_pair()
    old = {"<s>", "</s>", "<pad>", "<unk>", "<mask>"}
    vocab = {token: index for index, token in enumerate([*(t for t in vocab if t not in old), "<|endoftext|>"])}
    (tmp_path / "vocab.json").write_text(json.dumps(vocab))
    (tmp_path / "merges.txt").write_text("".join(f"{a} {b}\n" for a, b in merges))
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    theirs = transformers.GPT2Tokenizer.from_pretrained(tmp_path)
    if file == "tokenizer.json":
        theirs.save_pretrained(tmp_path)
    ours = load_tokenizer(tmp_path / file)
    for text in [*TEXTS, "a<|endoftext|>b"]:
        assert ours(text)["token_ids"][0].tolist() == theirs(text)["input_ids"], ascii(text)
        assert ours(text, "b")["token_ids"][0].tolist() == theirs(text, "b")["input_ids"], ascii(text)
    assert ours.pad_token_id == vocab["<|endoftext|>"]
    ours.save_pretrained(tmp_path / "saved")
    assert load_tokenizer(tmp_path / "saved")(TEXTS)["token_ids"].tolist() == ours(TEXTS)["token_ids"].tolist()


def test_any_pipeline_of_the_library(tmp_path):
    vocab, merges = byte_pair()
    content = json.loads(BytePairTokenizer(vocab, merges).to_json())
    content["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"}]}
    content["pre_tokenizer"] = {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Digits", "individual_digits": True},
            {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True},
        ],
    }
    frame = content["post_processor"]
    content["post_processor"] = {"type": "Sequence", "processors": [content["decoder"], frame]}
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    ours, theirs = load_tokenizer(tmp_path), transformers.PreTrainedTokenizerFast.from_pretrained(tmp_path)
    assert ours.lowercase
    for text in TEXTS:
        expected = theirs(text, "B 12", return_offsets_mapping=True)
        found = ours([text], ["B 12"], return_offsets=True)
        assert found["token_ids"][0].tolist() == expected["input_ids"], ascii(text)
        assert found["offsets"][0].tolist() == [list(span) for span in expected["offset_mapping"]], ascii(text)


def test_errors_name_the_class():
    tokenizer = BytePairTokenizer(*byte_pair())
    with pytest.raises(TypeError, match="BytePairTokenizer: texts must be str"):
        tokenizer([None])
    with pytest.raises(ValueError, match="BytePairTokenizer: max_length must hold the 4 special tokens of a pair"):
        tokenizer(["a"], ["b"], max_length=3)
    assert tokenizer(["a"], ["b"], max_length=5)["token_ids"].shape == (1, 5)
    assert tokenizer.in_graph_obstacle == "a BPE tokenizer (WordPiece is supported)"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("merges.txt", b"#version: 0.2\na\n", r"merges.txt:2: each line must hold two tokens .* received 'a'"),
        ("merges.txt", b"a b c\n", "merges.txt:1: each line must hold two tokens"),
        ("merges.txt", b"a \xff\n", "merges.txt:1: a vocabulary must be UTF-8 text"),
        ("merges.txt", b"zz yy\n", "tokenizers cannot open this tokenizer: .*zz"),
        ("merges.txt", None, "merges.txt: a vocab.json needs its merges.txt beside it"),
        ("vocab.json", b"{", "vocab.json:1: must be complete JSON"),
        ("vocab.json", b"[]", "vocab.json: a vocabulary of BPE must map tokens to ids; received list"),
        (
            "vocab.json",
            b'{"a": "b"}',
            "a vocabulary must map tokens to ids of 0 or above; received 'a': 'b'",
        ),
        ("vocab.json", b'{"a": 1, "b": 1}', "vocab.json: each vocabulary id must belong to one token"),
        ("vocab.json", b'{"a": -1}', "received 'a': -1"),
        ("vocab.json", b"{}", "vocab.json: the vocabulary must not be empty"),
        ("vocab.json", b'{"a": 0}', "vocab.json: .*missing: <pad>, <unk>, <s>, </s>"),
        ("vocab.json", b"[" * 100_000, "vocab.json: JSON must not be nested"),
    ],
)
def test_damaged_byte_pair_files_say_where(name, content, message, tmp_path):
    write_family(tmp_path, "roberta")
    (tmp_path / name).unlink() if content is None else (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("added_tokens", [{"content": "a"}]),
        ("added_tokens", ["a"]),
        ("added_tokens", 3),
        ("model", {"type": "Unigram", "vocab": [["a"]], "unk_id": 0}),
        ("model", {"type": "Unigram", "vocab": [["<pad>", 0.0]], "unk_id": 7}),
        ("model", {"type": "Unigram", "vocab": 7}),
        ("model", {"type": "BPE", "vocab": [1], "merges": []}),
        ("model", {"type": ["BPE"], "vocab": {}}),
        ("model", []),
        ("model", {"type": "BPE", "vocab": {"<pad>": 4 * 10**9}, "merges": []}),
        ("model", {"type": "BPE", "vocab": {"<pad>": "x"}, "merges": []}),
        ("normalizer", []),
        ("post_processor", {"type": "TemplateProcessing"}),
        ("post_processor", {"type": "Sequence", "processors": [3]}),
    ],
)
def test_a_damaged_tokenizer_json_is_one_data_error(section, value, tmp_path):
    content = json.loads(BytePairTokenizer(*byte_pair()).to_json())
    (tmp_path / "tokenizer.json").write_text(json.dumps({**content, section: value}))
    with pytest.raises(DataError, match=str(tmp_path)) as error:
        load_tokenizer(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"added_tokens_decoder": [1]},
        {"added_tokens_decoder": {"x": {"content": "a"}}},
        {"added_tokens_decoder": {"1": {}}},
        {"model_max_length": "512"},
        {"additional_special_tokens": 3},
        {"additional_special_tokens": [{}]},
    ],
)
def test_damaged_settings_are_one_data_error(settings, tmp_path):
    write_family(tmp_path, "roberta", **settings)
    with pytest.raises(DataError, match="tokenizer_config.json must hold settings of the usual types"):
        load_tokenizer(tmp_path)


def test_lowercase_is_refused_where_it_has_no_meaning(tmp_path):
    write_family(tmp_path, "roberta")
    with pytest.raises(DataError, match="this is a BPE tokenizer. Received: lowercase=True"):
        load_tokenizer(tmp_path, lowercase=True)
    load_tokenizer(tmp_path).save_pretrained(tmp_path)
    with pytest.raises(DataError, match="this is a BPE tokenizer. Received: lowercase=False"):
        load_tokenizer(tmp_path, lowercase=False)


def test_albert_takes_the_callers_case(tmp_path):
    write_family(tmp_path, "albert")
    assert load_tokenizer(tmp_path).lowercase
    assert not load_tokenizer(tmp_path, lowercase=False).lowercase
    load_tokenizer(tmp_path).save_pretrained(tmp_path)
    assert not load_tokenizer(tmp_path, lowercase=False).lowercase


def test_albert_cuts_as_sentencepiece_does(tmp_path):
    """Its symbols ( ) " - . are pieces; as added tokens they would put a space after themselves."""
    spm = pytest.importorskip("sentencepiece")
    theirs = spm.SentencePieceProcessor(model_proto=sentence_piece("albert"))
    ours = load_tokenizer(write_family(tmp_path, "albert"))
    for text in ['e.g. a.b.c "quoted" (or 3.14)-x', "the (fox) jumps.", "a-b-c"]:
        assert ours(text)["token_ids"][0].tolist()[1:-1] == theirs.encode(text), text

"""The host tokenizer against golden files and against Hugging Face `tokenizers` itself."""

import json
import pickle
import random
from pathlib import Path

import numpy as np
import pytest

from keras_bert_suite.text import WordPieceTokenizer
from keras_bert_suite.text.definition import from_vocabulary
from keras_bert_suite.text.engines import FastEngine, ReferenceEngine
from keras_bert_suite.text.parted import part_ideographs, parts_ideographs
from tests.support.shared import shared_path
from tests.text.hard_text import KINDS, SPECIALS, random_texts, small_vocabulary

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "tokenizer_own.json").read_text())


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def tokenizer(kind):
    return WordPieceTokenizer(small_vocabulary(), **KINDS[kind])


@pytest.fixture(scope="module")
def simple():
    return WordPieceTokenizer([*SPECIALS, "a", "b", "c", "d", "e", "f", ",", "##a"], max_length=8)


def unpadded(batch, name, row=0):
    return batch[name][row][batch["padding_mask"][row] == 1].tolist()


def test_equals_our_golden_file(kind):
    tokenizer = WordPieceTokenizer(GOLDEN["vocabulary"], **KINDS[kind])
    for case in GOLDEN["cases"][kind]:
        pairs = None if case["pair"] is None else [case["pair"]]
        for batch in (tokenizer([case["text"]], pairs), tokenizer([case["text"]], pairs, return_offsets=True)):
            assert unpadded(batch, "token_ids") == case["ids"], ascii(case["text"])
            assert unpadded(batch, "segment_ids") == case["segment_ids"]
        assert unpadded(batch, "offsets") == case["offsets"]
        assert tokenizer.decode(case["ids"]) == case["decoded"]


def test_equals_the_shared_reference():
    reference = json.loads(shared_path("weights/tokenizer_reference_uncased.json").read_text())
    tokenizer = WordPieceTokenizer.from_pretrained(shared_path("weights/bert-tiny-mlm"))
    for case in reference["cases"]:
        pairs = None if "pair" not in case else [case["pair"]]
        batch = tokenizer([case["text"]], pairs, return_offsets=True)
        assert unpadded(batch, "token_ids") == unpadded(tokenizer([case["text"]], pairs), "token_ids") == case["ids"]
        assert [tokenizer.id_to_token(token_id) for token_id in case["ids"]] == case["tokens"]
        if "offsets" in case:
            assert unpadded(batch, "offsets") == case["offsets"]
        if "type_ids" in case:
            assert unpadded(batch, "segment_ids") == case["type_ids"]


def test_random_unicode_equals_tokenizers(tokenizer):
    pytest.importorskip("nanotoken")
    texts = random_texts(4000, seed=1)
    ours = FastEngine(tokenizer.to_json()).encode(texts)
    theirs = ReferenceEngine(tokenizer._reference).encode(texts)
    for row in range(len(texts)):
        found, expected = (ids[offsets[row] : offsets[row + 1]].tolist() for ids, offsets in (ours, theirs))
        assert found == expected, ascii(texts[row])


def test_both_engines_serve_the_same_arrays(tokenizer, monkeypatch):
    texts, pairs = random_texts(50, seed=2), random_texts(50, seed=3)
    plain = WordPieceTokenizer(small_vocabulary(), **dict(lowercase=tokenizer.lowercase))
    fast = plain(texts, pairs, max_length=20)
    monkeypatch.setitem(plain._lazy, "engine", ReferenceEngine(plain._reference))
    assert plain.engine == "tokenizers"
    for name, array in plain(texts, pairs, max_length=20).items():
        np.testing.assert_array_equal(array, fast[name])


def test_ideographs_are_parted_in_all_texts_at_once():
    texts = ["", "a", "一", "", "a一二b", "é", "\U00020000\U0002f800", "かな", ""]
    parted = ["", "a", " 一 ", "", "a 一  二 b", "é", " \U00020000 \U0002f800", "かな", ""]
    assert part_ideographs(texts) == parted
    assert part_ideographs([]) == []
    many = ["a"] * 10_000 + ["一"]
    assert part_ideographs(many) == [*many[:-1], " 一 "]
    for same in (["abc", ""], ["é", "ü"]):
        assert part_ideographs(same) is same


@pytest.mark.parametrize(
    ("token", "expected"),
    [("[E1]", True), ("[中]", False), (" [E1]", False), ({"content": "w", "single_word": True}, False)],
)
def test_ideographs_are_parted_only_where_it_changes_nothing(token, expected):
    definition = from_vocabulary([*SPECIALS, "a"], extra_tokens=[token])
    assert parts_ideographs(definition.content) is expected
    for lowercase in (True, False):
        assert not parts_ideographs(from_vocabulary(SPECIALS, lowercase, split_chinese=False).content)


def test_chinese_equals_tokenizers(tokenizer):
    pytest.importorskip("nanotoken")
    rng = random.Random(7)
    letters = [chr(rng.choice([0x4E00, 0x3400, 0xF900, 0x20000]) + rng.randrange(300)) for _ in range(300)]
    letters += [*SPECIALS, " ", "a", "b", "\u0301", "，", "\x00", "é", "か\u3099", "\u3000", "2024"]
    texts = ["".join(rng.choices(letters, k=rng.randrange(60))) for _ in range(9000)]
    ours = FastEngine(tokenizer.to_json()).encode(texts)
    theirs = ReferenceEngine(tokenizer._reference).encode(texts)
    for found, expected in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_falls_back_where_nanotoken_is_absent(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "nanotoken", None)
    tokenizer = WordPieceTokenizer(small_vocabulary())
    assert tokenizer.engine == "tokenizers"
    assert tokenizer(["hello"])["token_ids"].shape == (1, 3)


def test_falls_back_where_nanotoken_disagrees(monkeypatch):
    monkeypatch.setattr(FastEngine, "encode", lambda self, texts: (np.zeros(1, np.int32), np.array([0, 1])))
    assert WordPieceTokenizer(small_vocabulary()).engine == "tokenizers"


@pytest.mark.parametrize("strategy", ["longest_first", "only_first", "only_second"])
@pytest.mark.parametrize("pair", [False, True])
def test_truncation_equals_tokenizers(simple, strategy, pair):
    from tokenizers import Tokenizer

    reference = Tokenizer.from_str(simple.to_json())
    letters = list("abcdef")
    sides = [" ".join(letters[:count]) for count in range(7)]
    for max_length in range(3 if pair else 2, 16):
        reference.enable_truncation(max_length, strategy=strategy)
        for first in sides:
            for second in sides if pair else [None]:
                seconds = None if second is None else [second]
                arguments = dict(max_length=max_length, truncation=strategy)
                try:
                    expected = reference.encode(first, second)
                except Exception:
                    with pytest.raises(ValueError, match="row 0 cannot be shortened"):
                        simple([first], seconds, **arguments)
                    continue
                batch = simple([first], seconds, **arguments, return_offsets=True)
                assert batch["token_ids"][0].tolist() == expected.ids, (first, second, max_length)
                assert batch["segment_ids"][0].tolist() == expected.type_ids
                assert batch["offsets"][0].tolist() == [list(span) for span in expected.offsets]
                assert simple([first], seconds, **arguments)["token_ids"][0].tolist() == expected.ids


def test_offsets_equal_tokenizers(tokenizer):
    texts, pairs = random_texts(300, seed=4), random_texts(300, seed=5)
    batch = tokenizer(texts, pairs, return_offsets=True)
    from tokenizers import Tokenizer

    for row, encoding in enumerate(Tokenizer.from_str(tokenizer.to_json()).encode_batch(list(zip(texts, pairs)))):  # noqa: B905
        assert unpadded(batch, "token_ids", row) == encoding.ids
        assert unpadded(batch, "offsets", row) == [list(span) for span in encoding.offsets]
    assert not batch["offsets"][batch["padding_mask"] == 0].any()


def test_no_surprise_truncation_or_padding(tmp_path):
    tokenizer = WordPieceTokenizer(small_vocabulary())
    content = json.loads(tokenizer.to_json())
    content["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    content["padding"] = {"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
                          "pad_type_id": 0, "pad_token": "[PAD]"}  # fmt: skip
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    loaded = WordPieceTokenizer.from_pretrained(tmp_path)
    for text in ("a", "a b c d e f"):
        for return_offsets in (False, True):
            assert (loaded([text], return_offsets=return_offsets)["token_ids"] == tokenizer([text])["token_ids"]).all()


def test_padding(simple):
    assert simple(["a b", "a"])["token_ids"].tolist() == [[2, 5, 6, 3], [2, 5, 3, 0]]
    assert simple(["a b", "a"])["padding_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert simple(["a"], pad_to_multiple_of=8)["token_ids"].shape == (1, 8)
    assert simple(["a"], max_length=7, padding="max_length")["token_ids"].shape == (1, 7)
    assert simple(["a"], max_length=7, padding="max_length", pad_to_multiple_of=4)["token_ids"].shape == (1, 8)
    assert {array.dtype for array in simple(["a"], return_offsets=True).values()} == {np.dtype(np.int32)}


def test_batches_of_one_and_of_none(simple):
    assert simple("a b")["token_ids"].tolist() == [[2, 5, 6, 3]]
    assert simple("a", "b")["segment_ids"].tolist() == [[0, 0, 0, 1, 1]]
    assert simple([])["token_ids"].shape == (0, 0)
    assert simple([], [], max_length=5, padding="max_length")["token_ids"].shape == (0, 5)
    assert simple([], return_offsets=True)["offsets"].shape == (0, 0, 2)
    assert simple(np.array(["a", "b"]))["token_ids"].tolist() == [[2, 5, 3], [2, 6, 3]]
    assert simple(text for text in "ab")["token_ids"].shape == (2, 3)


def test_huge_words_and_control_characters_pass(simple):
    assert simple(["x" * 1_000_000, "a\x00a", ""])["token_ids"].tolist() == [[2, 1, 3, 0], [2, 5, 12, 3], [2, 3, 0, 0]]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((["a", None],), TypeError, "texts must be str. Received: NoneType .None. in row 1"),
        ((["a", float("nan")],), TypeError, "Received: float .nan. in row 1"),
        ((None,), TypeError, "texts must be a list of str. Received: NoneType"),
        ((b"ab",), TypeError, "texts must be a list of str. Received: bytes"),
        (([("a", "b")],), TypeError, "Received: tuple .* in row 0. .* pass pairs apart as pairs="),
        ((["a"], [b"b"]), TypeError, "pairs must be str. Received: bytes"),
        ((["a", "b\ud800"],), ValueError, r"lone surrogate U\+D800 at character 1 of row 1"),
        ((["a", "b"], ["c"]), ValueError, "Received: 2 texts and 1 pairs"),
    ],
)
@pytest.mark.parametrize("return_offsets", [False, True])
def test_bad_items_are_named(simple, arguments, error, message, return_offsets):
    with pytest.raises(error, match=message):
        simple(*arguments, return_offsets=return_offsets)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(max_length=1), "must hold the 2 special tokens of a text. Received: max_length=1. Use at least 3"),
        (dict(max_length=0), "max_length must be above 0"),
        (dict(truncation="longest"), "truncation must be one of"),
        (dict(padding="max_length"), "needs max_length"),
        (dict(padding=True), "padding must be one of"),
        (dict(pad_to_multiple_of=0), "pad_to_multiple_of must be above 0"),
        (dict(max_length=3, truncation=None), "row 0 of 4 tokens, max_length=3"),
    ],
)
def test_bad_arguments_are_named(simple, arguments, message):
    with pytest.raises(ValueError, match=message):
        simple(["a b"], **arguments)


def test_decode(simple):
    row = [2, 5, 12, 10, 6, 3, 0, 0]
    assert simple.decode(row) == "aa f b"
    assert simple.decode(np.array(row), skip_special_tokens=False) == "[CLS] aa f b [SEP] [PAD] [PAD]"
    assert simple.batch_decode([[5, 11], [6]]) == ["a,", "b"]
    assert simple.decode([5, 99_999, 2**40]) == "a"
    with pytest.raises(ValueError, match="Received: -100 in row 1"):
        simple.batch_decode([[5], [-100]])


def test_decode_equals_tokenizers(tokenizer):
    rows = tokenizer.encode(random_texts(200, seed=6))
    rows = [rows[index] for index in range(len(rows))]
    from tokenizers import Tokenizer

    reference = Tokenizer.from_str(tokenizer.to_json())
    for skip in (True, False):
        expected = reference.decode_batch([row.tolist() for row in rows], skip_special_tokens=skip)
        assert tokenizer.batch_decode(rows, skip) == expected


def test_vocabulary(simple):
    assert simple.vocab_size == 13 == len(simple.vocabulary)
    assert (simple.pad_token_id, simple.unk_token_id, simple.cls_token_id, simple.sep_token_id) == (0, 1, 2, 3)
    assert simple.mask_token_id == 4
    assert WordPieceTokenizer(SPECIALS[:4]).mask_token_id is None
    assert simple.token_to_id("##a") == 12
    assert simple.id_to_token(12) == "##a"
    assert simple.id_to_token(13) is None
    assert simple.token_to_id("zebra") is None
    assert simple.tokenize("aa, b") == ["a", "##a", ",", "b"]
    assert simple.lowercase
    assert simple.max_length == 8


def test_pickles(simple):
    again = pickle.loads(pickle.dumps(simple))
    assert again(["a b"])["token_ids"].tolist() == simple(["a b"])["token_ids"].tolist()
    assert again.max_length == 8


def test_importing_is_light():
    import subprocess
    import sys

    heavy = ("keras", "tensorflow", "torch", "tokenizers", "jax")
    code = f"import sys, keras_bert_suite.text; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"

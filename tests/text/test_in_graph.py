"""The tokenizer in the graph against the one on the host: no difference, on anything."""

import subprocess
import sys

import numpy as np
import pytest

from keras_bert_suite.text import WordPieceTokenizer
from keras_bert_suite.text.truncation import cut_around
from tests.text.hard_text import KINDS, SPECIALS, random_texts, small_vocabulary

tf = pytest.importorskip("tensorflow")
pytest.importorskip("tensorflow_text")

from keras_bert_suite.text.code_points import bert_table  # noqa: E402
from keras_bert_suite.text.definition import from_vocabulary  # noqa: E402
from keras_bert_suite.text.in_graph import build_in_graph_tokenizer  # noqa: E402

#: Prints the operations of plain TensorFlow, in a process that never loads tensorflow-text.
CORE_OPERATIONS = "import tensorflow as tf; print(*dir(tf.raw_ops))"

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module", params=KINDS)
def both(request):
    tokenizer = WordPieceTokenizer(small_vocabulary(), **KINDS[request.param])
    return tokenizer, build_in_graph_tokenizer(tokenizer, max_length=64)


@pytest.fixture(scope="module")
def simple():
    tokenizer = WordPieceTokenizer([*SPECIALS, "a", "b", "c", "##b"])
    return tokenizer, build_in_graph_tokenizer(tokenizer, max_length=9)


def assert_equal(ours, host):
    assert ours.keys() == host.keys()
    for name, expected in host.items():
        assert ours[name].dtype == tf.int32
        np.testing.assert_array_equal(ours[name].numpy(), expected, err_msg=name)


def test_random_unicode(both):
    tokenizer, module = both
    texts, pairs = random_texts(3000, seed=11), random_texts(3000, seed=12)
    assert_equal(module(texts), tokenizer(texts, max_length=64))
    assert_equal(module(texts, pairs), tokenizer(texts, pairs, max_length=64))


def test_marks_that_are_not_stripped_are_put_in_order(simple):
    letters = ["o", "\u1b44", "\u08d4", "\U0001d157", "\U0001d165", "\U0001d16d", "\u302e"]
    tokenizer = WordPieceTokenizer([*SPECIALS, *letters, *("##" + letter for letter in letters)])
    module = build_in_graph_tokenizer(tokenizer, max_length=32)
    below, above = "\u1b44", "\u08d4"  # canonical orders 9 and 230
    texts = [
        f"o{above}{below}",
        f"o{below}{above}",
        f"o{above}\x00\u200d\x01{below}",  # cleaned away before the ordering
        f"o{above}\u093a{below}",  # parts the marks, and is stripped only afterwards
        f"o{above}\u0301{below}",  # stripped, and does not part them
        f"{above}",
        f"{below}o{above}{below}{above}",
        "\U0001d157\U0001d16d\U0001d165\u302e",
    ]
    assert tokenizer.tokenize(texts[0]) == tokenizer.tokenize(texts[1]) != tokenizer.tokenize(texts[3])
    assert_equal(module(texts), tokenizer(texts))
    assert len(bert_table(True, None, True).marks) > 80


def test_pair_truncation(simple):
    tokenizer, module = simple
    for max_length in range(3, 12):
        module = build_in_graph_tokenizer(tokenizer, max_length)
        sides = [" ".join("abcabca"[:count]) for count in range(8)]
        texts, pairs = [first for first in sides for _ in sides], [second for _ in sides for second in sides]
        assert_equal(module(texts, pairs), tokenizer(texts, pairs, max_length=max_length))
        assert_equal(module(texts), tokenizer(texts, max_length=max_length))


def test_empty_and_long(simple):
    tokenizer, module = simple
    for texts in ([""], ["", " \n", "a"], ["ab" * 50, "ab" * 50 + "b", "x" * 1_000_000, "é" * 101], ["\x00", "[SEP]"]):
        assert_equal(module(texts), tokenizer(texts, max_length=9))
    assert module(tf.constant([], tf.string))["token_ids"].shape == (0, 0)
    assert module(tf.constant([], tf.string), tf.constant([], tf.string))["segment_ids"].shape == (0, 0)


def test_long_texts_are_cut_around_tokens(simple):
    (tokenizer, module), length = simple, 9
    around = tokenizer.mask_token_id
    texts = ["a b " * before + "[MASK] " + "c a b " * after for before in (0, 1, 2, 4, 9) for after in (0, 1, 2, 9)]
    texts += [f"a b {between} [MASK] c {between} [MASK] b" for between in ("", "c a", "a b c a b c", "a b c " * 9)]
    texts += ["", "a b " * 9]
    found = module.encode_around(texts, [around])
    encoded = tokenizer.encode(texts)
    for row, ids in enumerate(encoded[row] for row in range(len(texts))):
        if len(ids) > length:
            ids = np.concatenate([ids[:1], cut_around(ids[1:-1], [around], length - 2), ids[-1:]])
        np.testing.assert_array_equal(found["token_ids"][row].numpy()[: len(ids)], ids)
        assert int(found["padding_mask"][row].numpy().sum()) == len(ids)
    assert module.encode_around(tf.constant([], tf.string), [around])["token_ids"].shape == (0, 0)


def test_stand_ins_cannot_be_spelled(simple):
    tokenizer, module = simple
    letters = "".join(map(chr, range(0x20)))
    texts = [f"a{first}{second}b" for first in letters for second in letters] + ["[SE\x0eP]", "\x0e[SEP]\x0f"]
    assert_equal(module(texts), tokenizer(texts))


def test_bytes_that_are_not_utf8_are_dropped(simple):
    tokenizer, module = simple
    rng = np.random.default_rng(0)
    rows = [b"a\xffb", b"\xe4\xb8a", b"\xed\xa0\x80a", b"\xf5\x80", b"[SEP]\xc3[MASK]", b"\xc3(", b"\xf0\x9f\x98"]
    rows += [
        bytes(rng.choice([0x61, 0x20, 0xC3, 0xA9, 0xE4, 0xB8, 0x80, 0xED, 0xA0, 0xF0, 0x9F, 0xFF], 12))
        for _ in range(500)
    ]
    texts = [row.decode("utf-8", errors="replace") for row in rows]
    assert_equal(module(rows), tokenizer(texts, max_length=9))


def test_unequal_columns_are_refused(simple):
    with pytest.raises(tf.errors.InvalidArgumentError, match="must be of one length"):
        simple[1](["a", "b"], ["c"])


def test_a_saved_model_opens_without_this_package(simple, tmp_path):
    tokenizer, module = simple
    signatures = {"texts": module.encode_texts, "pairs": module.encode_pairs}
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=signatures)
    code = (
        "import sys, tensorflow as tf, tensorflow_text\n"
        f"loaded = tf.saved_model.load({str(tmp_path / 'saved')!r})\n"
        "texts, pairs = tf.constant(['a[SEP]b \\u00e9', 'c']), tf.constant(['b', ''])\n"
        "print(loaded.encode_texts(texts)['token_ids'].numpy().tolist())\n"
        "print(loaded.signatures['pairs'](texts=texts, pairs=pairs)['token_ids'].numpy().tolist())\n"
        "assert not [name for name in sys.modules if name.split('.')[0] in ('keras_bert_suite', 'tokenizers')]\n"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    ).stdout
    texts, pairs = ["a[SEP]b é", "c"], ["b", ""]
    expected = [tokenizer(texts)["token_ids"].tolist(), tokenizer(texts, pairs)["token_ids"].tolist()]
    assert printed == "".join(f"{ids}\n" for ids in expected)


def test_only_kernels_that_servers_have(simple, tmp_path):
    tf.saved_model.save(simple[1], str(tmp_path))
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    graph = SavedModel.FromString((tmp_path / "saved_model.pb").read_bytes()).meta_graphs[0].graph_def
    operations = {node.op for function in graph.library.function for node in function.node_def}
    core = set(
        subprocess.run(
            [sys.executable, "-c", CORE_OPERATIONS], capture_output=True, text=True, check=True
        ).stdout.split()
    )
    assert operations - core == {"FastWordpieceTokenizeWithOffsets"}


def test_max_length_is_checked(simple):
    with pytest.raises(ValueError, match=r"must hold the 3 special tokens of a pair\. Received: max_length=2"):
        build_in_graph_tokenizer(simple[0], 2)


def refused(definition):
    tokenizer = WordPieceTokenizer.__new__(WordPieceTokenizer)
    tokenizer._set(definition)
    with pytest.raises(ValueError, match="must equal the host's") as error:
        build_in_graph_tokenizer(tokenizer, 16)
    return str(error.value)


def test_what_a_table_cannot_follow_is_refused_by_name():
    vocab = [*SPECIALS, "a"]
    word = from_vocabulary(vocab, extra_tokens=[{"content": "covid", "special": False}])
    assert "the added token 'covid' with normalized=true" in refused(word)
    overlapping = from_vocabulary(vocab, extra_tokens=["<a>", ">b"])
    assert "the added tokens '<a>' and '>b', which can overlap" in refused(overlapping)
    spaced = from_vocabulary(vocab, extra_tokens=[" x"])
    assert "' x', which holds white space at an end" in refused(spaced)
    other = from_vocabulary(vocab)
    other.content["normalizer"] = {"type": "NFC"}
    other.content["pre_tokenizer"] = {"type": "Whitespace"}
    message = refused(other)
    assert "the normalizer NFC" in message
    assert "the pre-tokenizer Whitespace" in message
    unclean = from_vocabulary(vocab)
    unclean.content["normalizer"]["clean_text"] = False
    assert "without clean_text" in refused(unclean)


def test_added_special_tokens():
    definition = from_vocabulary([*SPECIALS, "a", "e", "##1"], extra_tokens=["[E1]", "[E1]x", "<e>", "Ü€", "[1]"])
    tokenizer = WordPieceTokenizer.__new__(WordPieceTokenizer)
    tokenizer._set(definition)
    module = build_in_graph_tokenizer(tokenizer, 32)
    texts = ["[E1]a[E1]x", "a[E1][E1]x[1]", "<E> <e>", "ü€ Ü€a", "[E1", "[[E1]]é<e>", "[e1]"]
    assert_equal(module(texts), tokenizer(texts))

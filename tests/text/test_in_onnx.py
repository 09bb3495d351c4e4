"""The tokenizer in ONNX Runtime against the one on the host: no difference, on anything."""

import numpy as np
import pytest

from keras_bert_suite.text import WordPieceTokenizer
from keras_bert_suite.text.code_points import bert_table
from tests.text.hard_text import KINDS, SPECIALS, every_character, random_texts, small_vocabulary

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

from keras_bert_suite.text.in_onnx import build_onnx_tokenizer  # noqa: E402

PACKED = 32  # characters a row


def opened(model):
    """Return a function from texts, and pairs, to what the graph makes of them."""
    onnx.checker.check_model(model)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    def encode(*columns):
        names = [value.name for value in session.get_inputs()]
        found = session.run(None, {name: np.array(texts, object) for name, texts in zip(names, columns, strict=True)})
        return dict(zip([value.name for value in session.get_outputs()], found, strict=True))

    return encode


def assert_equal(ours, host):
    assert ours.keys() == host.keys()
    for name, expected in host.items():
        assert ours[name].dtype == np.int32
        np.testing.assert_array_equal(ours[name], expected, err_msg=name)


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request):
    """Without the marks that are put into an order, which are refused."""
    marks = set(map(chr, bert_table(True, None, True).marks))
    tokens = [token for token in small_vocabulary() if token[-1] not in marks]
    return WordPieceTokenizer(tokens, **KINDS[request.param])


@pytest.fixture(scope="module")
def simple():
    return WordPieceTokenizer([*SPECIALS, "a", "b", "c", "##b"])


def test_random_unicode(tokenizer):
    texts, pairs = random_texts(3000, seed=11), random_texts(3000, seed=12)
    assert_equal(opened(build_onnx_tokenizer(tokenizer, 64))(texts), tokenizer(texts, max_length=64))
    encode = opened(build_onnx_tokenizer(tokenizer, 64, pair=True))
    assert_equal(encode(texts, pairs), tokenizer(texts, pairs, max_length=64))


@pytest.mark.slow
def test_every_code_point(tokenizer):
    encode = opened(build_onnx_tokenizer(tokenizer, 256))
    chars = every_character()
    for first in range(0, len(chars), 1000 * PACKED):
        rows = [chars[row : row + PACKED] for row in range(first, min(first + 1000 * PACKED, len(chars)), PACKED)]
        texts = ["".join(f"{char} a{char}b " for char in row) for row in rows]
        assert_equal(encode(texts), tokenizer(texts, max_length=256))


def test_truncation(simple):
    sides = [" ".join("abcabca"[:count]) for count in range(8)]
    texts, pairs = [first for first in sides for _ in sides], [second for _ in sides for second in sides]
    for max_length in (3, 5, 6, 11):
        single, paired = (build_onnx_tokenizer(simple, max_length, pair) for pair in (False, True))
        assert_equal(opened(single)(texts), simple(texts, max_length=max_length))
        assert_equal(opened(paired)(texts, pairs), simple(texts, pairs, max_length=max_length))


def test_empty_and_long(simple):
    encode = opened(build_onnx_tokenizer(simple, 9))
    long = ["ab" * 50, "ab" * 50 + "b", "x" * 100_000, "é" * 101, "é" * 100]
    for texts in ([""], [" "], ["", " \n", "a"], long, ["\x00", "[SEP]"], ["[SEP]" * 20, "none", "[[SEP]]"]):
        assert_equal(encode(texts), simple(texts, max_length=9))
    assert encode([])["token_ids"].shape == (0, 0)


def test_pairs_of_empty_texts(simple):
    encode = opened(build_onnx_tokenizer(simple, 9, pair=True))
    for texts, pairs in (([""], [""]), (["a"], [""]), (["", "a b"], ["b", ""])):
        assert_equal(encode(texts, pairs), simple(texts, pairs, max_length=9))
    assert encode([], [])["segment_ids"].shape == (0, 0)


def test_unequal_columns_are_refused(simple):
    encode = opened(build_onnx_tokenizer(simple, 9, pair=True))
    for texts, pairs in ((["a"], ["b", "c"]), (["a", "b"], ["c"]), (["a"], []), ([], ["a"])):
        with pytest.raises(Exception, match="Reshape"):
            encode(texts, pairs)


def test_one_file_with_the_model_behind(simple):
    helper, kinds = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Mul", ["token_ids", "padding_mask"], ["masked"]),
        helper.make_node("Add", ["masked", "segment_ids"], ["sum"]),
    ]
    values = [helper.make_tensor_value_info(name, kinds.INT32, ["batch", "length"]) for name in simple(["a"])]
    graph = helper.make_graph(
        nodes, "model", values, [helper.make_tensor_value_info("sum", kinds.INT32, ["batch", "length"])]
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    joined = onnx.compose.merge_models(
        build_onnx_tokenizer(simple, 9), model, io_map=[(value.name, value.name) for value in values]
    )
    assert opened(joined)(["a b"])["sum"].tolist() == simple(["a b"])["token_ids"].tolist()


def test_refused_with_its_reason(simple):
    with pytest.raises(ValueError, match="hold the 3 special tokens"):
        build_onnx_tokenizer(simple, 2, pair=True)
    with pytest.raises(ValueError, match="marks that stand in an order"):
        build_onnx_tokenizer(WordPieceTokenizer([*SPECIALS, "a", "\u1b44"]), 9)


def test_a_prompt_before_each_text(simple):
    encode = opened(build_onnx_tokenizer(simple, 9, prompt="a bé[SEP]"))
    texts = ["", "b", "\u0301b", "b " * 9]
    assert_equal(encode(texts), simple([f"a bé[SEP]{text}" for text in texts], max_length=9))
    assert encode([])["token_ids"].shape == (0, 0)

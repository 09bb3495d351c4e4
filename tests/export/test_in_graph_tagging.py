"""Spans from the graph against those of `TokenClassifier.predict`."""

import itertools

import keras
import numpy as np
import pytest

from tests.export.in_graph_serving import outputs_of_a_server
from tests.support.shared import shared_path
from tests.text.hard_text import KINDS, random_texts, small_vocabulary

if keras.backend.backend() != "tensorflow":
    pytest.skip("the signatures are built with Keras on TensorFlow", allow_module_level=True)
tf = pytest.importorskip("tensorflow")
pytest.importorskip("tensorflow_text")

import keras_bert_suite as kbs  # noqa: E402
from keras_bert_suite.data import read_tagged  # noqa: E402
from keras_bert_suite.data.tag_schemes import scheme_tags  # noqa: E402
from keras_bert_suite.export.in_graph_field import decode_in_graph  # noqa: E402
from keras_bert_suite.export.in_graph_tagging import build_tagging  # noqa: E402
from keras_bert_suite.layers import CRF  # noqa: E402

pytestmark = pytest.mark.per_backend

MAX_LENGTH = 24
HARD = [
    "",
    " ",
    "\x00\x01",  # nothing is left of it
    "\u0301",
    "a \u200b\u0301 b",
    "hello \u200b world \u200ehello \u00ad \u200d world" * 3,  # words of no pieces
    "[SEP]",
    "a [MASK]ab[CLS]",  # one piece reaches over three words
    "x" * 150,
    "caf\u00e9 cafe\u0301 \U0001f469\u200d\U0001f4bb \u4eca\u5929 \u0627\u0644",
    "hello world unaffable caf\u00e9 [SEP] \u4e00\u4e01 " * 15,
]


def tagger(scheme="BIO", crf=False, kind="uncased", stride=None):
    keras.utils.set_random_seed(1)
    vocab = small_vocabulary()
    config = kbs.EncoderConfig(
        vocabulary_size=len(vocab),
        num_layers=1,
        hidden_dim=12,
        num_heads=3,
        intermediate_dim=20,
        max_length=MAX_LENGTH,
        initializer_range=0.4,
    )
    tokenizer = kbs.WordPieceTokenizer(vocab, **KINDS[kind])
    labels = scheme_tags(["PER", "LOC", "größe"], scheme) if scheme else ["O", "NOUN", "VERB", "M", "S"]
    task = kbs.TokenClassifier(
        kbs.models.build_encoder(config), tokenizer, labels=labels, crf=crf, scheme=scheme, stride=stride
    )
    if crf:
        field = task.model.get_layer("crf")
        for weight in field.weights:
            weight.assign(weight + keras.random.normal(weight.shape, seed=2))
    return task


def assert_equal(task, outputs, texts):
    outputs = {name: value.numpy() for name, value in outputs.items()}
    expected = [answer["spans"] for answer in task.predict(texts)]
    most = max(map(len, expected), default=0)
    assert outputs["num_spans"].tolist() == list(map(len, expected))
    padding = {"start": -1, "end": -1, "label": b"", "span": b"", "score": 0.0}
    for name, nothing in padding.items():
        assert outputs[name].shape == (len(texts), most)
        theirs = [[span["text" if name == "span" else name] for span in spans] for spans in expected]
        theirs = [[one.encode() if isinstance(one, str) else one for one in row] for row in theirs]
        theirs = [row + [nothing] * (most - len(row)) for row in theirs]
        if name == "score":
            np.testing.assert_allclose(outputs[name], np.array(theirs).reshape(len(texts), most), atol=1e-5, rtol=0)
        else:
            assert outputs[name].tolist() == theirs
    return expected


@pytest.fixture(scope="module")
def plain():
    task = tagger()
    return task, build_tagging(task, MAX_LENGTH)


@pytest.fixture(scope="module")
def with_field():
    task = tagger("BIOES", crf=True, kind="no_chinese_split", stride=20)
    return task, build_tagging(task, MAX_LENGTH)


def assert_all_equal(task, module):
    texts = [*random_texts(100, seed=5), *HARD]
    expected = assert_equal(task, module.serve(tf.constant(texts)), texts)
    assert sum(map(len, expected)) > 100
    for few in ([], [""], ["", "\x00"], ["hello"]):
        assert_equal(task, module.serve(tf.constant(few, tf.string)), few)


def test_spans_are_those_of_predict(plain):
    assert_all_equal(*plain)


def test_spans_of_a_field_are_those_of_predict(with_field):
    assert_all_equal(*with_field)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scheme", "crf", "kind", "stride"),
    [("IOB1", False, "cased", 0), ("IO", True, "cased_stripped", None), (None, False, "uncased", 1)],
)
def test_spans_of_every_scheme_are_those_of_predict(scheme, crf, kind, stride):
    task = tagger(scheme, crf, kind, stride)
    assert_all_equal(task, build_tagging(task, MAX_LENGTH))


def test_bytes_that_are_not_utf8_count_as_characters(plain):
    task, module = plain
    rows = [b"a\xffb [SEP]\xe4\xb8 hello", b"\xf0\x9f\x98world"]
    assert_equal(task, module.serve(tf.constant(rows)), [row.decode("utf-8", errors="replace") for row in rows])


def test_a_saved_model_needs_nothing_but_tensorflow(with_field, tmp_path):
    task, module = with_field
    texts = ["hello cafe\u0301 world [SEP]", "", "unaffable " * 40]
    outputs, foreign = outputs_of_a_server(module, tmp_path, text=texts)
    assert foreign == ["FastWordpieceTokenizeWithOffsets"]
    assert_equal(task, {name: tf.constant(value) for name, value in outputs.items()}, texts)


def test_rows_go_through_the_model_in_chunks(monkeypatch):
    monkeypatch.setattr("keras_bert_suite.export.in_graph_windows.CHUNK_TOKENS", 3 * MAX_LENGTH)
    task = tagger()
    texts = random_texts(20, seed=6)
    assert_equal(task, build_tagging(task, MAX_LENGTH).serve(tf.constant(texts)), texts)


def test_real_sentences(plain):
    paths = [shared_path(f"data/{name}") for name in ("wnut17/emerging.dev.conll", "germeval14/NER-de-dev.tsv")]
    paths.append(shared_path("data/zh_weibo_ner/weiboNER_2nd_conll.dev"))
    texts = []
    for path in paths:
        rows = itertools.islice(read_tagged(path, labels=False), 60)
        texts.extend(" ".join(row.tokens) for row in rows)
    texts.append(" ".join(texts))
    task, module = plain
    assert_equal(task, module.serve(tf.constant(texts)), texts)


def field(num_labels, seed):
    rng = np.random.default_rng(seed)
    layer = CRF()
    layer.build((None, None, num_labels))
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape).astype("float32"))
    return layer, rng


def decoder(layer):
    signature = [tf.TensorSpec((None, layer.transitions.shape[0])), tf.TensorSpec((None,), tf.int64)]
    return tf.function(lambda emissions, splits: decode_in_graph(emissions, splits, layer), input_signature=signature)


def test_the_field_finds_the_best_of_all_sequences_and_their_probabilities():
    layer, rng = field(3, seed=0)
    start, end, steps = (weight.numpy().astype(float) for weight in layer.weights)
    lengths = [4, 0, 1, 6, 0]
    emissions = rng.normal(size=(sum(lengths), 3)).astype("float32")
    splits = np.cumsum([0, *lengths])
    best, certainty = decoder(layer)(emissions, splits)
    for first, after in itertools.pairwise(splits):
        words = emissions[first:after].astype(float)
        if not len(words):
            continue
        ways = np.array(list(itertools.product(range(3), repeat=len(words))))
        scores = start[ways[:, 0]] + end[ways[:, -1]] + words[np.arange(len(words)), ways].sum(axis=1)
        scores += steps[ways[:, :-1], ways[:, 1:]].sum(axis=1)
        right = ways[scores.argmax()]
        chances = np.exp(scores) / np.exp(scores).sum()
        assert best[first:after].numpy().tolist() == right.tolist()
        marginals = (chances[:, None] * (ways == right)).sum(axis=0)
        np.testing.assert_allclose(certainty[first:after], marginals, atol=1e-6)


def test_the_field_keeps_its_precision_over_long_texts():
    layer, rng = field(4, seed=1)
    emissions = (4 * rng.normal(size=(3000, 4))).astype("float32")
    decode = decoder(layer)
    whole, sure = decode(emissions, [0, 3000])
    part, sure_in_part = decode(emissions[1000:], [0, 2000])  # says the same, but near its begin
    assert whole[1100:].numpy().tolist() == part[100:].numpy().tolist()
    np.testing.assert_allclose(sure[1100:], sure_in_part[100:], atol=1e-6)


def test_no_room_for_text_is_refused():
    with pytest.raises(ValueError, match=r"max_length has no room for text\. Received: max_length=3"):
        build_tagging(tagger(), 3)

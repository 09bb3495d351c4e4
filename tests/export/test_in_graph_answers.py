"""Answers from the graph against those of `QuestionAnswerer.predict`."""

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
from keras_bert_suite.data import read_questions  # noqa: E402
from keras_bert_suite.export.in_graph_answers import build_answers  # noqa: E402

pytestmark = pytest.mark.per_backend

MAX_LENGTH = 32
HARD = [
    ("who", ""),
    ("who", " \x00"),
    ("", "hello"),
    ("a" * 99 + " hello" * 50, "unaffable world"),
    ("[SEP] [MASK]", "a [MASK] b [SEP]"),
    ("who", "x" * 150),
    ("who", "hello world unaffable cafe\u0301 [SEP] \u4e00\u4e01 " * 15),
    ("who", "\u0301a"),
    ("who", "\U0001f468\u200d\U0001f469\u200d\U0001f467 world\U0001f44d\U0001f3fd cafe\u0301"),
    ("wer", "\u0627\u0644\u0639\u0631\u0628 \u4eca\u5929\u5929 n\u0303"),
]


def answerer(kind="uncased", **settings):
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
    return kbs.QuestionAnswerer(kbs.models.build_encoder(config), tokenizer, **settings)


@pytest.fixture(scope="module")
def always():
    task = answerer()
    return task, build_answers(task, MAX_LENGTH)


@pytest.fixture(scope="module")
def sometimes():
    """It gives no answer to half of the questions."""
    task = answerer("cased", stride=5, max_answer_length=4)
    examples = read_questions([{"question": question, "context": context} for question, context in hard_rows(100)])
    task.null_threshold = float(np.median(task._texts_and_margins(examples)[1]))
    return task, build_answers(task, MAX_LENGTH)


def assert_equal(task, outputs, rows):
    outputs = {name: value.numpy() for name, value in outputs.items()}
    expected = task.predict([{"question": question, "context": context} for question, context in rows])
    assert outputs["answer"].tolist() == [answer["answer"].encode() for answer in expected]
    for name in ("start", "end"):
        assert outputs[name].tolist() == [-1 if answer[name] is None else answer[name] for answer in expected]
    np.testing.assert_allclose(outputs["score"], [answer["score"] for answer in expected], atol=1e-5, rtol=0)
    return expected


def ask(module, rows):
    questions, contexts = zip(*rows, strict=True) if rows else ((), ())
    return module.serve(tf.constant(questions, tf.string), tf.constant(contexts, tf.string))


def hard_rows(count):
    questions = [text or "a" for text in random_texts(count, seed=6, longest=20)]
    rows = [*zip(questions, random_texts(count, seed=5), strict=True), *HARD]
    return [(question.strip() or "a", context) for question, context in rows]


def assert_all_equal(task, module):
    expected = assert_equal(task, ask(module, hard_rows(100)), hard_rows(100))
    for few in ([], [("a", "")], [("a", ""), ("a", "\x00")], [("a", "b")]):
        assert_equal(task, ask(module, few), few)
    return sum(answer["start"] is None for answer in expected)


def test_answers_are_those_of_predict(always):
    assert 0 < assert_all_equal(*always) < 30  # contexts of which nothing is left have none


def test_answers_are_left_out_where_predict_leaves_them_out(sometimes):
    assert assert_all_equal(*sometimes) == len(hard_rows(100)) // 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "settings"),
    [("no_chinese_split", {"stride": 0}), ("cased_stripped", {"max_answer_length": 1, "null_threshold": 0.5})],
)
def test_answers_of_other_settings_are_those_of_predict(kind, settings):
    task = answerer(kind, **settings)
    assert_all_equal(task, build_answers(task, MAX_LENGTH))


def test_bytes_that_are_not_utf8_count_as_characters(always):
    task, module = always
    contexts = [b"a\xffb [SEP]\xe4\xb8 hello", b"\xf0\x9f\x98world"]
    rows = [("who", context.decode("utf-8", errors="replace")) for context in contexts]
    assert_equal(task, module.serve(tf.constant(["who"] * 2), tf.constant(contexts)), rows)


def test_unequal_columns_are_refused(always):
    with pytest.raises(tf.errors.InvalidArgumentError, match="must be of one length"):
        always[1].serve(tf.constant(["a", "b"]), tf.constant(["c"]))


def test_a_saved_model_needs_nothing_but_tensorflow(sometimes, tmp_path):
    task, module = sometimes
    rows = hard_rows(20)
    questions, contexts = map(list, zip(*rows, strict=True))
    outputs, foreign = outputs_of_a_server(module, tmp_path, question=questions, context=contexts)
    assert foreign == ["FastWordpieceTokenizeWithOffsets"]
    assert_equal(task, {name: tf.constant(value) for name, value in outputs.items()}, rows)


def test_real_questions(always):
    rows = []
    for language in ("en", "de", "zh"):
        examples = read_questions(shared_path(f"data/xquad/xquad.{language}.json"))[:300:10]
        rows.extend((example.question, example.context) for example in examples)
    task, module = always
    assert_equal(task, ask(module, rows), rows)

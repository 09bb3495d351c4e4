"""A classifier as `export` writes it: the server's answers are the task's."""

import pytest

from keras_bert_suite.serving import Client
from tests.export.conftest import make_task
from tests.serving.conftest import running

TEXTS = [
    "Where is my order?",
    "",
    "cancel the parcel, please",
    "Crème brûlée 😀 我想取消",
    "tab\tnew line\nnull\x00 and \ufffd",
    "[CLS] [SEP] written in the text",
    "a very long message that goes on and on " * 60,
]


@pytest.mark.tensorflow
def test_the_server_answers_as_the_task_does(tmp_path):
    task = make_task(pair=True)
    task.export(tmp_path / "intents", formats=["saved_model"], progress=False)
    pairs = TEXTS[3:] + TEXTS[:3]
    expected = task.predict(TEXTS, pairs=pairs)
    with running(tmp_path / "intents", tmp_path / "log") as server:
        found = Client(server.url).predict(TEXTS, pairs=pairs)
    assert [answer["label"] for answer in found] == [answer["label"] for answer in expected]
    for answer, wanted in zip(found, expected, strict=True):
        assert list(answer) == ["label", "score"]
        assert answer["score"] == pytest.approx(wanted["score"], abs=1e-5)

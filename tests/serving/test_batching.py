"""Which requests share a run; the model is a stand-in."""

import asyncio
import threading

import numpy as np
import pytest

from keras_bert_suite.serving.batching import Batcher
from keras_bert_suite.serving.signature import Signature, Tensor
from keras_bert_suite.serving.status import StatusError

TEXT = Tensor("text:0", np.dtype(object), (None,))
LENGTHS = Signature("lengths", {"text": TEXT}, {"length": Tensor("out:0", np.dtype("int64"), (None,))})
PADDED = Signature("padded", {"text": TEXT}, {"words": Tensor("out:0", np.dtype(object), (None, None))})


class Model:
    """Answers with lengths, keeps the sizes of its runs, and waits at the first until it may go on."""

    def __init__(self):
        self.signatures = {"lengths": LENGTHS, "padded": PADDED}
        self.runs = []
        self.go_on = threading.Event()

    def run(self, signature, inputs, outputs):
        self.runs.append(len(inputs["text"]))
        self.go_on.wait(10)
        if b"fail" in inputs["text"]:
            raise StatusError("INVALID_ARGUMENT", "failed")
        return [np.array([len(text) for text in inputs["text"]])]


def texts(*values):
    return {"text": np.array([value.encode() for value in values], object)}


def answers(model, requests, signature=LENGTHS, leave=(), **options):
    """Send requests while a first one runs, cancel those in `leave`, and return what came back."""

    async def send():
        batcher = Batcher(**options)
        first = asyncio.ensure_future(batcher.run(model, LENGTHS, texts("first"), ("length",)))
        while not model.runs:
            await asyncio.sleep(0.001)
        sent = [
            asyncio.ensure_future(batcher.run(model, signature, texts(*request), ("length",))) for request in requests
        ]
        await asyncio.sleep(0.01)
        for index in leave:
            sent[index].cancel()
        model.go_on.set()
        found = await asyncio.gather(first, *sent, return_exceptions=True)
        assert batcher.waiting == 0
        batcher.close()
        return [one if isinstance(one, BaseException) else one[0].tolist() for one in found[1:]]

    return asyncio.run(send())


def test_what_waits_shares_runs_of_few_sizes():
    model = Model()
    assert answers(model, [["x" * size] for size in range(21)], max_batch=16) == [[size] for size in range(21)]
    assert model.runs == [1, 16, 4, 1]


def test_texts_of_unlike_length_do_not_share_a_run():
    model = Model()
    found = answers(model, [["x"], ["x" * 1000], ["y"], ["y" * 900]])
    assert found == [[1], [1000], [1], [900]]
    assert model.runs == [1, 2, 2]


def test_a_large_request_is_split_and_put_together():
    model = Model()
    assert answers(model, [["x" * size for size in range(10)]], max_batch=4) == [list(range(10))]
    assert model.runs == [1, 4, 4, 2]


def test_outputs_that_depend_on_other_rows_are_run_alone():
    model = Model()
    answers(model, [["a"], ["b c"]], signature=PADDED)
    assert model.runs == [1, 1, 1]


def test_a_failure_is_only_that_of_the_request_at_fault():
    model = Model()
    found = answers(model, [["a"], ["fail"], ["abc"]])
    assert (found[0], found[2]) == ([1], [3])
    assert isinstance(found[1], StatusError)
    assert model.runs == [1, 3, 1, 1, 1]


def test_a_client_that_has_gone_costs_no_run():
    model = Model()
    found = answers(model, [["a"], ["b"], ["c"]], leave=[0, 2])
    assert found[1] == [1]
    assert model.runs == [1, 1]


@pytest.mark.parametrize(("timeout", "runs"), [(0.0, [1, 1]), (0.2, [2])])
def test_a_timeout_lets_a_request_wait_for_others(timeout, runs):
    model = Model()
    model.go_on.set()

    async def send():
        batcher = Batcher(timeout=timeout)
        first = asyncio.ensure_future(batcher.run(model, LENGTHS, texts("a"), ("length",)))
        await asyncio.sleep(0.05)
        second = asyncio.ensure_future(batcher.run(model, LENGTHS, texts("bc"), ("length",)))
        return [(await one)[0].tolist() for one in (first, second)]

    assert asyncio.run(send()) == [[1], [2]]
    assert model.runs == runs

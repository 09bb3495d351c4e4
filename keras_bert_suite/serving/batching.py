"""Joining concurrent requests: whatever waits while a run goes on shares the next one."""

import asyncio
import collections
import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from keras_bert_suite.serving.status import StatusError, explained

__all__ = ["Batcher"]


#: Rows of runs that are made of several requests; what is left over has its turn next. For every new shape the
#: libraries below TensorFlow make a kernel and keep it, which takes time once and memory for good.
SIZES = {size << power for power in range(16) for size in (2, 3)} | {1}

#: Texts of less than 2 to this power of bytes count as equally long, and those of more: models cut them.
SHORT_BITS, LONG_BITS = 6, 12


@dataclasses.dataclass(eq=False)
class _Item:
    """Rows that wait for a run."""

    inputs: dict
    rows: int
    arrived: float
    answer: asyncio.Future


class Batcher:
    """Runs requests in worker threads, several in one run where that changes no answer.

    Requests to the same signature of the same version join when their shapes
    are equal but for the rows, their texts are about as long, and
    `Signature.row_wise` holds. A request of more rows than a run takes is split
    in the same way. When a run of several requests fails, each is run alone, so
    that one bad request harms no other.

    Args:
        max_batch: int. Rows of a run. Defaults to 32.
        timeout: float. Seconds that a request waits for others while a thread is free. Defaults to 0.
        threads: int. Runs at a time. Defaults to 1.
        metrics: optional `Metrics`.
    """

    def __init__(self, max_batch=32, timeout=0.0, threads=1, metrics=None):
        self.max_batch = max_batch
        self.timeout = timeout
        self.metrics = metrics
        self._free = threads
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="session")
        self._queues = {}
        self._runs = set()
        self._wake = None

    @property
    def waiting(self):
        """Requests in the queues."""
        return sum(map(len, self._queues.values()))

    async def run(self, servable, signature, inputs, outputs):
        """Return the outputs of one request, a list of arrays in the order of `outputs`."""
        if not signature.row_wise:
            # An object of its own in the key: it shares a run with nothing.
            return await self._submit((servable, signature.name, outputs, object()), inputs, 1)
        parts = [
            self._submit((servable, signature.name, outputs, _likeness(part)), part, _rows(part))
            for part in _split(inputs, self.max_batch)
        ]
        if len(parts) == 1:
            return await parts[0]
        answers = await asyncio.gather(*parts)
        return [np.concatenate(pieces) for pieces in zip(*answers, strict=True)]

    def close(self):
        """End the threads once they are done."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _submit(self, key, inputs, rows):
        loop = asyncio.get_running_loop()
        item = _Item(inputs, rows, loop.time(), loop.create_future())
        self._queues.setdefault(key, collections.deque()).append(item)
        # Not at once: what else has arrived by now can still join.
        loop.call_soon(self._start_runs)
        return item.answer

    def _start_runs(self):
        loop = asyncio.get_running_loop()
        while self._free and self._queues:
            ready = [key for key, queue in self._queues.items() if self._is_ready(queue, loop.time())]
            if not ready:
                if self._wake is not None:
                    self._wake.cancel()
                first = min(queue[0].arrived for queue in self._queues.values())
                self._wake = loop.call_at(first + self.timeout, self._start_runs)
                return
            key = min(ready, key=lambda key: self._queues[key][0].arrived)
            items = self._take(self._queues[key])
            if not self._queues[key]:
                del self._queues[key]
            if items:
                self._free -= 1
                run = loop.create_task(self._run(key, items))
                self._runs.add(run)
                run.add_done_callback(self._runs.discard)

    def _is_ready(self, queue, now):
        return now >= queue[0].arrived + self.timeout or sum(item.rows for item in queue) >= self.max_batch

    def _take(self, queue):
        """Take the oldest items that make a run of one of few sizes; those whose client has gone are dropped."""
        items, rows, kept = [], 0, 1
        for item in queue:
            if items and rows + item.rows > self.max_batch:
                break
            items.append(item)
            rows += item.rows
            if rows in SIZES or rows == self.max_batch:
                kept = len(items)
        for _ in items[:kept]:
            queue.popleft()
        return [item for item in items[:kept] if not item.answer.done()]

    async def _run(self, key, items):
        try:
            try:
                answers = await self._run_joined(key, items)
            except StatusError as error:
                answers = [error]
                if len(items) > 1:
                    answers = [await self._run_alone(key, item) for item in items]
        except BaseException as error:
            answers = [explained(error)] * len(items)
            raise
        finally:
            self._free += 1
            for item, answer in zip(items, answers, strict=True):
                if item.answer.done():
                    continue
                if isinstance(answer, StatusError):
                    item.answer.set_exception(answer)
                else:
                    item.answer.set_result(answer)
            self._start_runs()

    async def _run_alone(self, key, item):
        try:
            return (await self._run_joined(key, [item]))[0]
        except StatusError as error:
            return error

    async def _run_joined(self, key, items):
        """Run items together and return the outputs of each."""
        servable, signature_name, outputs, _ = key
        signature = servable.signatures[signature_name]
        inputs = items[0].inputs
        if len(items) > 1:
            inputs = {name: np.concatenate([item.inputs[name] for item in items]) for name in inputs}
        if self.metrics:
            self.metrics.batch_rows.observe(sum(item.rows for item in items))
        loop = asyncio.get_running_loop()
        values = await loop.run_in_executor(self._threads, servable.run, signature, inputs, outputs)
        if len(items) == 1:
            return [values]
        total = sum(item.rows for item in items)
        if any(value.shape[:1] != (total,) for value in values):
            raise StatusError("INTERNAL", f"signature {signature_name!r} does not answer each row by one row")
        stops = np.cumsum([item.rows for item in items])[:-1]
        return list(zip(*(np.split(value, stops) for value in values), strict=True))


def _rows(inputs):
    return next(iter(inputs.values())).shape[0]


def _likeness(inputs):
    """Return what rows must share to be run together: shapes, and the power of two that bounds their longest text.

    Every row of a run is padded to the longest: a short text beside a long one would cost as much.
    """
    return tuple(
        (name, array.shape[1:], _length_class(array) if array.dtype.kind == "O" else None)
        for name, array in sorted(inputs.items())
    )


def _length_class(texts):
    longest = max(map(len, texts.ravel()), default=0)
    return min(max(longest.bit_length(), SHORT_BITS), LONG_BITS)


def _split(inputs, size):
    """Return the inputs in parts of at most `size` rows."""
    rows = _rows(inputs)
    if rows <= size:
        return [inputs]
    return [{name: array[start : start + size] for name, array in inputs.items()} for start in range(0, rows, size)]

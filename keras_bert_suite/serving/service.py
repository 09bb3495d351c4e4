"""What both protocols share: one call from its arrays to its answer, counted and bounded."""

import contextlib
import dataclasses
import logging
import time

from keras_bert_suite.serving.examples import (
    EXAMPLES,
    check_classifies,
    check_regresses,
    classes_and_scores,
    numbers,
)
from keras_bert_suite.serving.limits import Admission
from keras_bert_suite.serving.signature import DEFAULT_SIGNATURE
from keras_bert_suite.serving.status import StatusError, explained

__all__ = ["Call", "Service"]

logger = logging.getLogger(__name__)


@dataclasses.dataclass
class Call:
    """One request while it is answered.

    Args:
        method: str. `"predict"`, `"classify"`, `"regress"`, `"status"` or `"metadata"`.
        add_bytes: function of an int: counts what the request holds.
    """

    method: str
    add_bytes: object
    model: str | None = None
    signature: str | None = None
    started: float = dataclasses.field(default_factory=time.perf_counter)


class Service:
    """Answers calls on arrays, whatever protocol brought them.

    Args:
        repository: `Repository`.
        batcher: `Batcher`.
        limits: `Limits`.
        metrics: `Metrics`.
    """

    def __init__(self, repository, batcher, limits, metrics):
        self.repository = repository
        self.limits = limits
        self.metrics = metrics
        self.admission = Admission(limits)
        self.stopping = False
        self._batcher = batcher
        metrics.watch(batcher, self.admission)

    @contextlib.contextmanager
    def call(self, method, protocol):
        """Admit a call, count it when it ends, and turn any error into a `StatusError`."""
        call = Call(method, None)
        code = "CANCELLED"  # the client has gone, where nothing else sets it
        try:
            with self.admission.enter() as call.add_bytes:
                yield call
            code = "OK"
        except StatusError as error:
            code = error.code
            raise
        except Exception as error:
            found = explained(error)
            code = found.code
            if code == "INTERNAL":
                logger.exception("a %s call failed", method)
            raise found from error
        finally:
            self.metrics.record(call, protocol, code, time.perf_counter() - call.started)

    @contextlib.contextmanager
    def model(self, call, name, version=None, label=None):
        """Yield the `Servable` asked for; it stays loaded for the block."""
        servable = self.repository.get(name, version, label)
        call.model = servable.name
        with servable.in_use():
            yield servable

    async def predict(self, call, servable, signature, inputs, outputs=()):
        """Run a signature on arrays.

        Args:
            outputs: names of the outputs wanted; all by default.
        Returns:
            dict from output name to array.
        """
        call.signature = signature.name
        self.limits.check_inputs(inputs)
        signature.check_inputs(inputs)
        names = signature.choose_outputs(outputs)
        return dict(zip(names, await self._batcher.run(servable, signature, inputs, names), strict=True))

    async def classify(self, call, servable, signature_name, examples):
        """Classify serialized examples; returns a list per row of `(label, score)`."""
        outputs = await self._on_examples(call, servable, signature_name, examples, check_classifies)
        return classes_and_scores(outputs, len(examples))

    async def regress(self, call, servable, signature_name, examples):
        """Return the number of each serialized example, float array `(B,)`."""
        outputs = await self._on_examples(call, servable, signature_name, examples, check_regresses)
        return numbers(outputs, len(examples))

    async def _on_examples(self, call, servable, signature_name, examples, outputs_of):
        name = signature_name or DEFAULT_SIGNATURE
        if name not in servable.signatures:
            raise StatusError("INVALID_ARGUMENT", f"No signature was found with the name: {name}")
        signature = servable.signatures[name]
        return await self.predict(call, servable, signature, {EXAMPLES: examples}, outputs_of(signature))

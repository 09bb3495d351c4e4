"""One loaded version of a model: a TensorFlow session over a SavedModel, as the stock server has it."""

import contextlib
import copy

import numpy as np

from keras_bert_suite.errors import require
from keras_bert_suite.serving.signature import Signature, Tensor
from keras_bert_suite.serving.status import StatusError, explained

__all__ = ["Servable"]


class Servable:
    """A SavedModel in memory, ready to run. Nothing of it is read from disk after this.

    Args:
        name: str. The model's name.
        version: int.
        path: path of the directory with `saved_model.pb`.
    Raises:
        Exception: whatever TensorFlow raises for a directory that cannot be loaded.
    """

    def __init__(self, name, version, path):
        tf = require("tensorflow", "serving a SavedModel")
        with contextlib.suppress(ImportError):
            import tensorflow_text  # noqa: F401  registers the kernels of tokenizers
        self.name = name
        self.version = version
        self.users = 0
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        try:
            with self._session.graph.as_default():
                meta_graph = tf.compat.v1.saved_model.loader.load(self._session, ["serve"], str(path))
        except BaseException:
            self._session.close()
            raise
        # Copies: a part of a message keeps the whole of it, with all constants of the graph.
        self.signature_defs = {name: copy.deepcopy(found) for name, found in meta_graph.signature_def.items()}
        self.signatures = {name: _signature(name, found, tf) for name, found in self.signature_defs.items()}
        self._session.graph.finalize()

    @contextlib.contextmanager
    def in_use(self):
        """Keep the session open for the block. For one event loop."""
        self.users += 1
        try:
            yield self
        finally:
            self.users -= 1

    def run(self, signature, inputs, outputs):
        """Run a signature.

        Args:
            signature: `Signature` of this model.
            inputs: dict from input name to array.
            outputs: tuple of output names.
        Returns:
            list of arrays, one per output; strings are bytes.
        Raises:
            StatusError: whatever goes wrong.
        """
        fetches = [signature.outputs[name].tensor for name in outputs]
        feeds = {signature.inputs[name].tensor: array for name, array in inputs.items()}
        try:
            # A scalar string is fetched as bytes.
            return [np.asarray(value) for value in self._session.run(fetches, feeds)]
        except Exception as error:  # TensorFlow has one class for each code, and Python's for what cannot be fed
            raise explained(error) from error

    def signature(self, name, code="INVALID_ARGUMENT"):
        """Return a signature by name; the code for an unknown one depends on the method."""
        if name not in self.signatures:
            message = (
                f'Serving signature key "{name}" not found.'
                if code == "FAILED_PRECONDITION"
                else f'Serving signature name: "{name}" not found in signature def'
            )
            raise StatusError(code, message)
        return self.signatures[name]

    def close(self):
        """Free the memory."""
        self._session.close()
        self._session = None


def _signature(name, definition, tf):
    return Signature(name, _tensors(definition.inputs, tf), _tensors(definition.outputs, tf))


def _tensors(infos, tf):
    """Return the tensors by name; an operation without a value, such as an initializer's, is none."""
    return {name: _tensor(info, tf) for name, info in infos.items() if info.dtype}


def _tensor(info, tf):
    shape = info.tensor_shape
    return Tensor(
        tensor=info.name,
        dtype=np.dtype(tf.dtypes.as_dtype(info.dtype).as_numpy_dtype),
        shape=None if shape.unknown_rank else tuple(None if dim.size < 0 else dim.size for dim in shape.dim),
    )

"""Running a model before its first client comes: the first run of a signature optimizes its graph."""

import logging

import numpy as np

from keras_bert_suite.errors import require
from keras_bert_suite.serving.proto_tensors import read_tensor
from keras_bert_suite.serving.signature import DEFAULT_SIGNATURE
from keras_bert_suite.serving.status import StatusError

__all__ = ["warm_up"]

logger = logging.getLogger(__name__)

WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"

#: As many as TF Serving runs.
MOST_RECORDS = 1000
MOST_BYTES = 64 << 20


def warm_up(servable, path):
    """Run the predict requests of `assets.extra/tf_serving_warmup_requests`, or one of zeros per signature.

    Args:
        servable: `Servable`.
        path: path of its SavedModel.
    Returns:
        int. Requests run.
    Raises:
        StatusError: if a request of the file fails: the model would fail its clients as well.
    """
    file = path / WARMUP_FILE
    return _replay(servable, file) if file.is_file() else _run_zeros(servable)


def _run_zeros(servable):
    count = 0
    for signature in servable.signatures.values():
        if not signature.inputs or any(tensor.shape is None for tensor in signature.inputs.values()):
            continue
        inputs = {name: _zeros(tensor) for name, tensor in signature.inputs.items()}
        try:
            servable.run(signature, inputs, tuple(sorted(signature.outputs)))
            count += 1
        except StatusError as error:  # Zeros may be no valid input, such as of serialized examples.
            logger.debug("no warm-up of %s %s: %s", servable.name, signature.name, error)
    return count


def _zeros(tensor):
    shape = tuple(1 if size is None else size for size in tensor.shape)
    return np.full(shape, b"" if tensor.dtype.kind == "O" else 0, tensor.dtype)


def _replay(servable, file):
    tf = require("tensorflow", "kbs serve")
    log_pb2 = require("tensorflow_serving.apis.prediction_log_pb2", "kbs serve")
    count = 0
    for record in tf.data.TFRecordDataset(str(file)).take(MOST_RECORDS).as_numpy_iterator():
        log = log_pb2.PredictionLog.FromString(record)
        if log.WhichOneof("log_type") != "predict_log":
            continue
        request = log.predict_log.request
        signature = servable.signature(request.model_spec.signature_name or DEFAULT_SIGNATURE)
        inputs = {name: read_tensor(name, proto, MOST_BYTES) for name, proto in request.inputs.items()}
        signature.check_inputs(inputs)
        servable.run(signature, inputs, signature.choose_outputs(tuple(request.output_filter)))
        count += 1
    logger.info("ran %d warm-up requests of %s", count, servable.name)
    return count

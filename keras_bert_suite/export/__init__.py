"""Leaving Keras: SavedModel, LiteRT and ONNX files, each checked against the model it came from.

Artifacts are written and run by a worker process with the TensorFlow backend,
from whatever backend the caller runs; this side imports neither TensorFlow nor
any runtime.
"""

from keras_bert_suite.export.export_task import export_task
from keras_bert_suite.export.formats import FORMATS, available_formats
from keras_bert_suite.export.report import Report
from keras_bert_suite.export.verify import verify_artifacts

__all__ = ["FORMATS", "Report", "available_formats", "export_task", "verify_artifacts"]

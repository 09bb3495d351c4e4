"""An exported file used as the task that it came from: `predict`, `evaluate` and `report` as of a checkpoint."""

import copy
import os
import threading

import numpy as np

from keras_bert_suite.errors import ArtifactError, CheckpointError, DataError
from keras_bert_suite.export.description import FOLDER, described
from keras_bert_suite.export.examples import shortened
from keras_bert_suite.export.runtimes import find_artifact, open_runtime, packed_files
from keras_bert_suite.export.served_model import raw_outputs

__all__ = ["artifact_task", "is_artifact", "open_artifact"]


def is_artifact(path):
    """Return whether a path is one exported file, or the directory of one."""
    try:
        return find_artifact(path) is not None
    except OSError:
        return False


def open_artifact(path, num_threads=None):
    """Open an exported file as the task that it came from.

    Nothing but the file is needed: tokenizer, labels and settings are in it or
    lie beside it. Texts are tokenized here, and the file's runtime computes.

    Args:
        path: str or path of a SavedModel, a `.tflite`, an `.onnx` or an
            OpenVINO `.xml` file, or of the directory with one.
        num_threads: optional int. Threads of the runtime. Defaults to the runtime's choice.
    Returns:
        A task: `TextClassifier` and so on, that cannot be trained or saved.
    Raises:
        ArtifactError: if there is no artifact, or it is damaged or lacks its description.
        ImportError: if its runtime is not installed.
    Example:
        classifier = open_artifact("out/litert/model.tflite")
        classifier.evaluate("test.tsv")
    """
    from keras_bert_suite.tasks import open_task

    found = find_artifact(path)
    if found is None:
        raise ArtifactError(
            f"{path}: holds no artifact. Give a SavedModel, a .tflite, .onnx or .xml file, or the directory of one."
        )
    prefix = f"{FOLDER}/"
    files = {name.removeprefix(prefix): data for name, data in packed_files(found).items() if name.startswith(prefix)}
    with described(files, found) as directory:
        try:
            task = open_task(directory)
        except (CheckpointError, DataError) as error:
            what = str(error).replace(f"{directory}{os.sep}", "")
            raise ArtifactError(f"{found}: its description is damaged: {what} Export it again.") from error
    runtime = open_runtime(found, num_threads)
    return artifact_task(task, runtime.run_ids, runtime.max_length)


def artifact_task(task, run, max_length=None):
    """Return a task that computes with an artifact in place of its Keras model.

    Args:
        task: the task that the artifact came from.
        run: function from a dict of int32 arrays to a dict of arrays, as a runtime has it.
        max_length: optional int. The most tokens that the artifact takes.
    """
    length = task.max_length if max_length is None else min(max_length, task.max_length)
    task = copy.copy(task) if length == task.max_length else shortened(task, "max_length", length)
    model = ArtifactModel(task, run)
    if task.task == "sentence-embedding":
        task.model, task._models = model, {}
    elif task.task == "fill-mask":
        task.model = task._scorer = model
    else:
        task._built = model
    return task


class ArtifactModel:
    """What a task asks of its `keras.Model`, answered by an artifact.

    Args:
        task: the task, with its Keras model.
        run: function from a dict of int32 arrays to a dict of arrays.
    """

    def __init__(self, task, run):
        self._task = task
        self._keras_model = task.model
        self._run = run
        self._one_at_a_time = threading.Lock()
        self.compiled = True
        self.jit_compile = False

    def predict_on_batch(self, arrays):
        """Return the outputs of the Keras model, up to a constant: NumPy array."""
        arrays = {name: np.asarray(array, "int32") for name, array in arrays.items()}
        positions = arrays.pop("masked_positions", None)
        if getattr(self._task, "crf", False):
            arrays["word_mask"] = np.zeros_like(arrays["padding_mask"])
        with self._one_at_a_time:  # runtimes are not all made for several threads
            outputs = self._run(arrays)
        raw = raw_outputs(self._task, outputs)
        return raw if positions is None else np.take_along_axis(raw, positions[..., None], axis=1)

    def get_layer(self, name):
        """Return a layer of the Keras model; the scorer of choices, which takes rows, is the artifact's."""
        if name != "scorer":
            return self._keras_model.get_layer(name)
        return RowScorer(self)

    @property
    def output(self):
        return self._keras_model.output

    @property
    def layers(self):
        return self._keras_model.layers


class RowScorer:
    """Scores of single choices, by a model of groups of them."""

    compiled = True
    jit_compile = False

    def __init__(self, model):
        self._model = model

    def predict_on_batch(self, arrays):
        """Return `(B, 1)` for arrays `(B, T)`."""
        return self._model.predict_on_batch({name: np.asarray(array)[:, None] for name, array in arrays.items()})

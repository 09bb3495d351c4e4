"""Running a SavedModel in TensorFlow."""

import contextlib
import os

from keras_bert_suite.errors import ArtifactError, require

__all__ = ["load_saved_model"]


def load_saved_model(path, num_threads=None):
    """Open a SavedModel.

    Args:
        path: path of its directory.
        num_threads: optional int. Threads of one operation.
    Returns:
        `(run_ids, run_text)`, as `runtimes.Runtime` describes them; `run_text`
        is `None` where it takes ids alone.
    Raises:
        ArtifactError: if it is damaged.
        ImportError: if TensorFlow is missing, or its tokenizer's kernel.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    tf = require("tensorflow", "running a SavedModel")
    if num_threads is not None:
        with contextlib.suppress(RuntimeError):  # TensorFlow runs already
            tf.config.threading.set_intra_op_parallelism_threads(num_threads)
    with contextlib.suppress(ImportError):
        import tensorflow_text  # noqa: F401  registers the tokenizer's kernel
    try:
        loaded = tf.saved_model.load(str(path))
    except (OSError, RuntimeError, ValueError, IndexError, tf.errors.OpError) as error:
        if "FastWordpiece" in str(error):
            require("tensorflow_text", "a SavedModel that takes strings")
        raise ArtifactError(f"{path}: cannot be opened: {str(error).splitlines()[0]:.300}. Export it again.") from error
    if "ids" not in loaded.signatures:
        raise ArtifactError(
            f"{path}: it must have a signature named ids. Received: {', '.join(loaded.signatures) or 'none'}. "
            "Use one that kbs export wrote."
        )

    def runner(signature):
        inputs = loaded.signatures[signature].structured_input_signature[1]

        def run(columns):
            arguments = {name: tf.constant(columns[name], spec.dtype) for name, spec in inputs.items()}
            return {name: value.numpy() for name, value in loaded.signatures[signature](**arguments).items()}

        return run

    takes_text = "token_ids" not in loaded.signatures["serving_default"].structured_input_signature[1]
    return runner("ids"), runner("serving_default") if takes_text else None

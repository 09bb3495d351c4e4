"""The truth that artifacts are held against: the Keras model's own probabilities, in full float32."""

import contextlib
import copy
import tempfile
from pathlib import Path

import numpy as np

__all__ = ["HARD_PAIRS", "HARD_TEXTS", "check_examples", "check_task", "encode_examples", "float32_task"]

#: Texts on which runtimes differ when they differ at all.
HARD_TEXTS = (
    "I would like to change the delivery address of my last order, please.",
    "",
    " ",
    "ok",
    "WHERE IS MY PARCEL?! I have been waiting for 3 weeks...",
    "Crème brûlée, naïve café, Ångström, ﬁne ligatures and ẞharp s",
    "我想取消昨天的订单,谢谢。 注文をキャンセルしたいです。",
    "Thanks 😀👍🏽 that was great 👩‍👩‍👧‍👦 🇫🇷",
    "tab\tnew line\nnull\x00bell\x07zero\u200bwidth\ufeff and \ufffd",
    "She said \"don't\", 'maybe' and \u201cnever\u201d; <b>50%</b> & C:\\temp\\x",
    "[CLS] [SEP] [MASK] written in the text",
    "unbelievably antidisestablishmentarianism " + "x" * 120,
    "مرحبا, как дела, สวัสดี, नमस्ते, שלום",
    "a very long message that goes on and on about the same thing " * 60,
    "1234567890 " * 300,
)

#: Their second halves, for models of pairs: the same texts in another order.
HARD_PAIRS = (*HARD_TEXTS[5:], *HARD_TEXTS[:5])


def check_task(task):
    """Raise `ValueError` unless artifacts of this kind of task can be written."""
    if task.head != "text_classifier" or task.problem_type != "single_label_classification":
        kind = getattr(task, "problem_type", None)
        raise ValueError(
            f"export: only classifiers that choose one label of several can be exported. Received: {task.task}"
            f"{f', {kind}' if kind else ''}. Export its Keras model with model.export."
        )


def check_examples(task, texts=None, pairs=None, labels=None):
    """Return `(texts, pairs, targets)`: lists, the built-in hard texts where none are given.

    Args:
        task: the task.
        texts: optional list of str.
        pairs: optional list of str, as long.
        labels: optional list, as long, of label names or indices.
    Returns:
        list of str; list of str or None; list of int or None.
    Raises:
        ValueError: if lengths differ or a label is unknown.
    """
    if texts is None:
        if labels is not None or pairs is not None:
            raise ValueError("verify: pairs and labels belong to texts. Received: texts=None. Pass the texts as well.")
        return list(HARD_TEXTS), list(HARD_PAIRS) if task.pair else None, None
    texts = [texts] if isinstance(texts, str) else list(texts)
    pairs = None if pairs is None else list(pairs)
    if not texts:
        raise ValueError("verify: texts must not be empty. Received: texts=[]. Leave it out for the built-in texts.")
    for name, values in (("pairs", pairs), ("labels", labels)):
        if values is not None and len(values) != len(texts):
            raise ValueError(
                f"verify: there must be one of {name} per text. Received: {len(texts)} texts, {len(values)} {name}."
            )
    if task.pair and pairs is None:
        raise ValueError("verify: this model takes pairs of texts. Received: pairs=None. Pass the second texts.")
    if labels is None:
        return texts, pairs, None
    indices = {name: index for index, name in enumerate(task.labels)}
    targets = [label if isinstance(label, (int, np.integer)) else indices.get(label) for label in labels]
    unknown = sorted({str(label) for label, target in zip(labels, targets, strict=True) if target is None})
    if unknown or not all(0 <= target < len(indices) for target in targets):
        raise ValueError(
            f"verify: labels must be the model's own: {', '.join(task.labels)}. "
            f"Received: {', '.join(unknown) or labels}."
        )
    return texts, pairs, [int(target) for target in targets]


def encode_examples(task, texts, pairs, max_length):
    """Return the ids of texts and the probabilities of the Keras model at one length.

    Returns:
        dict of arrays: `token_ids`, `segment_ids` and `padding_mask`, int32 `(N, T)`,
        and `probabilities`, float32 `(N, L)`.
    """
    shortened = copy.copy(task)  # shares the model
    shortened.max_length = max_length
    arrays = dict(task.tokenizer(texts, pairs, max_length=max_length))
    with _full_precision():
        arrays["probabilities"] = np.asarray(shortened.predict_probabilities(texts, pairs=pairs), "float32")
    return arrays


@contextlib.contextmanager
def float32_task(task, saved=None):
    """Yield `task`, or its float32 twin where it computes in another type: artifacts are float32.

    Args:
        task: the task.
        saved: optional path where `task` is saved already.
    """
    if all(layer.compute_dtype == "float32" for layer in task.model._flatten_layers() if layer.weights):
        yield task
        return
    with tempfile.TemporaryDirectory() as temporary:
        if saved is None:
            saved = Path(temporary) / "task"
            task.save_pretrained(saved)
        yield type(task).from_pretrained(saved, dtype="float32")


@contextlib.contextmanager
def _full_precision():
    """Keep accelerators from shortening float32 products to TF32 or bfloat16."""
    import keras

    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        with contextlib.nullcontext() if jax.default_backend() == "cpu" else jax.default_matmul_precision("highest"):
            yield
    elif backend == "torch":
        import torch

        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)
    elif backend == "tensorflow":
        import tensorflow as tf

        before = tf.config.experimental.tensor_float_32_execution_enabled()
        tf.config.experimental.enable_tensor_float_32_execution(False)
        try:
            yield
        finally:
            tf.config.experimental.enable_tensor_float_32_execution(before)
    else:
        yield

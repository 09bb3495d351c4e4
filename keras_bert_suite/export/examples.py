"""What artifacts are tried on: built-in inputs that are hard, or a user's own, as ids."""

from pathlib import Path

import numpy as np

from keras_bert_suite.errors import check_positive_int
from keras_bert_suite.tasks.inputs import encode_texts, stream_texts

__all__ = ["HARD_TEXTS", "encode_rows", "given_rows", "hard_rows", "shortened"]

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

#: Rows of a file that artifacts are compared on; its score is of all of them.
MOST_ROWS = 256


def hard_rows(task):
    """Return the built-in inputs of a task, in a form that its `predict` takes."""
    if task.task == "question-answering":
        return [{"question": HARD_PAIRS[row][:60], "context": text} for row, text in enumerate(HARD_TEXTS)]
    if task.task == "multiple-choice":
        choices = [text for text in HARD_PAIRS if text.strip()]
        return [{"text": text, "choices": [*choices[row : row + 2], "ok"]} for row, text in enumerate(HARD_TEXTS[:10])]
    if task.task == "relation-classification":
        texts = [text or "it" for text in HARD_TEXTS if "<" not in text]
        return [f"<e1>{text[:40]}</e1> and <e2>{text[-40:]}</e2>" for text in texts]
    if task.task == "fill-mask":
        gap = task.tokenizer.special_tokens["mask_token"]
        return [f"{gap} and {gap} {text}" for text in HARD_TEXTS]  # a gap that is cut off is refused
    if getattr(task, "pair", False):
        return list(zip(HARD_TEXTS, HARD_PAIRS, strict=True))
    return list(HARD_TEXTS)


def given_rows(task, x, pairs=None, columns=None):
    """Read a user's examples into what `encode_rows` takes.

    Args:
        task: the task.
        x: what the `predict` of the task takes: a path, or a list; `None` for the built-in inputs.
        pairs: optional list of str, the second texts.
        columns: optional dict, as in `data.read_examples`.
    Returns:
        list in a form that `predict` of the task takes, at most 256 rows.
    """
    if x is None:
        return hard_rows(task)
    x = Path(x) if isinstance(x, Path) or (isinstance(x, str) and Path(x).is_file()) else x
    x = [x] if isinstance(x, str) else x
    if task.task in ("sentence-embedding", "fill-mask"):
        found = next(iter(stream_texts(x, columns=columns)))
        texts = found.texts[: MOST_ROWS // 2] + (found.pairs or [])[: MOST_ROWS // 2]
        return list(dict.fromkeys(texts))
    found = task._read(x, None, pairs, columns)
    if task.task == "relation-classification":
        return found.relations[:MOST_ROWS]
    if hasattr(found, "pairs"):
        rows = found.texts if found.pairs is None else list(zip(found.texts, found.pairs, strict=True))
        return rows[:MOST_ROWS]
    if task.task == "token-classification":
        return [row.text if row.text is not None else row.tokens for row in found.rows[:MOST_ROWS]]
    return list(found)[:MOST_ROWS]


def encode_rows(task, rows):
    """Return the arrays that the served model of a task takes for some inputs.

    Args:
        task: the task; its `max_length` is the length at which inputs are cut or parted.
        rows: list, as `given_rows` returns it.
    Returns:
        dict of int32 arrays `(N, T)`, or `(N, C, T)` for multiple choice.
    """
    if task.task in ("sentence-embedding", "fill-mask"):
        texts = task.prompted(rows) if task.task == "sentence-embedding" else rows
        return encode_texts(task.tokenizer, texts, None, task.max_length).pad()
    found = task._read(rows)
    if task.task == "token-classification":
        words = task._words(found)
        arrays = words.encoded.pad()
        if task.crf:
            mask = np.zeros(len(words.encoded.token_ids), "int32")
            mask[words.places[words.places >= 0]] = 1
            arrays["word_mask"] = np.zeros_like(arrays["padding_mask"])
            arrays["word_mask"][arrays["padding_mask"] > 0] = mask
        return arrays
    if task.task == "question-answering":
        return task._windows(found).encoded.pad()
    if task.task == "multiple-choice":
        most = max(len(example.choices) for example in found)
        arrays = task._encode(found, most).pad()
        return {name: array.reshape(len(found), most, -1) for name, array in arrays.items()}
    return task._encode(found).pad()


def shortened(task, name, length):
    """Return a task that shares the model of another and cuts, or parts, its inputs at another length.

    Args:
        task: the task.
        name: str. What the length is called in an error.
        length: int, in tokens.
    Raises:
        ValueError: if it is out of the range of encoder and tokenizer.
    """
    import copy

    from keras_bert_suite.models import encoder_config

    check_positive_int("export", **{name: length})
    longest = encoder_config(task.encoder).max_length
    shortest = task.tokenizer.frame.size(True) + 1
    if not shortest <= length <= longest:
        raise ValueError(
            f"export: {name} must be from {shortest} to {longest}, the encoder's longest sequence. "
            f"Received: {name}={length}."
        )
    task = copy.copy(task)
    if hasattr(task, "stride") and length < task.max_length:  # at its own length a task reads as it always does
        task.stride = min(task.stride, length // 4)
    task.max_length = length
    return task

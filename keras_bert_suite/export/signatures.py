"""What a SavedModel takes as strings, and what it answers with them, by task. Runs in the worker."""

import numpy as np
import tensorflow as tf

from keras_bert_suite.text.in_graph import build_in_graph_tokenizer

__all__ = ["examples_signature", "prompt_of", "string_signature", "with_labels"]

#: Answers to each gap of a text.
TOP_K = 5
#: Tags as in SemEval-2010 task 8, and the markers of entities that the model reads in their place.
MARKED = (("(?i)<e([12])>", r"[E\1] "), ("(?i)</e([12])>", r" [/E\1]"))


def with_labels(task, compute):
    """Return `compute` with what clients of a classifier read: `label`, `score` and `labels`, or `predicted`.

    Args:
        task: the task.
        compute: function from a dict of int32 tensors to a dict of tensors.
    """
    kind = getattr(task, "problem_type", None)
    if kind not in ("single_label_classification", "multi_label_classification"):
        return compute
    names = np.array([label.encode("utf-8") for label in task.labels], dtype=object)

    def compute_labels(inputs):
        outputs = dict(compute(inputs))
        probabilities, labels = outputs["probabilities"], tf.constant(names)
        if kind == "single_label_classification":
            outputs["label"] = tf.gather(labels, tf.argmax(probabilities, axis=-1))
            outputs["score"] = tf.reduce_max(probabilities, axis=-1)
        else:
            outputs["predicted"] = probabilities >= tf.constant(task.thresholds)
        # A copy per row, because TF Serving's row format wants every output to have the batch's size.
        outputs["labels"] = tf.repeat(labels[tf.newaxis], tf.shape(probabilities)[0], axis=0)
        return outputs

    return compute_labels


def string_signature(task, compute, max_length):
    """Build the signature of a task that takes strings.

    Args:
        task: the task.
        compute: function from a dict of int32 tensors to a dict of tensors.
        max_length: int. Longer texts are cut, or parted, in tokens.
    Returns:
        `(module, serve)`: a `tf.Module` with what the function needs, and a
        `tf.function` of string tensors, each with a name.
    Raises:
        ImportError: if tensorflow-text is not installed.
        ValueError: if the tokenizer, or the task's own way with texts, has no exact form in the graph.
    """
    if task.task == "token-classification":
        from keras_bert_suite.export.in_graph_tagging import build_tagging

        module = build_tagging(task, max_length)
        return module, module.serve
    if task.task == "question-answering":
        from keras_bert_suite.export.in_graph_answers import build_answers

        module = build_answers(task, max_length)
        return module, module.serve
    if task.task == "prompt-classification":
        raise ValueError("a prompt is put around each text before it is tokenized. Do so with kbs, and send ids")
    tokenizer = build_in_graph_tokenizer(task.tokenizer, max_length)
    if task.task == "multiple-choice":
        return tokenizer, _choose(compute, tokenizer)
    if task.task == "fill-mask":
        return tokenizer, _fill(task, compute, tokenizer)
    return _classify(task, compute, tokenizer, prompt_of(task))


def prompt_of(task):
    """Return what an embedding task, or one that stands on embeddings, puts before each text."""
    embedder = getattr(task, "embedder", task)
    return embedder.prompted([""])[0] if hasattr(embedder, "prompted") else ""


def examples_signature(task, serve):
    """Build the signature of a task that takes serialized `tf.Example`s, with strings named as `serve` names them.

    Args:
        task: the task.
        serve: as of `string_signature`.
    Returns:
        `(function, method)`: a `tf.function` of `inputs`, strings `(B,)`, and the
        call of TF Serving that it answers: `"classify"`, `"regress"` or `"predict"`.
    """
    features = {
        column.name: tf.io.FixedLenFeature((), tf.string) if column.shape.rank == 1 else tf.io.RaggedFeature(tf.string)
        for column in serve.input_signature
    }
    kind = getattr(task, "problem_type", None)

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="inputs")])
    def parse(inputs):
        found = tf.io.parse_example(inputs, features)
        ragged = {name: column.to_tensor("") for name, column in found.items() if isinstance(column, tf.RaggedTensor)}
        outputs = serve(**found | ragged)
        if kind == "regression":
            return {"outputs": outputs["score"]}
        return {"classes": outputs["labels"], "scores": outputs["probabilities"]} if kind else outputs

    return parse, "predict" if kind is None else "regress" if kind == "regression" else "classify"


def _classify(task, compute, tokenizer, prompt):
    """One output, or several, for each text or pair of texts."""
    pair = bool(getattr(task, "pair", False))
    columns = [tf.TensorSpec((None,), tf.string, name=name) for name in ("text", "text_b")]

    def classify(text, text_b=None):
        text = tf.strings.join([prompt, text]) if prompt else text
        if task.task == "relation-classification":
            for tag, marker in MARKED:
                text = tf.strings.regex_replace(text, tag, marker)
            return compute(tokenizer.encode_around(text, task.marker_ids))
        return compute(tokenizer.encode_pairs(text, text_b) if pair else tokenizer.encode_texts(text))

    if pair:
        serve = tf.function(lambda text, text_b: classify(text, text_b), input_signature=columns)
    else:
        serve = tf.function(lambda text: classify(text), input_signature=columns[:1])
    return tokenizer, serve


def _choose(compute, tokenizer):
    """Choices, each read after its text; empty ones are none. The index of no choice at all is -1, its score 0."""

    columns = [tf.TensorSpec((None,), tf.string, name="text"), tf.TensorSpec((None, None), tf.string, name="choices")]

    @tf.function(input_signature=columns)
    def choose(text, choices):
        shape = tf.shape(choices)
        flat = tokenizer.encode_pairs(tf.repeat(text, shape[1]), tf.reshape(choices, [-1]))
        inputs = {name: tf.reshape(ids, [shape[0], shape[1], tf.shape(ids)[1]]) for name, ids in flat.items()}
        none = choices == ""
        logits = tf.where(none, -np.inf, compute(inputs)["logits"])
        probabilities = tf.where(none, 0.0, tf.nn.softmax(logits))  # of no choice at all, not NaN
        index = tf.argmax(logits, axis=-1, output_type=tf.int32)
        return {
            "choice": tf.gather(choices, index, batch_dims=1),
            "index": tf.where(tf.reduce_all(none, axis=-1), -1, index),
            "score": tf.reduce_max(probabilities, axis=-1),
            "probabilities": probabilities,
        }

    return choose


def _fill(task, compute, tokenizer):
    """The likeliest tokens of each gap; the gaps of a text that has fewer than another are empty."""
    every = np.arange(task.tokenizer.vocab_size)[:, None]
    words = [word.encode() for word in task.tokenizer.batch_decode(every, skip_special_tokens=False)]
    names = np.array(words, dtype=object)
    mask_token_id, top_k = task.tokenizer.mask_token_id, min(TOP_K, len(words))

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="text")])
    def fill(text):
        inputs = tokenizer.encode_texts(text)
        logits = compute(inputs)["logits"]
        gaps = tf.where(inputs["token_ids"] == mask_token_id)  # (G, 2)
        scores, found = tf.math.top_k(tf.nn.softmax(tf.gather_nd(logits, gaps)), top_k)
        rows = tf.shape(text, out_type=tf.int64)[0]

        def by_row(values, default):
            ragged = tf.RaggedTensor.from_value_rowids(values, gaps[:, 0], nrows=rows)
            return ragged.to_tensor(default, shape=[None, None, top_k])

        return {
            "token": by_row(tf.gather(tf.constant(names), tf.minimum(found, len(words) - 1)), ""),
            "score": by_row(scores, 0.0),
            "num_gaps": tf.reduce_sum(tf.cast(inputs["token_ids"] == mask_token_id, tf.int32), axis=-1),
        }

    return fill

"""Train a small model of each task, alone or over devices, and print what it became. Run by test_distributed_tasks.py.

Usage: python distributed_tasks.py CASES, a JSON list of dicts: a strategy, and which task.
"""

import json
import os
import sys

CASES = json.loads(sys.argv[1])
DEVICES = max(case.get("logical_devices", 1) for case in CASES)
if os.environ["KERAS_BACKEND"] == "tensorflow" and DEVICES > 1:
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * DEVICES)

import keras  # noqa: E402

import keras_bert_suite as kbs  # noqa: E402
from keras_bert_suite.tasks import (  # noqa: E402
    MultipleChoice,
    MultiTask,
    QuestionAnswerer,
    RelationClassifier,
    TextEmbedder,
    TokenClassifier,
)
from keras_bert_suite.training.distribution import distribute  # noqa: E402
from tests.tasks.small import CONFIG, KEYWORDS, VOCABULARY, examples  # noqa: E402

TEXTS, LABELS = examples(21)
WORDS = [text.split() for text in TEXTS]
ASKED = {word for words in KEYWORDS.values() for word in words}
TAGS = [["B-ASK" if word in ASKED else "O" for word in words] for words in WORDS]


def questions():
    rows = []
    for text, words in zip(TEXTS, WORDS, strict=True):
        answer = next(word for word in words if word in ASKED)
        answers = [{"text": answer, "start": f" {text} ".index(f" {answer} ")}]
        rows.append({"question": "what is it", "context": text, "answers": answers})
    return rows


def relations():
    rows = []
    for number, (text, words) in enumerate(zip(TEXTS, WORDS, strict=True)):
        first, last = {"start": 0, "end": len(words[0])}, {"start": len(text) - len(words[-1]), "end": len(text)}
        pair = (first, last) if number % 2 else (last, first)
        rows.append({"text": text, "head": pair[0], "tail": pair[1], "label": ["before", "after"][number % 2]})
    return rows


def choices():
    return [
        {"text": "which", "choices": [TEXTS[row], TEXTS[(row + 1) % 21], "now"][: 2 + row % 2], "label": row % 2}
        for row in range(21)
    ]


def build(kind):
    """A task over an encoder with weights from a seed, and what it is to learn."""
    keras.utils.set_random_seed(1)
    config = CONFIG.replace(num_layers=1, dropout_rate=0.0, attention_dropout_rate=0.0)
    tokenizer = kbs.WordPieceTokenizer(VOCABULARY)
    encoder = kbs.models.build_encoder(config)
    if kind == "texts":
        return kbs.TextClassifier(encoder, tokenizer, max_length=24), (TEXTS, LABELS)
    if kind == "several labels":
        lists = [[label] if row % 3 else [label, "other"] for row, label in enumerate(LABELS)]
        return kbs.TextClassifier(encoder, tokenizer, max_length=24), (TEXTS, lists)
    if kind in ("words", "field"):
        return TokenClassifier(encoder, tokenizer, max_length=24, crf=kind == "field"), (WORDS, TAGS)
    if kind == "questions":
        return QuestionAnswerer(encoder, tokenizer, max_length=24, stride=4), (questions(),)
    if kind == "choices":
        return MultipleChoice(encoder, tokenizer, max_length=24), (choices(),)
    if kind == "relations":
        return RelationClassifier(encoder, tokenizer, max_length=32), (relations(),)
    if kind == "embeddings":
        pairs = [(TEXTS[row], TEXTS[(row + 1) % 21]) for row in range(21)]
        model = kbs.models.build_text_embedder(encoder)
        return TextEmbedder(model, tokenizer, 24), (pairs, [row % 4 / 3 for row in range(21)])
    tasks = {
        "intent": kbs.TextClassifier(encoder, tokenizer, max_length=24),
        "slots": TokenClassifier(encoder, tokenizer, max_length=24),
    }
    count = 21 if kind == "joint" else 9
    return MultiTask(tasks), ({"intent": (TEXTS, LABELS), "slots": (WORDS[:count], TAGS[:count])},)


def train(case):
    with distribute(case["strategy"], **case.get("options", {})) as distribution:
        task, data = build(case["kind"])
        # The losses of embeddings compare the texts of a batch; this one looks at each pair alone.
        loss = "cosine" if case["kind"] == "embeddings" else None
        task.compile(learning_rate=1e-3, loss=loss, jit_compile=None)
        packing = {} if case["kind"] not in ("texts", "words", "field") else {"packing": case.get("packing", False)}
        history = task.fit(*data, epochs=2, batch_size=8, seed=1, verbose=0, **packing).history
        vectors = task.encoder(task.tokenizer(TEXTS[:4], max_length=16), training=False)["sequence_output"]
        return {
            "replicas": distribution.num_replicas,
            "loss": history["loss"],
            "vectors": keras.ops.convert_to_numpy(vectors).ravel().tolist(),
        }


if __name__ == "__main__":
    for case in CASES:
        print("FOUND " + json.dumps(train(case)), flush=True)

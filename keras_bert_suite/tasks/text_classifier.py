"""Texts, or pairs of texts, in; one label of several out."""

import json
from numbers import Integral
from pathlib import Path

import keras
import numpy as np

from keras_bert_suite.data import LabelMap
from keras_bert_suite.errors import CheckpointError
from keras_bert_suite.files import replaced_file
from keras_bert_suite.models import build_text_classifier
from keras_bert_suite.tasks.inference import predict_encoded, progress_bar
from keras_bert_suite.tasks.inputs import encode_texts, is_batched, read_input, stream_texts
from keras_bert_suite.tasks.pretrained import own_values
from keras_bert_suite.tasks.reporting import report_classification
from keras_bert_suite.tasks.task import Task

__all__ = ["TextClassifier"]


class TextClassifier(Task):
    """A classifier of texts: a `keras.Model`, its tokenizer and its labels.

    It adds text in and answers out to an ordinary `keras.Model`, which stays
    usable on its own as `classifier.model`. Open one with `from_pretrained`.

    Args:
        encoder: `keras.Model` made by `build_encoder` or `load_encoder`.
        tokenizer: `text.WordPieceTokenizer`.
        labels: optional sequence of str, in the order of the model's outputs.
            Without them, `fit` takes the labels that its data has.
        max_length: optional int. Longer texts are cut, in tokens. Defaults to
            what the encoder and the tokenizer allow.
        pair: bool. Whether the classifier is for pairs of texts; `fit` finds out.
    Attributes:
        model: `keras.Model` from token arrays to logits `(B, L)`.
        encoder: `keras.Model`, the part of it that was pretrained.
        tokenizer: the tokenizer.
        labels: list of str.
        max_length: int, in tokens.
        pair: bool.
    Example:
    >>> import keras_bert_suite as kbs
    >>> tokenizer = kbs.WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad"])
    >>> config = kbs.EncoderConfig(
    ...     vocabulary_size=7, num_layers=1, hidden_dim=12, num_heads=3, intermediate_dim=20, max_length=16)
    >>> classifier = kbs.TextClassifier(kbs.models.build_encoder(config), tokenizer)
    >>> classifier.compile(learning_rate=1e-3)
    >>> history = classifier.fit(["good", "bad"], ["pos", "neg"], epochs=1, verbose=0)
    >>> classifier.labels, sorted(classifier.predict(["good"])[0])
    (['neg', 'pos'], ['label', 'score'])
    """

    task = "text-classification"
    head = "text_classifier"

    def __init__(self, encoder, tokenizer, labels=None, max_length=None, pair=False):
        super().__init__(encoder, tokenizer, max_length)
        self.pair = pair
        self.label_map = None if labels is None else LabelMap(labels)

    # Opening and saving

    @classmethod
    def _settings_from(cls, checkpoint, trained, labels):
        labels = _head_labels(checkpoint, labels) if trained else labels
        return {"labels": labels, "pair": bool(own_values(checkpoint).get("pair", False))}

    def _values(self):
        return {"problem_type": "single_label_classification", "keras_bert_suite": {"pair": self.pair}}

    # The model and its labels

    def _build(self):
        return build_text_classifier(self.encoder, len(self.label_map))

    @property
    def labels(self):
        """The label names, in the order of the model's outputs; `None` until they are known."""
        return None if self.label_map is None else list(self.label_map)

    def _check_ready(self):
        if self.label_map is None:
            raise ValueError(
                "TextClassifier: the labels are not known yet, as the checkpoint has no classification head. "
                "Pass labels=[...] when opening it, or train it first."
            )

    # Training

    def _default_loss(self):
        return self.recipe.build_classification_loss()

    def _default_metrics(self):
        return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]

    def _read(self, x, y=None, pairs=None, columns=None, require_label=False):
        return read_input(x, y, pairs, columns, require_label)

    def _learn_from(self, examples):
        if self.label_map is None:
            self.label_map = LabelMap.from_examples(map(_label_name, examples.labels), path=examples.path)
        self.label_map.check_trainable(examples.path)
        self.pair = examples.pairs is not None

    def _dataset(self, examples, batch_size, packed, shuffle, seed=0):
        targets = self._targets(examples)
        return self._batches(self._encode(examples), targets, batch_size, packed=packed, shuffle=shuffle, seed=seed)

    def _targets(self, found):
        self._check_ready()
        labels = found.labels
        if found.path is None:
            # An integer is an index, unless the labels are themselves named by numbers.
            labels = [
                self.labels[label]
                if isinstance(label, Integral) and str(label) not in self.label_map and 0 <= label < len(self.label_map)
                else _label_name(label)
                for label in labels
            ]
        return self.label_map.encode(labels, path=found.path, lines=found.lines)

    def _encode(self, found):
        return encode_texts(self.tokenizer, found.texts, found.pairs, self.max_length, found.path)

    # Use

    def evaluate(self, x, y=None, *, pairs=None, columns=None, progress=False):
        """Score the classifier on labelled texts.

        Args:
            x: path of a file, texts, or batches, as in `fit`.
            y: labels, when `x` is not a file or data set.
            pairs: optional list of str, the second texts.
            columns: optional dict, as in `data.read_examples`.
            progress: bool. Whether to show a bar.
        Returns:
            dict with `accuracy`, in [0, 1], and `loss`, the mean cross-entropy in nats.
        """
        if is_batched(x):
            self._compile_model(self.model)
            scores = self.model.evaluate(x, y, verbose=int(progress), return_dict=True)
            return {"accuracy": scores.pop("accuracy", None), **scores}
        found = read_input(x, y, pairs, columns, require_label=True)
        targets = self._targets(found)
        with progress_bar(len(found), "evaluating", progress) as bar:
            logits = self._logits(found, bar).astype("float64")
        logits -= logits.max(axis=-1, keepdims=True)
        log_probabilities = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        return {
            "accuracy": float((logits.argmax(axis=-1) == targets).mean()),
            "loss": float(-log_probabilities[np.arange(len(targets)), targets].mean()),
        }

    def report(self, x, y=None, *, pairs=None, columns=None, title="Text classification", summary=None, history=None):
        """Score the classifier on labelled texts in full, for `reports.write_report`.

        Args:
            x: path of a file, or texts, as in `fit`.
            y: labels, when `x` is not a file.
            pairs, columns: as in `fit`.
            title: str.
            summary: optional dict of facts to show beside the scores.
            history: optional dict of lists, what `fit` returned as `history.history`.
        Returns:
            `reports.Report`: accuracy, precision, recall and F1 by label, what
            is taken for what, and the mistakes that the classifier is surest of.
        """
        found = read_input(x, y, pairs, columns, require_label=True)
        probabilities = _softmax(self._logits(found))
        return report_classification(
            title, found, self._targets(found), probabilities, self.labels, summary=summary, history=history
        )

    def predict(self, x, *, pairs=None, columns=None, progress=False):
        """Label texts.

        Args:
            x: a list of str or of `(text, text_b)` tuples, or the path of a file,
                as `pathlib.Path` or as str with the suffix of a data format.
                Any other str is one text.
            pairs: optional list of str, the second texts.
            columns: optional dict, as in `data.read_examples`.
            progress: bool. Whether to show a bar.
        Returns:
            list of dicts with `label` and `score`, its probability, in the order of `x`.
        Example:
            classifier.predict(["I loved it"])  # [{"label": "pos", "score": 0.998}]
        """
        return list(self.predict_stream(x, pairs=pairs, columns=columns, progress=progress))

    def predict_stream(self, x, *, pairs=None, columns=None, progress=False):
        """Like `predict`, but yield each answer as soon as its part of the input is done.

        Files larger than memory pass through.
        """
        for _, probabilities in self._probability_chunks(x, pairs, columns, progress):
            best = probabilities.argmax(axis=-1)
            for index, row in zip(best.tolist(), probabilities, strict=True):
                yield {"label": self.labels[index], "score": float(row[index])}

    def predict_file(self, path, output, *, columns=None, progress=False):
        """Label the texts of a file into a JSON Lines file, whatever their size.

        Args:
            path: str or path of a TSV, CSV, JSON Lines, Parquet or text file.
            output: str or path. Each line has `text`, `text_b` for pairs, `label`
                and `score`. It appears when it is complete.
            columns: optional dict, as in `data.read_examples`.
            progress: bool. Whether to show a bar.
        Returns:
            int. Texts labelled.
        """
        count = 0
        with replaced_file(output) as file:
            for found, probabilities in self._probability_chunks(Path(path), None, columns, progress):
                best = probabilities.argmax(axis=-1)
                for row, index in enumerate(best.tolist()):
                    answer = {"text": found.texts[row]}
                    if found.pairs is not None:
                        answer["text_b"] = found.pairs[row]
                    answer |= {"label": self.labels[index], "score": float(probabilities[row, index])}
                    file.write(json.dumps(answer, ensure_ascii=False) + "\n")
                count += len(found)
        return count

    def predict_probabilities(self, x, *, pairs=None, columns=None, progress=False):
        """Return the probability of every label: float32 `(N, L)`, in the order of `x`."""
        chunks = [chunk for _, chunk in self._probability_chunks(x, pairs, columns, progress)]
        return np.concatenate(chunks) if chunks else np.zeros((0, len(self.labels)), "float32")

    def _probability_chunks(self, x, pairs, columns, progress):
        total = None
        if isinstance(x, str) and not _is_data_path(x):
            x = [x]
        if isinstance(x, (list, tuple, np.ndarray)):
            total = len(x)
            if total == 0:
                return
        with progress_bar(total, "predicting", progress) as bar:
            for found in stream_texts(x, pairs=pairs, columns=columns):
                yield found, _softmax(self._logits(found, bar))

    def _logits(self, found, bar=None):
        return predict_encoded(self.model, self._encode(found), self.max_length, bar)


def _softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def _label_name(label):
    """Return a whole number as the str it is written as, and leave the rest to `LabelMap`'s checks."""
    return str(label) if isinstance(label, Integral) else label


def _head_labels(checkpoint, labels):
    """Return the names of the outputs of a checkpoint's head, held against the names asked for."""
    problem = checkpoint.values.get("problem_type")
    if problem not in (None, "single_label_classification") or checkpoint.num_outputs(TextClassifier.head) == 1:
        raise CheckpointError(
            f"{checkpoint.path}: its head must choose one label of several. Received: problem_type={problem!r:.100}, "
            f"{checkpoint.num_outputs(TextClassifier.head)} outputs. load_model(..., head='text_classifier') gives its "
            "logits; replace_head=True starts from a new head."
        )
    stored = checkpoint.labels or [f"LABEL_{index}" for index in range(checkpoint.num_outputs(TextClassifier.head))]
    if len(stored) != checkpoint.num_outputs(TextClassifier.head):
        raise CheckpointError(
            f"{checkpoint.path}: config.json names {len(stored)} labels, but the head has "
            f"{checkpoint.num_outputs(TextClassifier.head)} outputs. Correct id2label."
        )
    if labels is None or list(labels) == stored:
        return stored
    labels = list(labels)
    unnamed = stored == [f"LABEL_{index}" for index in range(len(stored))]
    if unnamed and len(labels) == len(stored):
        return labels
    raise CheckpointError(
        f"{checkpoint.path}: its head was trained for the labels {stored}. Received: labels={labels}. "
        "Leave labels out to use its own, or pass replace_head=True to train a new head."
    )


def _is_data_path(text):
    """Return whether a str is meant as a file: it ends like one and has no line break."""
    suffixes = (".tsv", ".csv", ".jsonl", ".ndjson", ".json", ".parquet", ".txt", ".gz")
    return text.lower().endswith(suffixes) and "\n" not in text

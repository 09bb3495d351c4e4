"""What a classifier's outputs mean: one label of several, any number of labels, or a number.

Each kind says how labels become targets, what is made small, and what the
outputs are worth. They have the names that `problem_type` has in config.json.
"""

import logging
import math
from numbers import Integral, Real

import keras
import numpy as np

from keras_bert_suite.data import LabelMap
from keras_bert_suite.errors import DataError
from keras_bert_suite.reports import classification_scores, confusion_matrix, multi_label_scores, pearson, spearman
from keras_bert_suite.training import MultiLabelF1

__all__ = ["PROBLEMS", "SEPARATORS", "MultiLabel", "Regression", "SingleLabel", "problem_of", "split_labels"]

logger = logging.getLogger(__name__)

#: What stands between the labels of a text in a file whose cells cannot hold lists, the usual one first.
SEPARATORS = ("|", ",", ";")
#: What says in rows of all labels whether a text has one, from Python, and as readers give it.
FLAGS = (0, 1, "0", "1", "false", "true")


class SingleLabel:
    """One label of several."""

    name = "single_label_classification"
    monitor = ("val_accuracy", "max")
    score_names = ("accuracy", "loss")

    @staticmethod
    def learn(examples):
        """Return the `LabelMap` of the labels that occur."""
        return LabelMap.from_examples(map(label_name, examples.labels), path=examples.path, lines=examples.lines)

    @staticmethod
    def targets(label_map, examples):
        """Return int32 `(N,)`."""
        return label_map.encode(_names(label_map, examples), path=examples.path, lines=examples.lines)

    @staticmethod
    def loss(recipe):
        return recipe.build_classification_loss()

    @staticmethod
    def metrics():
        return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]

    @staticmethod
    def probabilities(logits):
        """Return float `(N, L)`."""
        exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return exponentials / exponentials.sum(axis=-1, keepdims=True)

    @staticmethod
    def scores(logits, targets, thresholds):
        logits = logits.astype("float64")
        logits -= logits.max(axis=-1, keepdims=True)
        logs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        return {
            "accuracy": float((logits.argmax(axis=-1) == targets).mean()),
            "loss": float(-logs[np.arange(len(targets)), targets].mean()),
        }

    @staticmethod
    def answer(labels, row, thresholds):
        index = int(row.argmax())
        return {"label": labels[index], "score": float(row[index])}

    @staticmethod
    def details(labels, probabilities, targets, thresholds):
        """Return what a report has beside the scores, and int `(N,)` of mistakes, the surest first."""
        predicted = probabilities.argmax(axis=-1)
        certainty = probabilities[np.arange(len(predicted)), predicted]
        wrong = np.flatnonzero(predicted != targets)
        confusion = confusion_matrix(targets, predicted, len(labels))
        mistakes = [
            (row, {"true": labels[targets[row]], "predicted": labels[predicted[row]], "score": float(certainty[row])})
            for row in wrong[np.argsort(-certainty[wrong], kind="stable")].tolist()
        ]
        macro = classification_scores(confusion)["macro"]["f1"]
        return {"labels": labels, "confusion": confusion}, {"macro F1": macro}, mistakes


class MultiLabel:
    """Any number of labels, each with a threshold of its own."""

    name = "multi_label_classification"
    monitor = ("val_f1", "max")
    score_names = ("f1", "macro_f1", "accuracy", "loss")

    @staticmethod
    def learn(examples):
        found = [name for labels in _lists(examples) for name in labels]
        return LabelMap.from_examples(found, path=examples.path)

    @staticmethod
    def targets(label_map, examples):
        """Return float32 `(N, L)` of 0 and 1."""
        lists = _lists(examples)
        rows = np.repeat(np.arange(len(lists)), [len(labels) for labels in lists])
        lines = None if examples.lines is None else np.asarray(examples.lines)[rows]
        flat = [name for labels in lists for name in labels]
        targets = np.zeros((len(lists), len(label_map)), "float32")
        targets[rows, label_map.encode(flat, path=examples.path, lines=lines)] = 1
        return targets

    @staticmethod
    def loss(recipe):
        _refuse_r_drop(recipe)
        return keras.losses.BinaryCrossentropy(
            from_logits=True, label_smoothing=recipe.label_smoothing, reduction="mean_with_sample_weight"
        )

    @staticmethod
    def metrics():
        return [MultiLabelF1(name="f1")]

    @staticmethod
    def probabilities(logits):
        return np.exp(-np.logaddexp(0, -logits))

    @staticmethod
    def scores(logits, targets, thresholds):
        logits = logits.astype("float64")
        predicted = MultiLabel.probabilities(logits) >= thresholds
        found = multi_label_scores(targets, predicted)
        losses = np.maximum(logits, 0) - logits * targets + np.log1p(np.exp(-np.abs(logits)))
        return {
            "f1": found["micro"]["f1"],
            "macro_f1": found["macro"]["f1"],
            "accuracy": found["accuracy"],
            "loss": float(losses.mean()),
        }

    @staticmethod
    def answer(labels, row, thresholds):
        order = np.argsort(-row, kind="stable").tolist()
        chosen = [index for index in order if row[index] >= thresholds[index]]
        return {"labels": [{"label": labels[index], "score": float(row[index])} for index in chosen]}

    @staticmethod
    def details(labels, probabilities, targets, thresholds):
        predicted = probabilities >= thresholds
        wrong = np.abs(predicted - targets) * np.abs(probabilities - thresholds)  # how far on the wrong side
        rows = np.flatnonzero(wrong.any(axis=-1))

        def named(chosen):
            return ", ".join(label for label, one in zip(labels, chosen, strict=True) if one) or "none"

        mistakes = [
            (row, {"true": named(targets[row]), "predicted": named(predicted[row]), "score": float(wrong[row].max())})
            for row in rows[np.argsort(-wrong[rows].max(axis=-1), kind="stable")].tolist()
        ]
        return {"labels": labels, "scores": multi_label_scores(targets, predicted)}, {}, mistakes

    @staticmethod
    def log_odds(targets):
        """Return float32 `(L,)`: the biases with which each label is as likely as among the examples.

        A new head begins with them. Many rare labels push all outputs down alike
        at first, and the encoder with them: GoEmotions was not learnt at all at a
        learning rate of 2e-4.

        Args:
            targets: `(N, L)` of 0 and 1.

        Source: Lin et al. 2017, Focal Loss for Dense Object Detection, section 3.3.
        """
        shares = (targets.sum(axis=0) + 1) / (len(targets) + 2)  # of a label without examples too
        return np.log(shares / (1 - shares)).astype("float32")

    @staticmethod
    def choose_thresholds(probabilities, targets):
        """Return for each label the threshold with the best F1, 0.5 where the label never occurs.

        Args:
            probabilities: float `(N, L)`.
            targets: `(N, L)` of 0 and 1.
        Returns:
            float32 `(L,)`.
        """
        order = np.argsort(-probabilities, axis=0, kind="stable")
        values = np.take_along_axis(probabilities, order, axis=0)
        hits = np.cumsum(np.take_along_axis(targets, order, axis=0), axis=0)
        counts = np.arange(1, len(values) + 1)[:, None]
        f1 = 2 * hits / (counts + targets.sum(axis=0))
        f1[:-1][values[:-1] == values[1:]] = -1  # equal probabilities cannot be parted
        best = f1.argmax(axis=0)
        columns = np.arange(values.shape[1])
        below = np.where(best + 1 < len(values), values[np.minimum(best + 1, len(values) - 1), columns], 0)
        middle = (values[best, columns] + below) / 2
        return np.where(targets.any(axis=0), middle, 0.5).astype("float32")


class Regression:
    """One number."""

    name = "regression"
    monitor = ("val_loss", "min")
    score_names = ("pearson", "spearman", "mean_absolute_error", "loss")

    @staticmethod
    def learn(examples):
        return LabelMap(["score"])

    @staticmethod
    def targets(label_map, examples):
        """Return float32 `(N, 1)`."""
        lines = examples.lines or [None] * len(examples)
        rows = enumerate(zip(examples.labels, lines, strict=True), 1)
        values = [_number(label, examples.path, line, row) for row, (label, line) in rows]
        return np.array(values, "float32")[:, None]

    @staticmethod
    def loss(recipe):
        _refuse_r_drop(recipe)
        return keras.losses.MeanSquaredError(reduction="mean_with_sample_weight")

    @staticmethod
    def metrics():
        return [keras.metrics.MeanAbsoluteError(name="mean_absolute_error")]

    @staticmethod
    def probabilities(logits):
        """Return the numbers themselves."""
        return logits

    @staticmethod
    def scores(logits, targets, thresholds):
        found, right = logits[:, 0].astype("float64"), targets[:, 0].astype("float64")
        return {
            "pearson": pearson(found, right),
            "spearman": spearman(found, right),
            "mean_absolute_error": float(np.abs(found - right).mean()),
            "loss": float(np.square(found - right).mean()),
        }

    @staticmethod
    def answer(labels, row, thresholds):
        return {"score": float(row[0])}

    @staticmethod
    def details(labels, probabilities, targets, thresholds):
        found, right = probabilities[:, 0], targets[:, 0]
        errors = np.abs(found - right)
        mistakes = [
            (row, {"true": f"{right[row]:g}", "predicted": f"{found[row]:.3g}", "error": float(errors[row])})
            for row in np.argsort(-errors, kind="stable").tolist()
            if errors[row] > 0
        ]
        return {"true_values": right, "predicted_values": found}, {}, mistakes


#: By name.
PROBLEMS = {kind.name: kind for kind in (SingleLabel, MultiLabel, Regression)}


def problem_of(examples):
    """Return the kind that labels are of: lists are several, numbers with a fraction are refused, else one.

    Names that are others with a separator between them bring a warning.

    Raises:
        DataError: if all labels are numbers, and one has a fraction: they could be names, but hardly ever are.
    """
    labels = [label for label in examples.labels if label is not None]
    if labels and all(isinstance(label, list | tuple) for label in labels):
        return MultiLabel
    fractions = [label for label in labels if not _is_whole(label)]
    if fractions and all(map(_is_number, labels)):
        raise DataError(
            f"the labels look like numbers, not names. Received: {fractions[0]!r}. Choose the problem type "
            '"regression" to predict numbers, or "single_label_classification".',
            examples.path,
            examples.lines and examples.lines[examples.labels.index(fractions[0])],
        )
    _warn_of_joined_names(labels, examples.path)
    return SingleLabel


def split_labels(label, separator):
    """Return the names in a cell of a file as a list; lists, and `None`, as they are."""
    if not isinstance(label, str):
        return label
    return [part.strip() for part in label.split(separator) if part.strip()]


def label_name(label):
    """Return a truth value or a whole number as readers give it, and leave the rest to `LabelMap`'s checks."""
    if isinstance(label, bool):
        return "true" if label else "false"
    return str(label) if isinstance(label, Integral) else label


def _names(label_map, examples):
    if examples.path is not None:
        return examples.labels
    return [_name(label_map, label) for label in examples.labels]


def _name(label_map, label):
    """An integer is an index, unless the labels are themselves named by numbers."""
    if isinstance(label, Integral) and label_name(label) not in label_map and 0 <= label < len(label_map):
        return label_map.names[label]
    return label_name(label)


def _lists(examples):
    """Return the labels of each example as a list of str."""
    if all(label is None for label in examples.labels):
        raise DataError("labels are needed, and no row has one. Fill the column in.", examples.path)
    if _are_flags(examples.labels):
        raise DataError(
            "each text must have the names of its labels. Received: 0 or 1 for each label there is, such as "
            f"{examples.labels[0]!r:.80}. Use [[name for name, one in zip(names, row) if one] for row in y], or the "
            "one name where each text has one.",
            examples.path,
        )
    return [[label_name(one) for one in label or ()] for label in examples.labels]


def _warn_of_joined_names(labels, path):
    """Warn where names are other names with a separator between them."""
    names = {label for label in labels if isinstance(label, str)}
    for separator in SEPARATORS:
        parts = {name: split_labels(name, separator) for name in names}
        joined = [name for name in names if len(parts[name]) > 1 and names.issuperset(parts[name])]
        if joined:
            logger.warning(
                "%s%d of %d labels are others with %r between them, such as %r. If a text can have several, choose "
                "problem_type=%r%s.",
                "" if path is None else f"{path}: ",
                len(joined),
                len(names),
                separator,
                min(joined),
                MultiLabel.name,
                "" if separator == SEPARATORS[0] else f" and separator={separator!r}",
            )


def _are_flags(labels):
    """Whether rows say of every label whether it is there, as arrays for `BinaryCrossentropy` do."""
    lengths = {len(label) if isinstance(label, list | tuple) else 0 for label in labels}
    return len(lengths) == 1 and min(lengths) > 1 and all(one in FLAGS for label in labels for one in label)


def _is_number(label):
    if isinstance(label, Real):
        return True
    try:
        return math.isfinite(float(label))
    except (TypeError, ValueError):
        return False


def _is_whole(label):
    return label.strip().lstrip("+-").isdigit() if isinstance(label, str) else isinstance(label, Integral)


def _number(label, path, line, row):
    try:
        value = float(label)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        where = "" if line is not None else f" (row {row})"
        raise DataError(f"each label must be a finite number. Received: {label!r}{where}. Correct it.", path, line)
    return value


def _refuse_r_drop(recipe):
    if recipe.r_drop:
        raise ValueError("compile: r_drop is for one label of several. Received: a task of another kind.")

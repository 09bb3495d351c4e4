"""What a trained task has to say for itself: its scores on labelled examples, as a `Report`."""

import numpy as np

from keras_bert_suite.reports import Report, confusion_matrix

__all__ = ["report_classification"]

#: The most mistakes that a report shows: the most certain ones.
MOST_MISTAKES = 50


def report_classification(title, found, targets, probabilities, labels, *, summary=None, history=None):
    """Compare what a classifier answers with what is right.

    Args:
        title: str.
        found: `Texts` with the texts.
        targets: int `(N,)`. Index of each text's label.
        probabilities: float `(N, L)`.
        labels: list of L str.
        summary: optional dict of further facts.
        history: optional dict of lists, as in Keras' `History.history`.
    Returns:
        `reports.Report`.
    """
    predicted = probabilities.argmax(axis=-1)
    certainty = probabilities[np.arange(len(predicted)), predicted]
    wrong = np.flatnonzero(predicted != targets)
    worst = wrong[np.argsort(-certainty[wrong], kind="stable")][:MOST_MISTAKES]
    report = Report(
        title,
        history=history or {},
        labels=labels,
        confusion=confusion_matrix(targets, predicted, len(labels)),
        mistakes=[
            {
                "text": found.texts[row],
                **({} if found.pairs is None else {"text_b": found.pairs[row]}),
                "true": labels[targets[row]],
                "predicted": labels[predicted[row]],
                "score": float(certainty[row]),
            }
            for row in worst.tolist()
        ],
    )
    right = np.maximum(probabilities[np.arange(len(targets)), targets].astype("float64"), np.finfo("float64").tiny)
    report.summary = {
        "accuracy": report.scores["accuracy"],
        "macro F1": report.scores["macro"]["f1"],
        "loss": float(-np.log(right).mean()),
        "examples": len(targets),
        **(summary or {}),
    }
    return report

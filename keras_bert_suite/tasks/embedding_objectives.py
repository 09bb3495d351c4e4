"""What embeddings are trained for on each kind of data: loss, metric, targets, and what a report shows."""

from typing import NamedTuple

import numpy as np

from keras_bert_suite.errors import DataError
from keras_bert_suite.reports import MOST_MISTAKES, Report
from keras_bert_suite.training.embedding_losses import (
    CoSENTLoss,
    CosineSimilarityLoss,
    MultipleNegativesRankingLoss,
    TripletLoss,
)
from keras_bert_suite.training.embedding_metrics import CosinePearson, InBatchAccuracy

__all__ = ["KINDS", "LOSSES", "Kind", "check_objective", "report_comparisons", "targets_of"]


class Kind(NamedTuple):
    """A kind of data.

    Args:
        loss: str. Name of the loss where none is chosen.
        metric: class. What training shows.
        monitor: tuple. What `patience` watches, and which way.
        score_names: tuple of str. Scores of `evaluate`, the main one first.
    """

    loss: str
    metric: type
    monitor: tuple
    score_names: tuple


KINDS = {
    "pairs": Kind("multiple_negatives_ranking", InBatchAccuracy, ("val_accuracy", "max"), ("accuracy", "mrr")),
    "triplets": Kind("multiple_negatives_ranking", InBatchAccuracy, ("val_accuracy", "max"), ("accuracy",)),
    "scores": Kind("cosent", CosinePearson, ("val_pearson", "max"), ("spearman", "pearson")),
}

#: Name -> (loss, kinds of data that it is for).
LOSSES = {
    "multiple_negatives_ranking": (MultipleNegativesRankingLoss, ("pairs", "triplets")),
    "cosent": (CoSENTLoss, ("scores",)),
    "cosine": (CosineSimilarityLoss, ("scores",)),
    "triplet": (TripletLoss, ("triplets",)),
}


def check_objective(loss, examples):
    """Raise unless data are of a kind that a loss, by name or `None`, is for."""
    if loss is None:
        return
    kinds = LOSSES[loss][1]
    if examples.kind not in kinds or (loss == "triplet" and len(examples.columns) != 3):
        raise DataError(
            f"the loss {loss!r} is for {' and '.join(kinds)}. Received: {examples.kind} of {len(examples.columns)} "
            "texts. Choose another loss, or leave it out.",
            examples.path,
        )
    if loss == "cosine" and not -1 <= min(examples.scores) <= max(examples.scores) <= 1:
        raise DataError(
            "the loss 'cosine' needs scores in [-1, 1]. Received: scores from "
            f"{min(examples.scores):g} to {max(examples.scores):g}. Divide them by the highest, e.g. those of STS by "
            "5, or use 'cosent', for which only their order counts.",
            examples.path,
        )


def targets_of(examples):
    """Return what the losses read: float32 `(N,)` scores, or int32 `(N, C)`, which text each is."""
    if examples.kind == "scores":
        return np.array(examples.scores, "float32")
    return examples.texts()[1].astype("int32")


def report_comparisons(title, examples, scores, found, summary=None, history=None):
    """Write down how embeddings compare texts.

    Args:
        title: str.
        examples: `Comparisons`.
        scores, found: as from `score_comparisons`.
        summary: optional dict of further facts.
        history: optional dict of lists, as in Keras' `History.history`.
    Returns:
        `reports.Report`.
    """
    report = Report(title, {**scores, "examples": len(examples), **(summary or {})}, history or {})
    anchors, positives, *negatives = examples.columns
    if examples.kind == "scores":
        true = np.array(examples.scores)
        report.true_values = true
        # In the units of the scores, so that both can be compared.
        report.predicted_values = np.polyval(np.polyfit(found, true, 1), found) if np.ptp(found) else true * 0
    elif examples.kind == "pairs":
        ranks, nearest = found
        texts, _ = examples.texts()
        worst = np.argsort(-ranks, kind="stable")[: min(MOST_MISTAKES, int((ranks > 1).sum()))]
        report.mistakes = [
            {"text": anchors[row], "true": positives[row], "predicted": texts[nearest[row]]} for row in worst.tolist()
        ]
    else:
        report.mistakes = [
            {"text": anchors[row], "true": positives[row], "predicted": negatives[0][row]}
            for row in np.flatnonzero(~found)[:MOST_MISTAKES].tolist()
        ]
    return report

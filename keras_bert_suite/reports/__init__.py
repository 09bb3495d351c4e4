"""Results of a training as one HTML file for people and one JSON file for machines."""

from keras_bert_suite.reports.answer_scores import (
    SCORINGS,
    answer_scores,
    best_threshold,
    score_answers,
    scoring_for,
)
from keras_bert_suite.reports.mistakes import MOST_MISTAKES
from keras_bert_suite.reports.report import Report, write_report
from keras_bert_suite.reports.scores import (
    classification_scores,
    confusion_matrix,
    most_confused,
    multi_label_scores,
    pearson,
    spearman,
)
from keras_bert_suite.reports.sections import SECTIONS
from keras_bert_suite.reports.span_scores import span_scores

__all__ = [
    "MOST_MISTAKES",
    "Report",
    "SCORINGS",
    "SECTIONS",
    "answer_scores",
    "best_threshold",
    "classification_scores",
    "confusion_matrix",
    "most_confused",
    "multi_label_scores",
    "pearson",
    "score_answers",
    "scoring_for",
    "span_scores",
    "spearman",
    "write_report",
]

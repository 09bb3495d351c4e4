"""What is known about a training when it is over, and writing it down."""

import dataclasses
import json
import math
import numbers

import numpy as np

from keras_bert_suite.files import replaced_file
from keras_bert_suite.reports.markup import clean, page
from keras_bert_suite.reports.scores import check_confusion, classification_scores
from keras_bert_suite.reports.sections import SECTIONS

__all__ = ["Report", "write_report"]


@dataclasses.dataclass
class Report:
    """Facts about a training. Whatever is left out has no place in the report.

    Args:
        title: str. What was trained, on what.
        summary: dict from a name to a number, str, bool or list. The leading
            numbers, up to four, are shown large. Ints are grouped in threes;
            pass a seed or a year as str.
        history: dict from a name to its values, one an epoch, as in Keras'
            `History.history`; `None` where an epoch has none. An entry
            `epoch`, ints from 0, numbers them, as in `training.logs.read_csv_log`.
        labels: sequence of str, in the order of the model's outputs.
        confusion: int `(L, L)`: rows are true labels, columns predicted ones.
        scores: dict, as from `classification_scores`. Defaults to the scores of
            `confusion`.
        mistakes: sequence of dicts with `text`, `true`, `predicted` and, where
            there are any, `text_b` and `score`, the probability of what was
            predicted. The most certain is shown first.
        tagged: sequence of dicts with `text`, and `true` and `predicted`, its spans
            as `(start, end, label)` in characters. Shown in their order.
        true_values: float array `(N,)`. Targets of a regression.
        predicted_values: float array `(N,)`. What was predicted for them.
        warnings: sequence of str. What a reader should know before trusting the rest.
    Raises:
        ValueError: if two parts contradict each other.
    Example:
    >>> report = Report("Films", labels=["neg", "pos"], confusion=[[3, 1], [0, 4]])
    >>> report.scores["accuracy"]
    0.875
    """

    title: str
    summary: dict = dataclasses.field(default_factory=dict)
    history: dict = dataclasses.field(default_factory=dict)
    labels: list | None = None
    confusion: np.ndarray | None = None
    scores: dict | None = None
    mistakes: list = dataclasses.field(default_factory=list)
    tagged: list = dataclasses.field(default_factory=list)
    true_values: np.ndarray | None = None
    predicted_values: np.ndarray | None = None
    warnings: list = dataclasses.field(default_factory=list)

    def __post_init__(self):
        if self.confusion is not None:
            self.confusion = check_confusion("Report", self.confusion)
            self.scores = self.scores or classification_scores(self.confusion)
            if self.labels is None:
                self.labels = [str(index) for index in range(len(self.confusion))]
        support = None if self.scores is None else len(self.scores["support"])
        if support is not None and (self.labels is None or len(self.labels) != support):
            raise ValueError(
                f"Report: labels must have one name for each row of confusion or scores. Received: "
                f"{'none' if self.labels is None else len(self.labels)} for {support}."
            )
        if (self.true_values is None) != (self.predicted_values is None) or np.shape(self.true_values) != np.shape(
            self.predicted_values
        ):
            raise ValueError(
                f"Report: true_values and predicted_values must be arrays of one length. "
                f"Received shapes: {np.shape(self.true_values)}, {np.shape(self.predicted_values)}."
            )

    def to_dict(self):
        """Return everything that is known as JSON-ready values: a number that is none becomes `None`."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: _plain(value) for name, value in fields.items() if value is not None and len(value)}


def _plain(value):
    if isinstance(value, dict):
        return {clean(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (bool, np.bool_)):
        return None if value is None else bool(value)
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value) if math.isfinite(value) else None
    return clean(value)


def write_report(path, report, json_path=None, sections=SECTIONS):
    """Write a report as one HTML file that needs nothing else, and for machines as JSON.

    It is read without a network and without scripts, on light and dark screens,
    telephones and paper.

    Args:
        path: str or path of the HTML file. Replaced when the new one is whole.
        report: `Report`.
        json_path: optional str or path of a JSON file with the same facts.
        sections: sequence of functions from the report to the HTML of a section,
            an empty str to leave it out. Defaults to `SECTIONS`; add to them
            with `(*SECTIONS, mine)`, built from `reports.markup`.
    Example:
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "report.html")
    >>> write_report(path, Report("Films", summary={"accuracy": 0.91}))
    >>> "<h1>Films</h1>" in path.read_text(encoding="utf-8")
    True
    """
    body = "\n".join(filter(None, (build(report) for build in sections)))
    with replaced_file(path) as file:
        file.write(page(report.title, body))
    if json_path is not None:
        with replaced_file(json_path) as file:
            json.dump(report.to_dict(), file, indent=2, ensure_ascii=False, allow_nan=False)
            file.write("\n")

"""What an export is worth: the measured differences of its artifacts from the Keras model."""

import dataclasses
import json

from keras_bert_suite.export.plot import plot
from keras_bert_suite.files import replaced_file

__all__ = ["Report", "table"]

#: Column heading, key of a row, and how the value is printed.
COLUMNS = (
    ("format", "format", "{}"),
    ("input", "input", "{}"),
    ("size MB", "size_mb", "{:.1f}"),
    ("max diff", "max_difference", "{:.1e}"),
    ("mean diff", "mean_difference", "{:.1e}"),
    ("same label", "label_agreement", "{:.2%}"),
    ("score", "score", "{:.4f}"),
    ("load s", "load_seconds", "{:.2f}"),
    ("ms, 1 row", "latency_ms", "{:.1f}"),
    ("ms, 32 rows", "batch_latency_ms", "{:.1f}"),
    ("peak MB", "peak_memory_mb", "{:.0f}"),
    ("allowed", "tolerance", "{:.0e}"),
    ("result", "result", "{}"),
)


@dataclasses.dataclass(frozen=True)
class Report:
    """Artifacts compared with Keras, each run in its own runtime.

    Attributes:
        rows: list of dict, one for each artifact and each kind of input
            (`"text"` or `"ids"`) that it takes: `format`, `input`, `file`,
            `size_mb` (10^6 bytes), `max_difference` and `mean_difference` of the
            probabilities (of embeddings and regression: of the numbers),
            `label_agreement` in [0, 1], `score` and `scores` on labelled
            examples, `load_seconds`, `latency_ms` and `batch_latency_ms`
            (medians, of 1 row and of 32), `tokens` (of the row that was timed),
            `peak_memory_mb` of the process that ran it, `tolerance`, `passed`,
            and `error`, a str, where the artifact could not be run.
        reference: dict. What they were compared with: `backend`, `examples` (a
            count), `max_length` in tokens, and on labelled examples `scores`, the
            main one as `score` with its name in `score_name`.
        notes: list of str. What a user of the artifacts should know.
    """

    rows: list
    reference: dict
    notes: list = dataclasses.field(default_factory=list)

    @property
    def passed(self):
        """bool: whether every artifact ran and stayed within its tolerance."""
        return all(row["passed"] for row in self.rows)

    def to_dict(self):
        """Return everything as JSON-ready values."""
        return {"passed": self.passed, **dataclasses.asdict(self)}

    def to_json(self):
        """Return `to_dict` as JSON text."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)

    def write_plot(self, path):
        """Write size, quality and latency of the artifacts as an SVG."""
        with replaced_file(path) as file:
            file.write(plot(self))

    def table(self):
        """Return the rows as plain text for people, with the notes below."""
        shown = [{**row, "result": "pass" if row["passed"] else "FAIL"} for row in self.rows]
        columns = [column for column in COLUMNS if any(row.get(column[1]) is not None for row in shown)]
        score = self.reference.get("score_name")
        cells = [[score if heading == "score" and score else heading for heading, _, _ in columns]]
        for row in shown:
            cells.append(["-" if row.get(key) is None else form.format(row[key]) for _, key, form in columns])
        lines = table(cells)
        lines += [f"{row['format']}: {row['error']}" for row in self.rows if row.get("error")]
        reference = f"Compared with Keras on {self.reference['backend']}, {self.reference['examples']} examples"
        if self.reference.get("score") is not None:
            reference += f", {score} {self.reference['score']:.4f}"
        return "\n".join([*lines, f"{reference}.", *(f"Note: {note}" for note in self.notes)])


def table(cells):
    """Return rows of str as lines of plain text in columns, the first as heading."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return lines

"""What an export is worth: the measured differences of its artifacts from the Keras model."""

import dataclasses
import json

__all__ = ["Report"]

#: Column heading, key of a row, and how the value is printed.
COLUMNS = (
    ("format", "format", "{}"),
    ("input", "input", "{}"),
    ("size MB", "size_mb", "{:.1f}"),
    ("max diff", "max_difference", "{:.1e}"),
    ("mean diff", "mean_difference", "{:.1e}"),
    ("same label", "label_agreement", "{:.2%}"),
    ("accuracy", "accuracy", "{:.2%}"),
    ("latency ms", "latency_ms", "{:.1f}"),
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
            probabilities, `label_agreement` and `accuracy` in [0, 1], `latency_ms`
            (median, batch of 1), `tokens` (length of the row it was timed on, as
            the artifact computes it), `tolerance`, `passed`, and `error`, a str,
            where the artifact could not be run.
        reference: dict. What they were compared with: `backend`, `texts` (a
            count), `max_length` and `litert_length` in tokens, `accuracy`.
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

    def table(self):
        """Return the rows as plain text for people, with the notes below."""
        shown = [{**row, "result": "pass" if row["passed"] else "FAIL"} for row in self.rows]
        columns = [column for column in COLUMNS if any(row.get(column[1]) is not None for row in shown)]
        cells = [[heading for heading, _, _ in columns]]
        for row in shown:
            cells.append(["-" if row.get(key) is None else form.format(row[key]) for _, key, form in columns])
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]
        lines.insert(1, "  ".join("-" * width for width in widths))
        lines += [f"{row['format']}: {row['error']}" for row in self.rows if row.get("error")]
        reference = f"Compared with Keras on {self.reference['backend']}, {self.reference['texts']} texts"
        if self.reference.get("accuracy") is not None:
            reference += f", accuracy {self.reference['accuracy']:.2%}"
        return "\n".join([*lines, f"{reference}.", *(f"Note: {note}" for note in self.notes)])

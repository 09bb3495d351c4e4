"""Outputs of a served model as the answers that the task's own `predict` gives."""

__all__ = ["answers_from"]


def answers_from(outputs):
    """Return one answer per row.

    Args:
        outputs: dict from output name to a list with an item per row, as the
            column format of the REST API has it.
    Returns:
        list. Of a model that chooses a label: dicts with `label` and `score`; of
        several labels: `labels`, the likeliest first; of a number: `score`; of
        questions: `answer`, `start`, `end` and `score`; of choices: `choice`,
        `index` and `score`; of tagging: `spans`; of gaps: `gaps`.
        Otherwise all outputs of the row by name, or the value of the only one.
    Example:
    >>> answers_from({"label": ["pos"], "score": [0.9], "probabilities": [[0.1, 0.9]]})
    [{'label': 'pos', 'score': 0.9}]
    """
    names = set(outputs)
    for needed, answer in ANSWERS:
        if needed <= names:
            return [answer(row) for row in _rows(outputs)]
    if len(outputs) == 1:
        (values,) = outputs.values()
        return [{"score": _number(value)} for value in values] if names == {"score"} else list(values)
    return list(_rows(outputs))


def _one_label(row):
    return {"label": row["label"], "score": row["score"]}


def _several_labels(row):
    chosen = zip(row["labels"], row["probabilities"], row["predicted"], strict=True)
    found = [{"label": label, "score": score} for label, score, predicted in chosen if predicted]
    return {"labels": sorted(found, key=lambda one: -one["score"])}


def _answer(row):
    start, end = (None if row[name] < 0 else row[name] for name in ("start", "end"))
    return {"answer": row["answer"], "start": start, "end": end, "score": row["score"]}


def _spans(row):
    columns = [row[name][: row["num_spans"]] for name in ("start", "end", "label", "span", "score")]
    return {"spans": [dict(zip(SPAN, values, strict=True)) for values in zip(*columns, strict=True)]}


def _choice(row):
    return {name: row[name] for name in ("choice", "index", "score")}


def _gaps(row):
    gaps = zip(row["token"], row["score"], strict=True)
    found = [[{"token": token, "score": score} for token, score in zip(*gap, strict=True)] for gap in gaps]
    return {"gaps": found[: row["num_gaps"]]}


SPAN = ("start", "end", "label", "text", "score")

#: The outputs by which a task is known, and what is made of a row of them; the first that fits.
ANSWERS = (
    ({"num_spans", "start", "end", "label", "span", "score"}, _spans),
    ({"answer", "start", "end", "score"}, _answer),
    ({"choice", "index", "score"}, _choice),
    ({"num_gaps", "token", "score"}, _gaps),
    ({"predicted", "labels", "probabilities"}, _several_labels),
    ({"label", "score"}, _one_label),
)


def _rows(outputs):
    for values in zip(*outputs.values(), strict=True):
        yield dict(zip(outputs, values, strict=True))


def _number(value):
    return value[0] if isinstance(value, list) else value

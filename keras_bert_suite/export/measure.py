"""Holding an artifact's answers against Keras', and timing it. Knows no runtime."""

import numpy as np

__all__ = ["difference", "measure_ids", "measure_text"]

#: Texts that are sent at a time.
BATCH_SIZE = 8


def measure_ids(task, artifact, arrays, expected):
    """Run an artifact on all examples.

    Args:
        task: the task that it came from.
        artifact: an open `runner.ArtifactProcess`.
        arrays: dict of int32 arrays `(N, ..., T)`, as `encode_rows` returns them.
        expected: iterable of `(rows, outputs)`, as `ReferenceOutputs` is one.
    Returns:
        dict: the measured part of a row of `Report`, and `finite`.
    """
    lengths = _lengths(arrays)
    order = np.argsort(lengths, kind="stable")

    def compared():
        for rows, outputs in expected:
            batch = _batch(arrays, rows, lengths)
            found = artifact.run_ids(batch)
            yield found, {name: output for name, output in outputs.items() if name in found}, batch  # OpenVINO: no tags

    typical = order[len(order) // 2]
    thirty_two = np.full(32, typical)
    return {
        "input": "ids",
        **difference(task, compared()),
        "latency_ms": artifact.time("ids", _batch(arrays, [typical], lengths)) * 1e3,
        "batch_latency_ms": artifact.time("ids", _batch(arrays, thirty_two, lengths)) * 1e3,
        "tokens": int(lengths[typical]),
    }


def measure_text(task, artifact, rows):
    """Run an artifact that takes strings, and compare its answers with those of the task's `predict`.

    Args:
        task: the task that it came from, at the length of the artifact.
        artifact: an open `runner.ArtifactProcess` with `takes_text`.
        rows: list, as `given_rows` returns it.
    Returns:
        dict, as `measure_ids` returns it.
    """
    rows, columns = _text_columns(task, rows)
    count = len(rows)
    answers, scores = [], []
    for start in range(0, count, BATCH_SIZE):
        part = {name: column[start : start + BATCH_SIZE] for name, column in columns.items()}
        found = _text_answers(task, artifact.run_text(part))
        answers += found[0]
        scores += found[1]
    right, expected = _keras_answers(task, rows)
    agreement = [one == other for one, other in zip(answers, right, strict=True)]
    gaps = np.concatenate([np.zeros(0), *(_gaps(*pair) for pair in zip(scores, expected, strict=True))])
    finite = bool(np.isfinite(gaps).all())
    middle = sorted(range(count), key=lambda row: len(str(rows[row])))[count // 2]
    typical = {name: [column[middle]] for name, column in columns.items()}
    return {
        "input": "text",
        "finite": finite,
        "max_difference": float(gaps.max(initial=0)) if finite else None,
        "mean_difference": float(gaps.mean()) if finite and len(gaps) else None,
        "label_agreement": None if right[0] is None else float(np.mean(agreement)),
        "latency_ms": artifact.time("text", typical) * 1e3,
        "batch_latency_ms": artifact.time("text", {name: column * 32 for name, column in typical.items()}) * 1e3,
        "tokens": None,
    }


def _gaps(ours, theirs):
    """The differences of two answers' numbers; all that there are where one has more of them."""
    if np.shape(ours) == np.shape(theirs):
        return np.abs(np.subtract(ours, theirs)).ravel()
    return np.abs(np.concatenate([np.ravel(ours), np.ravel(theirs)]))


def difference(task, batches):
    """Compare outputs, logits as the probabilities that they mean.

    Args:
        task: the task.
        batches: iterable of `(found, expected, arrays)`: two dicts of arrays
            `(B, ...)`, and one of the int32 arrays that went in.
    Returns:
        dict: `finite`; `max_difference` and `mean_difference`, floats, or `None`
        where numbers are not finite; and `label_agreement`, the share of rows or
        tokens with one answer, `None` where there are no answers to agree on.
    """
    largest, sums, counts, agreement = [], [], [], _Agreement(task)
    for found, expected, arrays in batches:
        mask = arrays["padding_mask"] > 0
        compared = {
            name: [_probabilities(task, name, values, mask) for values in (found[name], output)]
            for name, output in expected.items()
            if output.dtype.kind == "f"
        }
        for ours, theirs in compared.values():
            gap = np.abs(ours - theirs)
            gap = gap[mask] if _by_token(gap, mask) else gap
            largest.append(gap.max(initial=0))
            sums.append(gap.sum())
            counts.append(gap.size)
        agreement.add(found, expected, compared, arrays)
    finite = bool(np.isfinite(sums).all())
    return {
        "finite": finite,
        "max_difference": float(max(largest, default=0)) if finite else None,
        "mean_difference": float(sum(sums) / max(1, sum(counts))) if finite else None,
        "label_agreement": agreement.share(),
    }


def _probabilities(task, name, values, mask):
    values = values.astype("float64")
    if not name.endswith("logits"):
        return values
    if name != "logits":
        values = np.where(mask, values, -1e9)
    if task.task == "multiple-choice":
        values = np.where(mask.any(axis=-1), values, -1e9)
    exponentials = np.exp(values - values.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def _by_token(output, mask):
    return output.shape[: mask.ndim] == mask.shape


class _Agreement:
    """Whether answers are the same, of one batch after the other."""

    def __init__(self, task):
        self.task, self.same, self.vectors = task, [], []

    def add(self, found, expected, compared, arrays):
        if self.task.task == "sentence-embedding":
            self.vectors.append([found["embedding"], expected["embedding"]])
        elif "tags" in expected:
            self.same.append((found["tags"] == expected["tags"])[arrays["word_mask"] > 0])
        elif getattr(self.task, "problem_type", None) != "regression":
            mask = arrays["padding_mask"] > 0
            outputs = [self._equal(*pair) for pair in compared.values()]
            self.same.append(np.logical_and.reduce([one[mask] if one.shape == mask.shape else one for one in outputs]))

    def _equal(self, ours, theirs):
        if getattr(self.task, "problem_type", None) == "multi_label_classification":
            return ((ours >= self.task.thresholds) == (theirs >= self.task.thresholds)).all(axis=-1)
        return ours.argmax(axis=-1) == theirs.argmax(axis=-1)

    def share(self):
        """Return a float, or `None` where there are no answers to agree on."""
        if self.vectors:
            nearest = [_nearest(np.concatenate(vectors)) for vectors in zip(*self.vectors, strict=True)]
            return float((nearest[0] == nearest[1]).mean()) if len(nearest[0]) > 2 else None
        if not self.same:
            return None
        same = np.concatenate(self.same)
        return float(same.mean()) if len(same) else 1.0


def _nearest(vectors):
    """Return the row that each row is most like, itself left out."""
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return (vectors @ vectors.T - 2 * np.eye(len(vectors))).argmax(axis=-1)


def _lengths(arrays):
    mask = arrays["padding_mask"]
    return mask.reshape(len(mask), -1, mask.shape[-1]).sum(axis=-1).max(axis=-1)


def _batch(arrays, rows, lengths):
    """Some rows, cut to the longest among them."""
    length = int(lengths[rows].max())
    return {name: np.ascontiguousarray(array[rows][..., :length]) for name, array in arrays.items()}


def _text_columns(task, rows):
    """Return the rows as strings are sent for them, and what is sent: dict of lists."""
    if task.task == "question-answering":
        found = task._read(rows)
        return rows, {"question": [row.question for row in found], "context": [row.context for row in found]}
    if task.task == "multiple-choice":
        found = task._read(rows)
        most = max(len(row.choices) for row in found)
        choices = [[*row.continuations, *[""] * (most - len(row.choices))] for row in found]
        return rows, {"text": [row.text for row in found], "choices": choices}
    if task.task == "relation-classification":
        found = task._read(rows)
        return rows, {"text": [relation.marked(frozenset(task.markers)) for relation in found.relations]}
    if task.task == "token-classification":
        rows = [row if isinstance(row, str) else " ".join(row) for row in rows]
    if rows and isinstance(rows[0], tuple):
        return rows, dict(zip(("text", "text_b"), map(list, zip(*rows, strict=True)), strict=True))
    return rows, {"text": rows}


def _text_answers(task, outputs):
    """Return the answers in a batch of outputs for strings, and their numbers: two lists."""
    if task.task == "token-classification":
        spans, scores = [], []
        columns = [np.array(outputs[name], object) for name in ("start", "end", "label", "score")]
        for row, count in enumerate(outputs["num_spans"].tolist()):
            found = [column[row, :count].tolist() for column in columns]
            spans.append(list(zip(*found[:3], strict=True)))
            scores.append(found[3])
        return spans, scores
    if task.task == "question-answering":
        places = zip(outputs["answer"], outputs["start"].tolist(), outputs["end"].tolist(), strict=True)
        return list(places), outputs["score"].tolist()
    if task.task == "multiple-choice":
        return outputs["index"].tolist(), outputs["score"].tolist()
    if task.task == "fill-mask":
        counts = outputs["num_gaps"].tolist()
        tokens = [[gap[0] for gap in row[:count]] for row, count in zip(outputs["token"], counts, strict=True)]
        return tokens, [row[:count, 0].tolist() for row, count in zip(outputs["score"], counts, strict=True)]
    if task.task == "sentence-embedding":
        return [None] * len(outputs["embedding"]), list(outputs["embedding"])
    if task.problem_type == "regression":
        return [None] * len(outputs["score"]), list(outputs["score"])
    if task.problem_type == "multi_label_classification":
        return outputs["predicted"].tolist(), list(outputs["probabilities"])
    return list(outputs["label"]), list(outputs["probabilities"])


def _keras_answers(task, rows):
    """Return the same from the task itself."""
    if task.task == "fill-mask":
        found = task.fill(rows, top_k=1)
        return [[gap[0]["token"] for gap in row] for row in found], [[gap[0]["score"] for gap in row] for row in found]
    if task.task == "sentence-embedding":
        return [None] * len(rows), list(task.encode(rows))
    if hasattr(task, "predict_probabilities"):
        chances = task.predict_probabilities(rows)
        if task.problem_type == "regression":
            return [None] * len(rows), list(chances)
        if task.problem_type == "multi_label_classification":
            return (chances >= task.thresholds).tolist(), list(chances)
        return [task.labels[index] for index in chances.argmax(axis=-1)], list(chances)
    found = task.predict(rows)
    if task.task == "token-classification":
        spans = [[(span["start"], span["end"], span["label"]) for span in row["spans"]] for row in found]
        return spans, [[span["score"] for span in row["spans"]] for row in found]
    if task.task == "question-answering":
        places = [(one["answer"], *(-1 if one[end] is None else one[end] for end in ("start", "end"))) for one in found]
        return places, [one["score"] for one in found]
    return [one["index"] for one in found], [one["score"] for one in found]

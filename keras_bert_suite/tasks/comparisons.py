"""What models of sentence embeddings learn from and are scored on: pairs, pairs with scores, triplets."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from keras_bert_suite.data import read_comparisons
from keras_bert_suite.reports import pearson, spearman
from keras_bert_suite.tasks.similarity import compare_all, compare_pairs

__all__ = ["Comparisons", "ranks_of_positives", "read_comparison_input", "score_comparisons"]

#: Keys of a dict of texts, in order -> what else they may be called.
KEYS = (("text", "anchor"), ("text_b", "positive"), ("text_c", "negative"))
SCORE_KEYS = ("label", "score")

#: Similarities held at once, in numbers.
BLOCK = 2**24


@dataclasses.dataclass
class Comparisons:
    """Groups of texts: an anchor, what goes with it, and perhaps what does not; or pairs with scores.

    Args:
        columns: list of C lists of N str: anchors, positives, and any negatives.
        scores: optional list of N floats: how alike the two of each pair are.
        path: optional path they were read from.
    """

    columns: list
    scores: list | None = None
    path: Path | None = None

    def __len__(self):
        return len(self.columns[0])

    @property
    def kind(self):
        """str: `"scores"`, `"pairs"` or `"triplets"`."""
        if self.scores is not None:
            return "scores"
        return "pairs" if len(self.columns) == 2 else "triplets"

    def texts(self):
        """Return the different texts, a list, and which of them each is: int `(N, C)`."""
        numbers = {}
        ids = [[numbers.setdefault(text, len(numbers)) for text in column] for column in self.columns]
        return list(numbers), np.array(ids, "int64").T


def read_comparison_input(x, y=None, pairs=None, columns=None):
    """Read all of `x` into one `Comparisons`.

    Args:
        x: path of a file; a list of tuples, `(anchor, positive)` or `(anchor,
            positive, negative, ...)`; a dict of lists with `text`, `text_b` and
            perhaps `text_c` or `label`; or a list of anchors, with `pairs`.
        y: optional scores of pairs.
        pairs: optional list of str, the second texts.
        columns: optional dict for files, as in `data.read_comparisons`.
    Raises:
        DataError: if a file breaks a rule.
        ValueError: if these are not pairs or triplets, or lengths differ.
    """
    if isinstance(x, str | Path):
        if y is not None or pairs is not None:
            raise ValueError(f"fit and evaluate: a file brings its own pairs and scores. Received: {x} and more.")
        return _from_file(x, columns)
    if isinstance(x, Mapping):
        x, y = _from_dict(x, y)
    elif pairs is not None:
        x = [_listed(x), _listed(pairs)]
    else:
        x = _transposed(_listed(x))
    return _checked(Comparisons(x, None if y is None else _floats(y)))


def score_comparisons(comparisons, encode, measure):
    """Score embeddings by how they compare texts.

    Args:
        comparisons: `Comparisons`.
        encode: function from a list of N str to float `(N, D)`.
        measure: str, as in `similarity.compare_all`.
    Returns:
        `(scores, found)`: dict of floats, the main one first, and what they are
        of. For scored pairs `spearman` and `pearson`, and the similarities
        `(N,)`. For pairs `accuracy` and `mrr`, and what `ranks_of_positives`
        returns. For triplets `accuracy`, and bool `(N,)`: which are right.
    """
    texts, ids = comparisons.texts()
    vectors = encode(texts)
    if comparisons.kind == "pairs":
        ranks, nearest = ranks_of_positives(vectors, ids, measure)
        return {"accuracy": float((ranks == 1).mean()), "mrr": float((1 / ranks).mean())}, (ranks, nearest)
    similarities = [compare_pairs(measure, vectors[ids[:, 0]], vectors[column]) for column in ids.T[1:]]
    if comparisons.kind == "triplets":
        right = (similarities[0] > np.stack(similarities[1:])).all(axis=0)
        return {"accuracy": float(right.mean())}, right
    scores, found = np.array(comparisons.scores), similarities[0].astype("float64")
    return {"spearman": spearman(found, scores), "pearson": pearson(found, scores)}, found


def ranks_of_positives(vectors, ids, measure):
    """Return the rank of each anchor's positive among the positives of all rows, from 1, and which comes first.

    Texts that are the anchor itself, or that are right for it by another row, do not count.

    Args:
        vectors: float `(M, D)`, one a text.
        ids: int `(N, 2)`. The texts of each row.
        measure: str, as in `similarity.compare_all`.
    Returns:
        `(ranks, nearest)`: int `(N,)`, and int `(N,)`: indices of texts.
    """
    candidates = np.unique(ids[:, 1])
    place_of = np.searchsorted(candidates, ids[:, 1])
    right_of = {}
    for anchor, place in zip(ids[:, 0].tolist(), place_of.tolist(), strict=True):
        right_of.setdefault(anchor, []).append(place)
    itself = np.searchsorted(candidates, ids[:, 0])
    ranks, nearest = np.zeros(len(ids), "int64"), np.zeros(len(ids), "int64")
    rows = max(1, BLOCK // len(candidates))
    for start in range(0, len(ids), rows):
        part = range(start, min(start + rows, len(ids)))
        scores = compare_all(measure, vectors[ids[part, 0]], vectors[candidates])
        for row, found in zip(part, scores, strict=True):
            own = found[place_of[row]]
            found[right_of[ids[row, 0]]] = -np.inf
            if itself[row] < len(candidates) and candidates[itself[row]] == ids[row, 0]:
                found[itself[row]] = -np.inf
            ranks[row] = 1 + np.count_nonzero(found > own)
            nearest[row] = ids[row, 1] if ranks[row] == 1 else candidates[found.argmax()]
    return ranks, nearest


def _from_file(path, columns):
    rows = list(read_comparisons(path, columns=columns))
    texts = [[row.text for row in rows], [row.text_b for row in rows]]
    if rows[0].text_c is not None:
        texts.append([row.text_c for row in rows])
    scores = None if rows[0].score is None else [row.score for row in rows]
    return Comparisons(texts, scores, Path(path))


def _from_dict(x, y):
    known = {name for names in (*KEYS, SCORE_KEYS) for name in names}
    columns = [next((_listed(x[name]) for name in names if name in x), None) for names in KEYS]
    if set(x) - known or columns[0] is None or columns[1] is None:
        raise ValueError(f"A dict of pairs has the keys text, text_b and perhaps text_c or label. Received: {list(x)}.")
    scores = next((x[name] for name in SCORE_KEYS if name in x), None)
    return [column for column in columns if column is not None], scores if y is None else y


def _transposed(rows):
    sizes = {len(row) if isinstance(row, tuple | list) else 0 for row in rows}
    if len(sizes) != 1 or min(sizes) < 2:
        raise ValueError(
            "fit and evaluate: the texts must be pairs or triplets, all alike: a list of tuples of 2 or more str. "
            f"Received: {rows[0]!r:.100}."
            if rows
            else "fit and evaluate: at least one pair is needed. Received: none."
        )
    return [list(column) for column in zip(*rows, strict=True)]


def _checked(comparisons):
    lengths = {len(column) for column in comparisons.columns}
    if comparisons.scores is not None:
        lengths.add(len(comparisons.scores))
    if len(lengths) > 1 or lengths == {0}:
        raise ValueError(
            f"fit and evaluate: each row must have as many texts, and a score where there are any. Received: {lengths}."
        )
    if comparisons.scores is not None and len(comparisons.columns) > 2:
        raise ValueError("fit and evaluate: scores are for pairs. Received: scores of triplets. Leave them out.")
    return comparisons


def _floats(values):
    values = np.asarray(_listed(values))
    if values.dtype.kind not in "fiub" or values.ndim != 1 or not np.isfinite(values.astype("float64")).all():
        raise ValueError(f"fit and evaluate: the scores of pairs must be finite numbers. Received: {values!r:.100}.")
    return values.astype("float64").tolist()


def _listed(values):
    return values.tolist() if hasattr(values, "tolist") else list(values)

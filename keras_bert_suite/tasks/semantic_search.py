"""A corpus of texts and their embeddings, and the exact nearest of them to a question."""

import json
from pathlib import Path

import numpy as np

from keras_bert_suite.errors import DataError, check_positive_int
from keras_bert_suite.files import replaced_directory
from keras_bert_suite.tasks.inputs import listed
from keras_bert_suite.tasks.similarity import compare_all, compare_pairs

__all__ = ["SemanticSearch"]

VECTORS_FILE = "embeddings.npy"
TEXTS_FILE = "corpus.jsonl"

#: Similarities held at once, in numbers.
BLOCK = 2**24
#: A model gives the vector that is stored for a text again, but for rounding in another type or on another device.
SAME_VECTOR = 0.98


class SemanticSearch:
    """Finds the texts of a corpus that mean most nearly what is asked for.

    Every query is compared with every text, by one matrix product: the answers
    are exact. A text may bring values along, such as the answer to a question
    that is often asked; search then answers questions put in other words.

    Args:
        embedder: `TextEmbedder`. Its `similarity_fn_name` says what is near.
        texts: optional list of str. The corpus; `add` adds more.
        values: optional list of dicts of JSON values, one a text, given back with it.
        show_progress: bool. Whether to show a bar.
    Attributes:
        texts: list of str.
        values: list of dicts.
        embeddings: float32 array `(N, D)`.
    Example:
    >>> import keras_bert_suite as kbs
    >>> from keras_bert_suite.tasks import TextEmbedder
    >>> tokenizer = kbs.WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad"])
    >>> config = kbs.EncoderConfig(
    ...     vocabulary_size=7, num_layers=1, hidden_dim=12, num_heads=3, intermediate_dim=20, max_length=16)
    >>> model = kbs.models.build_text_embedder(kbs.models.build_encoder(config))
    >>> search = SemanticSearch(TextEmbedder(model, tokenizer), ["good", "bad"], [{"answer": "yes"}, {"answer": "no"}])
    >>> found = search.search("bad", top_k=1)
    >>> found[0]["text"], found[0]["answer"], round(found[0]["score"], 4)
    ('bad', 'no', 1.0)
    """

    def __init__(self, embedder, texts=(), values=None, *, show_progress=False):
        self.embedder = embedder
        self.texts = []
        self.values = []
        self.embeddings = np.zeros((0, embedder.embedding_dim), "float32")
        if len(listed(texts)):
            self.add(texts, values, show_progress=show_progress)

    def __len__(self):
        return len(self.texts)

    def add(self, texts, values=None, *, embeddings=None, show_progress=False):
        """Add texts to the corpus.

        Args:
            texts: list of str.
            values: optional list of dicts of JSON values, one a text. Keys
                `text`, `score` and `index` are taken.
            embeddings: optional float `(N, D)`, of `encode_document`. Computed where not given.
            show_progress: bool. Whether to show a bar.
        Raises:
            ValueError: if lengths differ, or a value has a key that is taken.
        """
        texts = listed(texts)
        values = [{} for _ in texts] if values is None else [dict(value) for value in values]
        if embeddings is None:
            embeddings = self.embedder.encode_document(texts, show_progress=show_progress)
        embeddings = np.asarray(embeddings, "float32")
        if len(values) != len(texts) or embeddings.shape != (len(texts), self.embedder.embedding_dim):
            raise ValueError(
                f"SemanticSearch: there must be a dict of values, and an embedding of {self.embedder.embedding_dim}, "
                f"for each text. Received: {len(texts)} texts, {len(values)} values, shape {embeddings.shape}."
            )
        for value in values:
            if taken := {"text", "score", "index"} & set(value):
                raise ValueError(f"SemanticSearch: values must not have the key {min(taken)!r}. Rename it.")
        if self.embedder.similarity_fn_name == "cosine":
            embeddings = _unit(embeddings)
        self.embeddings = np.concatenate([self.embeddings, embeddings])
        self.texts.extend(texts)
        self.values.extend(values)

    def search(self, queries, top_k=5, *, min_score=None):
        """Find the texts nearest to each query.

        Args:
            queries: str, or list of str.
            top_k: int. Texts to return, at most. Defaults to 5.
            min_score: optional float. Texts less similar are left out.
        Returns:
            list of dicts with `text`, `score` (the similarity), `index` in the
            corpus, and the text's values, the nearest first; a list of such
            lists for a list of queries. Equally near texts are in the corpus' order.
        Example:
            search.search("How do I get my money back?", top_k=1)[0]["answer"]
        """
        single = isinstance(queries, str)
        indices, scores = self.nearest(self.embedder.encode_query(listed(queries)), top_k)
        least = -np.inf if min_score is None else min_score
        answers = [
            [
                {"text": self.texts[index], "score": score, "index": index, **self.values[index]}
                for index, score in zip(*pair, strict=True)
                if score >= least
            ]
            for pair in zip(indices.tolist(), scores.tolist(), strict=True)
        ]
        return answers[0] if single else answers

    def nearest(self, vectors, top_k=5):
        """Find the embeddings nearest to vectors.

        Args:
            vectors: float `(Q, D)`.
            top_k: int.
        Returns:
            `(indices, scores)`: int64 and float32 `(Q, K)`, with K the smaller of
            `top_k` and the size of the corpus, the nearest first.
        """
        check_positive_int("SemanticSearch", top_k=top_k)
        vectors = np.atleast_2d(np.asarray(vectors, "float32"))
        top_k = min(top_k, len(self))
        indices = np.zeros((len(vectors), top_k), "int64")
        scores = np.zeros((len(vectors), top_k), "float32")
        rows = max(1, BLOCK // max(1, len(self)))
        for start in range(0, len(vectors) if top_k else 0, rows):
            part = slice(start, start + rows)
            found = self._similarities(vectors[part])
            for row, similarities in enumerate(found, start):
                indices[row] = _largest(similarities, top_k)
                scores[row] = similarities[indices[row]]
        return indices, scores

    def _similarities(self, vectors):
        measure = self.embedder.similarity_fn_name
        if measure not in ("cosine", "dot"):
            return compare_all(measure, vectors, self.embeddings)
        if measure == "cosine":
            vectors = _unit(vectors)
        if len(vectors) == 1:
            # Reading the corpus is what takes the time, on one thread too. After a product NumPy's threads stay awake
            # for tens of milliseconds, and on PyTorch the next query's embedding would share its cores with them.
            return np.einsum("nd,qd->qn", self.embeddings, vectors)
        return (self.embeddings @ vectors.T).T  # the corpus is read once, in its own order

    # Saving and opening

    def save(self, directory, overwrite=False):
        """Write texts, values and embeddings, without the embedder.

        Args:
            directory: str or path. Must be absent or empty unless `overwrite`.
            overwrite: bool. Whether a directory already there may be replaced.
        Raises:
            FileExistsError: if the directory holds anything and `overwrite` is false.
        """
        with replaced_directory(directory, overwrite) as written:
            np.save(written / VECTORS_FILE, self.embeddings, allow_pickle=False)
            with open(written / TEXTS_FILE, "w", encoding="utf-8", newline="\n") as file:
                for text, value in zip(self.texts, self.values, strict=True):
                    file.write(json.dumps({"text": text, **value}, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, directory, embedder):
        """Open what `save` wrote.

        Args:
            directory: str or path.
            embedder: `TextEmbedder`, the one that the corpus was embedded with.
        Raises:
            DataError: if a file is missing or damaged, or the embeddings are of another model.
        """
        directory = Path(directory)
        try:
            vectors = np.load(directory / VECTORS_FILE, allow_pickle=False)
            # Only a line feed parts rows: texts may hold other ends of lines.
            lines = (directory / TEXTS_FILE).read_bytes().decode().split("\n")
            rows = [json.loads(line) for line in lines if line]
            texts = [row.pop("text") for row in rows]
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise DataError(f"must hold a corpus that SemanticSearch.save wrote: {error}.", directory) from error
        if vectors.shape != (len(texts), embedder.embedding_dim) or vectors.dtype != np.float32:
            raise DataError(
                f"must hold a float32 embedding of {embedder.embedding_dim} for each of {len(texts)} texts. Received: "
                f"{vectors.dtype} {vectors.shape}. Use the model that the corpus was embedded with.",
                directory,
            )
        if texts:
            again = embedder.encode_document(texts[:1])
            if compare_pairs("cosine", again, vectors[:1])[0] < SAME_VECTOR:
                raise DataError(
                    "its embeddings are of another model: the first text has another vector now. Use that model, or "
                    "embed the corpus again.",
                    directory,
                )
        search = cls(embedder)
        search.texts, search.values, search.embeddings = texts, rows, vectors
        return search


def _largest(values, count):
    """Return the places of the largest values, descending; equal ones in their order."""
    places = np.arange(len(values))
    if count < len(values):
        least = np.partition(values, len(values) - count)[len(values) - count]
        above, equal = np.flatnonzero(values > least), np.flatnonzero(values == least)
        places = np.sort(np.concatenate([above, equal[: count - len(above)]]))
    return places[np.argsort(-values[places], kind="stable")]


def _unit(vectors):
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-12)

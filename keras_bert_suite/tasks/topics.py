"""What a heap of texts is about: clusters of their embeddings, and the words that tell each from the others."""

import dataclasses
import itertools
import math
import unicodedata
from collections import Counter

import numpy as np

from keras_bert_suite.data.words import ALONE, character_kinds, find_words
from keras_bert_suite.errors import check_positive_int
from keras_bert_suite.tasks.clustering import silhouette, spherical_k_means
from keras_bert_suite.tasks.inputs import listed

__all__ = ["Topics", "find_topics", "topic_keywords"]

#: How many times as frequent as in the other topics a word must be to be a keyword.
DISTINCT = 2.0
#: Vectors that decide the directions and the number of topics: more do not decide them better.
MOST_COMPARED = 5000
#: Principal components that are clustered. In all of an embedding's numbers, what texts share hides what parts them.
NUM_COMPONENTS = 10


@dataclasses.dataclass(frozen=True, eq=False)
class Topics:
    """Texts in topics, the largest topic first.

    Args:
        assignments: int `(N,)`. The topic of each text.
        keywords: list of K lists of str, the most telling first.
        examples: list of K lists of str, texts nearest to the center of their topic.
        centers: float32 `(K, P)`, of length 1, in the space of P principal components.
        mean: float32 `(D,)`. The mean of the embeddings.
        components: float32 `(D, P)`.
        silhouette: float in [-1, 1]. How well the topics are parted.
    """

    assignments: np.ndarray
    keywords: list
    examples: list
    centers: np.ndarray
    mean: np.ndarray
    components: np.ndarray
    silhouette: float

    def __len__(self):
        return len(self.keywords)

    @property
    def sizes(self):
        """list of int. Texts of each topic."""
        return np.bincount(self.assignments, minlength=len(self)).tolist()

    def to_dicts(self):
        """Return a list of dicts with `topic`, `size`, `keywords` and `examples`."""
        return [
            {"topic": topic, "size": size, "keywords": self.keywords[topic], "examples": self.examples[topic]}
            for topic, size in enumerate(self.sizes)
        ]

    def assign(self, vectors):
        """Return the topic of further texts by their embeddings: float `(M, D)` to int `(M,)`."""
        return (_projected(np.atleast_2d(vectors), self.mean, self.components) @ self.centers.T).argmax(axis=1)


def find_topics(
    embedder,
    texts,
    num_topics=None,
    *,
    max_topics=30,
    num_keywords=8,
    num_examples=3,
    embeddings=None,
    seed=0,
    show_progress=False,
):
    """Cluster texts by meaning, and name each cluster by its keywords.

    The principal components of the embeddings are clustered by spherical
    k-means. Without `num_topics`, several numbers from 2 to `max_topics` are
    tried and the one with the highest silhouette is taken. Keywords are those of
    the class-based TF-IDF.

    Args:
        embedder: `TextEmbedder`.
        texts: list of str, 2 at least.
        num_topics: optional int.
        max_topics: int. The most to try. Defaults to 30.
        num_keywords: int. Keywords a topic. Defaults to 8.
        num_examples: int. Example texts a topic. Defaults to 3.
        embeddings: optional float `(N, D)` of these texts, where they are known.
        seed: int. The topics depend on nothing else.
        show_progress: bool. Whether to show a bar while embedding.
    Returns:
        `Topics`.
    Raises:
        ValueError: if there are fewer texts than topics.
    Example:
        topics = find_topics(embedder, open("mails.txt").read().splitlines())
        topics.to_dicts()[0]["keywords"]

    Source: Grootendorst 2022, sections 3.2 and 3.3.
    """
    texts = listed(texts)
    check_positive_int("find_topics", max_topics=max_topics, num_keywords=num_keywords)
    if num_topics is not None:
        check_positive_int("find_topics", num_topics=num_topics)
    if len(texts) < max(2, num_topics or 0):
        raise ValueError(
            f"find_topics: there must be 2 texts at least, and as many as topics. Received: {len(texts)} texts, "
            f"num_topics={num_topics}."
        )
    if embeddings is None:
        embeddings = embedder.encode(texts, show_progress=show_progress)
    embeddings = _unit(np.asarray(embeddings, "float32"))
    some = np.sort(np.random.default_rng(seed).permutation(len(texts))[:MOST_COMPARED])
    mean = embeddings.mean(axis=0)
    components = np.linalg.svd(embeddings[some] - mean, full_matrices=False)[2][:NUM_COMPONENTS].T
    vectors = _projected(embeddings, mean, components)
    if num_topics is None:
        num_topics = _best_number(vectors[some], max_topics, seed)
    assignments, centers = spherical_k_means(vectors, num_topics, seed=seed)
    order = np.argsort(-np.bincount(assignments, minlength=num_topics), kind="stable")
    assignments, centers = np.argsort(order)[assignments], centers[order]
    nearest = np.argsort(-(vectors * centers[assignments]).sum(axis=1), kind="stable")
    return Topics(
        assignments,
        topic_keywords(texts, assignments, num_topics, num_keywords),
        [[texts[row] for row in nearest[assignments[nearest] == topic][:num_examples]] for topic in range(num_topics)],
        centers,
        mean,
        components,
        silhouette(vectors, assignments),
    )


def _projected(embeddings, mean, components):
    return _unit((_unit(embeddings) - mean) @ components)


def _unit(vectors):
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _best_number(vectors, max_topics, seed):
    largest = min(max_topics, len(vectors) - 1)
    numbers = sorted({round(number) for number in np.geomspace(2, max(2, largest), 12)})
    scores = [silhouette(vectors, spherical_k_means(vectors, n, seed=seed, num_starts=2)[0]) for n in numbers]
    return numbers[int(np.argmax(scores))]


def topic_keywords(texts, assignments, num_topics, num_keywords=8):
    """Return the words that tell each topic from the others, by the class-based TF-IDF.

    A word's score is how often it is in the topic times `log(1 + A / f)`, for a
    word found f times in all and A words a topic on average. Words that are not
    clearly more frequent in a topic than in the others are left out, so that no
    list of stop words is needed.

    Args:
        texts: list of str.
        assignments: int `(N,)`. The topic of each text.
        num_topics: int.
        num_keywords: int. Defaults to 8.
    Returns:
        list of lists of str, the most telling first.
    Example:
    >>> topic_keywords(["the cat sat", "a cat ran", "the rain fell", "rain again"], [0, 0, 1, 1], 2, 1)
    [['cat'], ['rain']]

    Source: Grootendorst 2022, section 3.3.
    """
    counts = [Counter() for _ in range(num_topics)]
    for words, topic in zip(_words(texts), np.asarray(assignments).tolist(), strict=True):
        counts[topic].update(words)
    overall = sum(counts, Counter())
    total = sum(overall.values())
    average = total / num_topics
    keywords = []
    for topic in counts:
        size = sum(topic.values())
        scores = {
            word: count * math.log(1 + average / overall[word])
            for word, count in topic.items()
            if size == total or count * (total - size) > DISTINCT * (overall[word] - count) * size
        }
        keywords.append(sorted(scores, key=lambda word: (-scores[word], word))[:num_keywords])
    return keywords


def _words(texts):
    """Yield, for each text, a list of what may be a keyword."""
    texts = [unicodedata.normalize("NFC", text).lower() for text in texts]
    spans, offsets = find_words(texts)
    kinds = character_kinds()
    for text, bounds in zip(texts, itertools.pairwise(offsets), strict=True):
        found, letter = [], None  # letter: where the last one stands that is a word alone
        for start, end in spans[slice(*bounds)].tolist():
            if kinds[ord(text[start])] != ALONE:
                found += [text[start:end]] if end - start > 1 and not text[start:end].isdigit() else []
                letter = None
            elif text[start].isalpha():
                found += [text[letter[0] : end]] if letter and letter[1] == start else []
                letter = start, end
            else:
                letter = None
        yield found

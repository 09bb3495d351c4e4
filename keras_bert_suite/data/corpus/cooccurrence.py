"""Vectors of tokens from which tokens stand near them: what a small model would need hours to learn."""

import numpy as np

__all__ = ["cooccurrence_vectors"]

#: How near: tokens to either side, counted by 1 / distance.
WINDOW = 5
#: How many of the commonest tokens are told apart as neighbours. A row of float32 counts each bounds the memory.
NEIGHBOURS = 4096
#: Tokens that are enough to count; shards beyond are not read.
ENOUGH = 50_000_000
#: Rare neighbours count as somewhat less rare, or they would outweigh all. Source: Levy et al. 2015.
SMOOTHING = 0.75
#: Rounds in which the largest singular vectors stand out, and vectors beyond those that are wanted. Source: Halko et
#: al. 2011.
ROUNDS, SPARE = 4, 32


def cooccurrence_vectors(corpus, size, vocabulary_size, special_ids=(), seed=0):
    """Find a vector for each token such that tokens with like neighbours have like vectors.

    Positive pointwise mutual information of tokens and their neighbours within
    the same text of a row, reduced to its largest singular vectors.

    Args:
        corpus: `Corpus`, or what has its `len` and `shard`.
        size: int. Numbers of a vector.
        vocabulary_size: int, V.
        special_ids: ints. Tokens that part texts, and have no neighbours.
        seed: int. Governs which shards are read of a large corpus, and the
            vectors within rounding.
    Returns:
        tuple of float32 `(V, size)`, of length 1 or, where a token has no
        neighbours, 0; and int64 `(V,)`: how often each token was seen.
    Raises:
        DataError: if a shard is damaged.
    Example:
    >>> vectors, counts = cooccurrence_vectors(Corpus("my_corpus"), 256, tokenizer.vocab_size)  # doctest: +SKIP

    Source: Levy and Goldberg 2014 ("Neural Word Embedding as Implicit Matrix Factorization").
    """
    rng = np.random.default_rng(seed)
    shards = _enough_shards(corpus, rng)
    counts = sum(np.bincount(token_ids, minlength=vocabulary_size) for token_ids in shards)
    special = np.zeros(vocabulary_size, bool)
    special[list(special_ids)] = True
    commonest = np.argsort(np.where(special, 0, -counts), kind="stable")[:NEIGHBOURS]
    column = np.full(vocabulary_size, -1)
    column[commonest] = np.arange(len(commonest))
    near = np.zeros((vocabulary_size, len(commonest)), "float32")
    for token_ids in shards:
        _count_pairs(near, token_ids, special, column)
    seen = near.sum(1) > 0
    _make_informative(near)
    vectors = _reduced(near, size, rng)
    return np.where(seen[:, None], _of_length_one(vectors), 0).astype("float32"), counts


def _enough_shards(corpus, rng):
    """Return the tokens of shards in random order, `ENOUGH` of them, so that each is read once."""
    chosen, num_tokens = [], 0
    for index in rng.permutation(len(corpus)).tolist():
        chosen.append(corpus.shard(index).token_ids)
        num_tokens += len(chosen[-1])
        if num_tokens >= ENOUGH:
            break
    return chosen


def _count_pairs(near, token_ids, special, column):
    """Add the neighbours in a shard to `near`, `(V, N)`."""
    ids = token_ids.astype("int64")
    text = np.cumsum(special[ids])  # each special token, such as that at the end of a row, begins another text
    flat = near.reshape(-1)
    for distance in range(1, WINDOW + 1):
        together = (text[distance:] == text[:-distance]) & ~special[ids[:-distance]]
        left, right = ids[:-distance][together], ids[distance:][together]
        for token, neighbour in ((left, right), (right, left)):
            places = token * near.shape[1] + column[neighbour]
            places, times = np.unique(places[column[neighbour] >= 0], return_counts=True)
            flat[places] += (times / distance).astype("float32")


def _make_informative(near):
    """Replace counts `(V, N)`, in their place, by positive pointwise mutual information."""
    share = near.sum(0) ** SMOOTHING
    share /= max(share.sum(), 1e-12)
    for row in near:  # a row at a time, as a second matrix would be as large
        with np.errstate(divide="ignore", invalid="ignore"):
            row[:] = np.nan_to_num(np.log(row / (row.sum() * share)), nan=0.0, neginf=0.0, posinf=0.0)
    np.maximum(near, 0, out=near)


def _reduced(matrix, size, rng):
    """Return the largest left singular vectors, `(V, size)`, times the roots of their values."""
    basis = matrix @ rng.standard_normal((matrix.shape[1], size + SPARE), "float32")
    for _ in range(ROUNDS):
        basis, _ = np.linalg.qr(matrix @ (matrix.T @ basis))
    left, values, _ = np.linalg.svd(basis.T @ matrix, full_matrices=False)
    vectors = np.zeros((len(matrix), size), "float32")
    found = min(size, len(values))
    vectors[:, :found] = (basis @ left[:, :found]) * np.sqrt(values[:found])
    return vectors


def _of_length_one(vectors):
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)

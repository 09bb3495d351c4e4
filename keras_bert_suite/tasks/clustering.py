"""Spherical k-means: directions grouped around directions, and how well they are parted."""

import numpy as np

__all__ = ["silhouette", "spherical_k_means"]

#: Cosine above which a vector is its center.
SAME = 1 - 1e-6


def spherical_k_means(vectors, num_clusters, *, seed=0, num_starts=4, max_steps=100):
    """Part vectors into clusters so that the cosines to the centers of their clusters are large.

    Each start draws centers by k-means++; the best of all starts is kept.

    Args:
        vectors: float `(N, D)`, of length 1.
        num_clusters: int, at most N.
        seed: int. The result depends on nothing else.
        num_starts: int. Defaults to 4.
        max_steps: int. Defaults to 100.
    Returns:
        `(assignments, centers)`: int `(N,)` and float32 `(K, D)`, of length 1.
        No cluster is empty, unless fewer than K vectors differ.
    Example:
    >>> vectors = np.array([[1.0, 0.0], [0.6, 0.8], [0.8, 0.6], [-1.0, 0.0]], "float32")
    >>> assignments, centers = spherical_k_means(vectors, 2)
    >>> np.bincount(assignments).max().item(), centers.shape
    (3, (2, 2))

    Source: Dhillon and Modha 2001; Arthur and Vassilvitskii 2007, for the first centers.
    """
    vectors = np.asarray(vectors, "float32")
    best, most = None, -np.inf
    for start in range(num_starts):
        rng = np.random.default_rng((seed, start))
        assignments, centers, total = _one_start(vectors, num_clusters, rng, max_steps)
        if total > most:
            best, most = (assignments, centers), total
    return best


def _one_start(vectors, num_clusters, rng, max_steps):
    centers = _first_centers(vectors, num_clusters, rng)
    assignments = None
    for _ in range(max_steps):
        cosines = vectors @ centers.T  # (N, K)
        nearest = cosines.argmax(axis=1)
        _fill_empty(nearest, cosines, num_clusters)
        if assignments is not None and (nearest == assignments).all():
            break
        assignments = nearest
        sums = np.zeros_like(centers)
        np.add.at(sums, assignments, vectors)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        centers = np.where(lengths > 1e-12, sums / np.maximum(lengths, 1e-12), centers)
    return assignments, centers, float((vectors * centers[assignments]).sum())


def _first_centers(vectors, num_clusters, rng):
    centers = [vectors[rng.integers(len(vectors))]]
    distances = np.full(len(vectors), np.inf)
    for _ in range(num_clusters - 1):
        distances = np.minimum(distances, np.maximum(1 - vectors @ centers[-1], 0).astype("float64"))
        total = distances.sum()
        place = rng.choice(len(vectors), p=distances / total) if total > 1e-9 else rng.integers(len(vectors))
        centers.append(vectors[place])
    return np.stack(centers)


def _fill_empty(nearest, cosines, num_clusters):
    """Give each empty cluster the vector that is farthest from its center, as long as there is one beside it."""
    counts = np.bincount(nearest, minlength=num_clusters)
    for cluster in np.flatnonzero(counts == 0):
        own = np.where(counts[nearest] > 1, cosines[np.arange(len(nearest)), nearest], np.inf)
        place = own.argmin()
        if own[place] > SAME:
            return
        counts[nearest[place]] -= 1
        nearest[place] = cluster
        counts[cluster] = 1


def silhouette(vectors, assignments):
    """Return the mean silhouette of clusters under the cosine distance, in [-1, 1]: the higher, the better parted.

    As all distances from a vector to a cluster sum to what its mean vector
    says, this takes one matrix product, not all pairs.

    Args:
        vectors: float `(N, D)`, of length 1.
        assignments: int `(N,)`.
    Example:
    >>> vectors = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    >>> silhouette(vectors, np.array([0, 0, 1, 1])), silhouette(vectors, np.array([0, 1, 0, 1]))
    (1.0, -0.5)

    Source: Rousseeuw 1987, section 2.
    """
    vectors = np.asarray(vectors, "float64")
    _, assignments, counts = np.unique(assignments, return_inverse=True, return_counts=True)
    if len(counts) < 2:
        return 0.0
    sums = np.zeros((len(counts), vectors.shape[1]))
    np.add.at(sums, assignments, vectors)
    distances = counts - vectors @ sums.T  # (N, K), sums over the members of each cluster
    rows, sizes = np.arange(len(vectors)), counts[assignments]
    within = distances[rows, assignments] / np.maximum(sizes - 1, 1)
    others = distances / counts
    others[rows, assignments] = np.inf
    nearest = others.min(axis=1)
    largest = np.maximum(np.maximum(within, nearest), 1e-12)
    return float(np.where(sizes > 1, (nearest - within) / largest, 0.0).mean())

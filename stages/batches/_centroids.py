"""Spherical k-means (Dhillon, Modha 2001) whose result no library and no thread count can move.

Centroids are rounded to float16 after every step. Products of float16 numbers sum without any
rounding in float64, so each similarity, and each choice of the nearest, is exact.
"""

from __future__ import annotations

import numpy as np

from ...manifests.schema import NO_ID
from .base import Pool

SAMPLE = 256
"""Rows a cluster that centroids are trained on."""


def assign(pool: Pool, space: str, clusters: int, iterations: int) -> np.ndarray:
    """Return the cluster of each place, int64 [n]: the nearest of `clusters` centroids.

    -1 where a row has no vector. A centroid that loses all its rows keeps its place. Memory:
    `SAMPLE` vectors a cluster for the training, 8 KB a cluster for one chunk of similarities.
    """
    order = pool.shuffled("batches/centroids")
    rows = np.sort(order[: SAMPLE * clusters])
    vectors = pool.exact(space, rows)
    vectors = vectors[vectors.any(axis=1)]
    centroids = vectors[np.linspace(0, len(vectors) - 1, min(clusters, len(vectors))).astype(int)]
    for _ in range(iterations if len(vectors) else 0):
        nearest = _nearest(vectors, centroids)
        sums = np.zeros_like(centroids)
        np.add.at(sums, nearest, vectors)
        moved = sums.any(axis=1)
        norms = np.sqrt((sums[moved] ** 2).sum(axis=1, keepdims=True))
        centroids[moved] = (sums[moved] / norms).astype(np.float16).astype(np.float64)
    found = np.full(len(pool), NO_ID, np.int64)
    for part, block in pool.chunks(space):
        if len(centroids):
            found[part] = np.where(block.any(axis=1), _nearest(block, centroids), NO_ID)
    return found


def _nearest(vectors: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    nearest = np.empty(len(vectors), np.int64)
    for start in range(0, len(vectors), 1024):
        part = slice(start, start + 1024)
        nearest[part] = (vectors[part] @ centroids.T).argmax(axis=1)
    return nearest

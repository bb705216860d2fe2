"""Products that are exact, so that clusters are the same bytes for any number of threads.

Every point and centroid is on the grid of `manifests.exact` and has a norm of about 1, so neither a
matrix product nor a sum of up to 2^28 points rounds anything.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

_BLOCK_VALUES = 1 << 22


def block_rows(clusters: int) -> int:
    """Return how many points are held against all centroids at once: 32 MB of products."""
    return max(64, _BLOCK_VALUES // max(1, clusters))


def assign(points: np.ndarray, centroids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest centroid of each point, ties to the lower number, and the similarity.

    Args:
        points: float32 or float64 [n, d], on the grid.
        centroids: float64 [k, d], on the grid, k >= 1.

    Returns:
        int64 [n]; float64 [n], exact dot products.
    """
    labels = np.zeros(len(points), np.int64)
    best = np.zeros(len(points))
    step = block_rows(len(centroids))
    for start in range(0, len(points), step):
        products = points[start : start + step].astype(np.float64) @ centroids.T
        here = products.argmax(axis=1)
        labels[start : start + step] = here
        best[start : start + step] = np.take_along_axis(products, here[:, None], 1)[:, 0]
    return labels, best


def sums(points: np.ndarray, labels: np.ndarray, clusters: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the exact sum of the points of each cluster, float64 [k, d], and their number [k]."""
    total = np.zeros((clusters, points.shape[1]))
    for start in range(0, len(points), 8192):
        block = points[start : start + 8192].astype(np.float64)
        rows = labels[start : start + 8192]
        columns = np.arange(len(block))
        ones = np.ones(len(block))
        total += csr_matrix((ones, (rows, columns)), shape=(clusters, len(block))) @ block
    return total, np.bincount(labels, minlength=clusters)


def confidence(products: np.ndarray, labels: np.ndarray, t: float) -> np.ndarray:
    """Return kappa_i = e^{s(z_i, c_y)/t} / sum_c e^{s(z_i, c)/t}, float64 [n].

    Chen et al. (IFND), 2022, as algorithms.md §3.6 restates it.

    Args:
        products: float64 [n, k], similarities of points and centroids.
        labels: int64 [n], the cluster y of each point.
        t: temperature.
    """
    own = np.take_along_axis(products, labels[:, None], 1)
    return 1.0 / np.exp((products - own) / t).sum(axis=1)

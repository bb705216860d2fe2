"""Spherical k-means, and k-means of centroids with resampling, by exact sums."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...manifests.exact import unit_on_grid
from ...manifests.fingerprint import draw_uint64
from .grid import assign, sums


def start_at(points: np.ndarray, clusters: int, seed: int, purpose: str) -> np.ndarray:
    """Draw `clusters` different points as first centroids; fewer if there are not that many.

    Returns:
        float64 [k, d], in the order in which they were drawn.
    """
    draws = draw_uint64(seed, np.arange(len(points)), purpose)[:, 0]
    order = np.argsort(draws, kind="stable")
    looked = 2 * clusters
    while True:
        drawn = points[order[:looked]]
        first = np.sort(np.unique(drawn, axis=0, return_index=True)[1])[:clusters]
        if len(first) == clusters or looked >= len(points):
            return drawn[first].astype(np.float64)
        looked *= 2


def kmeans(points: np.ndarray, centroids: np.ndarray, iterations: int) -> np.ndarray:
    """Move centroids to the directions of their points' sums until nothing moves.

    Spherical k-means (Dhillon and Modha, Concept Decompositions, 2001): it never lowers the sum
    of similarities of points to their centroids. A centroid without points is put on the point
    that is farthest from its own.

    Args:
        points: float32 or float64 [n, d], on the grid.
        centroids: float64 [k, d], on the grid, to start from.
        iterations: rounds, at most.

    Returns:
        float64 [k, d], on the grid.
    """
    for _ in range(iterations):
        labels, similarity = assign(points, centroids)
        total, counts = sums(points, labels, len(centroids))
        moved = unit_on_grid(total)
        still = ~moved.any(axis=1)
        moved[still] = centroids[still]
        empty = np.flatnonzero(counts == 0)
        far = np.argsort(similarity, kind="stable")[: len(empty)]
        moved[empty[: len(far)]] = points[far]
        if np.array_equal(moved, centroids):
            break
        centroids = moved
    return centroids


def resampled(
    points: np.ndarray,
    centroids: np.ndarray,
    steps: tuple[int, int],
    iterations: int,
    start: tuple[int, str],
) -> np.ndarray:
    """Even centroids out: k-means of the points nearest to each centroid, from a new start.

    Vo et al., Automatic Data Curation for Self-Supervised Learning, 2024, §3.3: centroids spread
    more evenly over the support, because a dense cluster counts no more than a sparse one.

    Args:
        points: float32 or float64 [n, d], on the grid.
        centroids: float64 [k, d], on the grid.
        steps: how often, and how many points of each cluster are kept.
        iterations: rounds of each k-means, at most.
        start: seed and purpose of the draws of first centroids.
    """
    for step in range(steps[0]):
        labels, similarity = assign(points, centroids)
        order = np.lexsort((-similarity, labels))
        ranked = labels[order]
        first = np.searchsorted(ranked, ranked)
        kept = points[np.sort(order[np.arange(len(order)) - first < steps[1]])]
        begin = start_at(kept, len(centroids), start[0], f"{start[1]}/{step}")
        if len(begin) < len(centroids):
            break  # Fewer different points than clusters: nothing is left to even out.
        centroids = kmeans(kept, begin, iterations)
    return centroids


def hierarchy(
    points: np.ndarray,
    sizes: Sequence[int],
    seed: int,
    iterations: int,
    resampling: tuple[int, int] = (0, 2),
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Cluster points, then the centroids, and so on.

    Args:
        points: float32 [n, d], on the grid, n >= 1.
        sizes: clusters of each level, finest first; a level never has more than there are
            different points below it.
        seed: of the first centroids.
        iterations: rounds of each k-means, at most.
        resampling: steps, and points kept of each cluster in a step.

    Returns:
        Centroids of each level, float64 [k, d]; and for each level but the first, int64 [clusters
        of the level below]: the cluster in which each lies.
    """
    levels: list[np.ndarray] = []
    parents: list[np.ndarray] = []
    below = points
    for level, size in enumerate(sizes):
        purpose = f"clusters/start/{level}"
        centroids = kmeans(below, start_at(below, size, seed, purpose), iterations)
        centroids = resampled(below, centroids, resampling, iterations, (seed, purpose))
        if level:
            parents.append(assign(below, centroids)[0])
        levels.append(centroids)
        below = centroids
    return levels, parents

"""Fewer samples of clusters that are dense and near to others, and the hardest of each."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from ...manifests.artifact import Artifact, Output
from ...manifests.selection import DROP_CODE, Drop
from ..base import Task
from ._clustered import Clustered
from .base import Corpus, Verdict, gather, places, share_of, without

_ROWS = 256


class Dbp(Clustered):
    """Density-based pruning: each cluster keeps a share by its complexity, its hardest samples.

    Abbas et al., Effective pruning of web-scale datasets based on complexity of concept clusters,
    2024, §3 and Tables 4 and 5: d_intra is the mean cosine distance of a cluster's samples to its
    centroid, d_inter the mean distance of the centroid to its 20 nearest others. With
    p = softmax(d_inter d_intra / t) and a target of T samples, the numbers kept solve

        min ||n - T p||^2   with   sum n = T   and   least <= n_c <= size of c,

    and the n_c samples farthest from the centroid are kept; ties by sample_id. The score is the
    cosine to the centroid. A sample without a vector is dropped.

    Fidelity: exact, and more so in the total: the published code rounds each n_c by itself, so
    that their sum may differ from T; here the largest remainders are rounded up. The problem is a
    projection on a simplex with bounds, which is solved as such instead of by a general solver.
    The centroid is the mean direction of the cluster's judged samples.

    Cost: two passes over the vectors; 16 bytes a sample on the disk; `decide` holds the
    centroids, 24 bytes a coordinate, and blocks of their products.

    Traps: `fraction` is what is KEPT, as it is in the published code, whose option for it is
    called prune-ratio. Deduplicate first (`semdedup`, then `among: kept`, with clusters `after`
    it), or clusters follow duplicates. The paper uses 500 clusters for 280 million samples, 100
    for DataComp medium: with very many, p is nearly even.
    """

    paper = "Abbas et al., Effective pruning of web-scale datasets, 2024"
    bytes_a_sample = 72

    fraction: float = Field(default=0.6, ge=0, le=1)
    """Share of the judged samples that is kept."""
    t: float = Field(default=0.5, gt=0)
    """Temperature of the softmax over clusters."""
    nearest: int = Field(default=20, ge=1)
    """Nearest other centroids whose mean distance is d_inter."""
    least: int = Field(default=1, ge=0)
    """Samples that each cluster keeps if it has them and the target allows it."""

    def measure_bytes(self, corpus: Corpus) -> int:
        """As all selectors by clusters, and the centroids of a task."""
        clusters = corpus.clusters[self.clusters].counts[self.level]
        return super().measure_bytes(corpus) + 12 * clusters * corpus.vectors[self.space].dim

    def decide_bytes(self, corpus: Corpus) -> int:
        """The centroids and one block of their products."""
        clusters = corpus.clusters[self.clusters].counts[self.level]
        return clusters * (24 * corpus.vectors[self.space].dim + 24 * _ROWS)

    def measure(self, corpus: Corpus, task: Task) -> Output:
        """Measure how near the members of a task's clusters are to their centroids."""
        return self.nearness(corpus, task, centres=True)

    def decide(self, corpus: Corpus, measured: Artifact) -> Verdict:
        """Give each cluster its number, and keep its farthest samples."""
        ids, found = gather(measured, "ids.npy"), gather(measured, "scores.npy")
        scores = np.full(corpus.count, np.nan, np.float32)
        scores[ids] = found
        drops = without(corpus, ids)
        # Clusters without a judged sample have no centroid and no share.
        _, code = np.unique(gather(measured, "clusters.npy"), return_inverse=True)
        sizes = np.bincount(code)
        judged = int(corpus.is_judged(np.arange(corpus.count)).sum())
        total = min(share_of(self.fraction, judged), len(ids))
        if len(ids):
            between = mean_distance(gather(measured, "centres.npy"), self.nearest)
            complexity = between * gather(measured, "distances.npy")
            kept = numbers(softmax(complexity / self.t) * total, sizes, total, self.least)
            gone = ids[places(code, found, ids) >= kept[code]]
            drops[gone] = DROP_CODE[Drop.OVER_QUOTA]
        return Verdict(drops, scores, facts={"target": total, "clusters": len(sizes)})


def mean_distance(centres: np.ndarray, nearest: int) -> np.ndarray:
    """Return d_inter, the mean cosine distance of each centre to its nearest others.

    Args:
        centres: float32 [k, d], on the grid.
        nearest: how many others, as far as there are so many.

    Returns:
        float64 [k]; 1 where there is no other.
    """
    count = min(nearest, len(centres) - 1)
    whole = centres.astype(np.float64)
    found = np.ones(len(whole))
    for start in range(0, len(whole) if count else 0, _ROWS):
        step = slice(start, start + _ROWS)
        cosines = whole[step] @ whole.T
        own = np.arange(len(cosines))
        cosines[own, start + own] = -np.inf
        cosines.partition(len(whole) - count, axis=1)
        # Sorted, so that the sum does not depend on the order that the partition leaves.
        found[step] = 1 - np.sort(cosines[:, len(whole) - count :], axis=1).mean(axis=1)
    return found


def softmax(values: np.ndarray) -> np.ndarray:
    """Return float64 shares that sum to 1."""
    found = np.exp(values - values.max())
    return found / found.sum()


def numbers(wanted: np.ndarray, sizes: np.ndarray, total: int, least: int) -> np.ndarray:
    """Return whole numbers near `wanted` that sum to `total`, between `least` and the sizes.

    Args:
        wanted: float64 [k].
        sizes: int64 [k].
        total: at most the sum of sizes.
        least: lower bound, where a cluster is as large; none where they exceed the total.

    Returns:
        int64 [k].
    """
    low = np.minimum(least, sizes)
    if low.sum() > total:
        low = np.zeros_like(sizes)
    near = projection(wanted, low, sizes, total)
    whole = np.clip(np.floor(near), low, sizes).astype(np.int64)
    rest = total - int(whole.sum())
    order = np.lexsort((np.arange(len(whole)), whole - near))
    order = order[whole[order] < sizes[order]]
    whole[order[:rest]] += 1
    return whole


def projection(wanted: np.ndarray, low: np.ndarray, high: np.ndarray, total: float) -> np.ndarray:
    """Return the point nearest to `wanted` within bounds whose coordinates sum to `total`.

    It is clip(wanted - x, low, high) for the x at which the sum is right (the condition of
    optimality of the quadratic program); the sum falls with x in straight lines between the values
    at which a coordinate meets a bound, so x is found among those by halving.

    Args:
        wanted: float64 [k].
        low: [k]; sums to `total` at most.
        high: [k]; sums to `total` at least.
        total: the sum.

    Returns:
        float64 [k].
    """
    bends = np.unique(np.concatenate([wanted - low, wanted - high]))
    first, last = 0, len(bends) - 1
    while last - first > 1:
        middle = (first + last) // 2
        above = np.clip(wanted - bends[middle], low, high).sum() >= total
        first, last = (middle, last) if above else (first, middle)
    ends = [np.clip(wanted - bends[at], low, high) for at in (first, last)]
    over, under = ends[0].sum() - total, total - ends[1].sum()
    share = over / (over + under) if over + under > 0 else 0.0
    return ends[0] + share * (ends[1] - ends[0])

"""A corpus that is balanced over the clusters of a hierarchy, from the top down."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from ...manifests.artifact import Artifact, Output
from ...manifests.fingerprint import draw_uint64
from ...manifests.selection import DROP_CODE, Drop
from ..base import Task
from ._clustered import Clustered
from .base import Corpus, Verdict, gather, places, share_of, without


class Hierarchical(Clustered):
    """Balanced sampling from hierarchical k-means: clusters of a level give equally many samples.

    Vo et al., Automatic Data Curation for Self-Supervised Learning: A Clustering-Based Approach,
    2024, §3.4 (and the sampling step of Oquab et al., DINOv2, 2024): a target is divided over the
    clusters of the highest level, what each gets over its clusters of the level below, and so on.
    A division finds the largest cut c with sum min(c, size) <= target; each cluster gets
    min(c, size), and the remainder is one more for drawn clusters that are larger than c. In the
    finest cluster the samples are drawn at random, or are those nearest to the centroid.

    The score is the chance of a sample in its finest cluster, or its cosine to the centroid. A
    sample without a vector is dropped.

    Fidelity: exact; samples are never repeated (the published `multiplier` is 1). Build the set of
    clusters with `levels`, and with `resampling` for the paper's even centroids.

    Cost: 88 bytes a sample at once; `closest` reads all vectors twice.

    Trap: balance is over clusters, so with few top clusters one that holds junk gets as many
    samples as any other; filter first.
    """

    paper = "Vo et al., Automatic Data Curation for Self-Supervised Learning, 2024"
    bytes_a_sample = 88

    fraction: float = Field(default=0.3, ge=0, le=1)
    """Share of the judged samples that is kept."""
    count: int | None = Field(default=None, ge=0)
    """Samples that are kept, instead of a fraction; all where there are no more."""
    pick: Literal["random", "closest"] = "random"
    """Which samples of the finest clusters."""

    def tasks(self, corpus: Corpus) -> list[Task]:
        """Draws need no measuring; see `Clustered.tasks` otherwise."""
        return super().tasks(corpus) if self.pick == "closest" else []

    def measure(self, corpus: Corpus, task: Task) -> Output:
        """Measure how near the members of a task's clusters are to their centroids."""
        return self.nearness(corpus, task)

    def decide(self, corpus: Corpus, measured: Artifact) -> Verdict:
        """Divide the target from the top down, then take samples of the finest clusters."""
        finest = corpus.clusters[self.clusters].column(self.level)
        judged = corpus.is_judged(np.arange(corpus.count))
        ids = np.flatnonzero(judged & (finest >= 0))
        asked = share_of(self.fraction, int(judged.sum())) if self.count is None else self.count
        total = min(asked, len(ids))
        mine = finest[ids]
        shares, cut = self._shares(corpus, ids, mine, total)
        scores = np.full(corpus.count, np.nan, np.float32)
        if self.pick == "closest":
            if measured.parts:
                scores[gather(measured, "ids.npy")] = gather(measured, "scores.npy")
            order, drop = -scores[ids], Drop.OVER_QUOTA
        else:
            sizes = np.bincount(mine, minlength=len(shares))
            scores[ids] = shares[mine] / sizes[mine]
            order = draw_uint64(corpus.seed, ids, "hierarchical/sample")[:, 0]
            drop = Drop.NOT_DRAWN
        drops = without(corpus, ids)
        drops[ids[places(mine, order, ids) >= shares[mine]]] = DROP_CODE[drop]
        return Verdict(drops, scores, facts={"target": total, "top_cut": cut})

    def _shares(
        self, corpus: Corpus, ids: np.ndarray, finest: np.ndarray, total: int
    ) -> tuple[np.ndarray, int]:
        """Return int64 [clusters of the finest level], how many each gives; and the cut on top."""
        found = corpus.clusters[self.clusters]
        sizes, parents, below = [], [], finest
        for level in range(self.level, len(found.counts)):
            sizes.append(np.bincount(below, minlength=found.counts[level]))
            above = np.zeros(found.counts[level], np.int64)
            if level + 1 < len(found.counts):
                column = found.column(level + 1)[ids]
                above[below] = column
                below = column
            parents.append(above)
        shares, cut = np.array([total]), 0
        for level in reversed(range(len(sizes))):
            purpose = f"hierarchical/level/{level}"
            draws = draw_uint64(corpus.seed, np.arange(len(sizes[level])), purpose)[:, 0]
            shares, cuts = balanced(sizes[level], parents[level], shares, draws)
            cut = int(cuts[0]) if level == len(sizes) - 1 else cut
        return shares, cut


def balanced(
    sizes: np.ndarray, groups: np.ndarray, totals: np.ndarray, draws: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Divide the total of each group as evenly over its clusters as their sizes allow.

    Args:
        sizes: int64 [k], samples of each cluster.
        groups: int64 [k], the group of each cluster.
        totals: int64 [g], each at most the sum of its group's sizes.
        draws: uint64 [k]; which clusters get one more: those with the lowest.

    Returns:
        int64 [k], the shares, which sum to the totals; int64 [g], the cuts.
    """
    low = np.zeros(len(totals), np.int64)
    high = np.zeros(len(totals), np.int64)
    np.maximum.at(high, groups, sizes)
    while (low < high).any():
        middle = (low + high + 1) // 2
        fits = _sums(np.minimum(middle[groups], sizes), groups, len(totals)) <= totals
        low, high = np.where(fits, middle, low), np.where(fits, high, middle - 1)
    shares = np.minimum(low[groups], sizes)
    rest = totals - _sums(shares, groups, len(totals))
    larger = np.flatnonzero(sizes > shares)
    lucky = places(groups[larger], draws[larger], larger) < rest[groups[larger]]
    shares[larger[lucky]] += 1
    return shares, low


def _sums(values: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    """Return int64 [count], the sum of each group; exact below 2^53."""
    return np.bincount(groups, weights=values, minlength=count).astype(np.int64)

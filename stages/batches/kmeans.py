"""`kmeans`: every batch from one cluster of a space, the simplest way to hard batches."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from ._centroids import assign
from .base import Batches, Planner, Pool, cut


class KMeans(Planner):
    """Cut each cluster, in random order, into batches; join what is left over, by cluster.

    Source: algorithms.md §5.5 (contextual document embeddings, Morris and Rush 2024, batch by
    cluster). Fidelity: frozen-detector, as clusters are those of a frozen space.

    Traps: a cluster's own duplicates and false negatives meet in its batches, so use a miner of
    false negatives too. Rows without a vector come with the left-over rows.

    Facts: clusters, one_cluster_share (share of batches that are of one cluster alone), unplaced.
    """

    fidelity = "frozen-detector"
    paper = "Morris, Rush, Contextual Document Embeddings, 2024"
    row_bytes = 96

    space: str = "image"
    """The space that is clustered."""
    clusters: int | None = Field(default=None, ge=1)
    """Number of clusters; None: one for each four batches."""
    iterations: int = Field(default=10, ge=1)
    """Steps of k-means."""
    by: str | None = None
    """Take these groups instead of k-means: "cluster_id", "label" or an attribute column."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The column of the groups, where one was named."""
        return (self.by,) if self.by else ()

    @property
    def space_names(self) -> tuple[str, ...]:
        """The space, where it is clustered."""
        return () if self.by else (self.space,)

    def compose(self, pool: Pool) -> Batches:
        """Cluster, then cut."""
        if self.by:
            cluster = pool.columns[self.by]
        else:
            asked = self.clusters or max(len(pool) // (4 * self.size), 1)
            cluster = assign(pool, self.space, min(asked, len(pool)), self.iterations)
        shuffled = pool.shuffled("batches/kmeans")
        order = shuffled[np.argsort(cluster[shuffled], kind="stable")]
        ordered = cluster[order]
        starts = np.searchsorted(ordered, ordered)
        rank = np.arange(len(order)) - starts
        sizes = np.searchsorted(ordered, ordered, side="right") - starts
        whole = (rank < sizes // self.size * self.size) & (ordered >= 0)
        pure = cut(order[whole], self.size)
        rest = cut(order[~whole], self.size)
        batches = np.concatenate([pure, rest])
        facts = {
            "clusters": int(np.unique(cluster[cluster >= 0]).size),
            "one_cluster_share": round(len(pure) / max(len(batches), 1), 6),
            "unplaced": int((cluster < 0).sum()),
        }
        return Batches(batches, facts)

"""One set of clusters as selectors see it; the ids stay on the disk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...manifests.artifact import Artifact
from ...manifests.vectors import Rows


@dataclass(frozen=True)
class ClusterSet:
    """Which cluster each sample is in, at every level; level 0 is the finest.

    Attributes:
        ids: int32 [N, levels] in parts, -1 for a sample without a cluster.
        counts: number of clusters of each level, empty ones included.
    """

    ids: Rows
    counts: tuple[int, ...]

    @classmethod
    def of(cls, assigned: Artifact) -> ClusterSet:
        """Open the artifact `clusters:<name>`."""
        return cls(Rows.of(assigned, "ids.npy"), tuple(assigned.receipts[0].facts["levels"]))

    def column(self, level: int) -> np.ndarray:
        """Return int32 [N], the cluster of each sample at a level; 4 bytes a sample."""
        parts = [self.ids.part(number)[:, level] for number in range(len(self.ids.files))]
        return np.concatenate([np.zeros(0, np.int32), *parts])

    def sizes(self, level: int) -> np.ndarray:
        """Return int64 [clusters], the samples of each cluster of a level; holds one part."""
        found = np.zeros(self.counts[level], np.int64)
        for number in range(len(self.ids.files)):
            column = self.ids.part(number)[:, level]
            found += np.bincount(column[column >= 0], minlength=len(found))
        return found

    def members(
        self, level: int, first: int, stop: int, pool: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the samples of the clusters first .. stop - 1, by cluster, then by id.

        Args:
            level: of the clusters.
            first: number of the first cluster.
            stop: number behind the last.
            pool: bool [N], the samples that count; None for all.

        Returns:
            ids int64 [m] and their clusters int32 [m]. Holds those and one part.
        """
        ids, codes = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
        for number in range(len(self.ids.files)):
            column = self.ids.part(number)[:, level]
            there = (column >= first) & (column < stop)
            start = int(self.ids.starts[number])
            if pool is not None:
                there &= pool[start : start + len(there)]
            ids.append(start + np.flatnonzero(there))
            codes.append(column[there])
        clusters = np.concatenate(codes)
        order = np.argsort(clusters, kind="stable")
        return np.concatenate(ids)[order], clusters[order]

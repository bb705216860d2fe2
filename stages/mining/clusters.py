"""One set of clusters as miners see it: whole columns of the levels that they ask for.

Memory: 4 bytes a sample and level looked up, 20 bytes a sample for an index of members;
confidences and accept ranks are mapped files.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ...manifests.artifact import Artifact
from ...manifests.schema import NO_ID
from ...manifests.vectors import Rows
from .base import RowIndex, SampleColumns

CLUSTER_BYTES = 32
"""A sample of one set of clusters: the codes of a level and its index."""


@dataclass(frozen=True)
class ClusterStore:
    """The artifacts of one set of clusters; see `mining.base.Clusters`.

    Attributes:
        name: in the config.
        ranked: samples that are in a cluster.
        assigned: int32 [N, levels], in parts.
        sure: float32 [N, levels], in parts.
        ranks: the artifact with int64 [N] of each level.
        samples: columns "split" and "group_id" of all samples.
    """

    name: str
    ranked: int
    assigned: Rows
    sure: Rows
    ranks: Artifact
    samples: SampleColumns
    _codes: dict[int, np.ndarray] = field(default_factory=dict, repr=False)
    _indexes: dict[int, RowIndex] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls, name: str, clusters: Artifact, ranks: Artifact, samples: SampleColumns
    ) -> ClusterStore:
        """Open the artifacts `clusters:<name>` and `ranks:<name>`."""
        ranked = int(ranks.receipts[0].facts["ranked"])
        assigned, sure = Rows.of(clusters, "ids.npy"), Rows.of(clusters, "confidence.npy")
        return cls(name, ranked, assigned, sure, ranks, samples)

    def take(self, ids: np.ndarray, level: int = 0) -> np.ndarray:
        """Return clusters int64, shaped like `ids`; -1 without one, and for id -1."""
        return _looked_up(self._level(level), ids)

    def confidence(self, ids: np.ndarray, level: int = 0) -> np.ndarray:
        """Return confidences float32, shaped like `ids`; 0 without a cluster, and for id -1."""
        found = self.sure.take(np.maximum(ids, 0))[..., level]
        return np.where(ids == NO_ID, np.float32(0), found)

    def accept_rank(self, ids: np.ndarray, level: int = 0) -> np.ndarray:
        """Return accept ranks int64, shaped like `ids`; -1 without one, and for id -1."""
        return _looked_up(self.ranks.array(self.ranks.parts[0], f"rank-{level}.npy"), ids)

    def members(self, level: int = 0) -> RowIndex:
        """Return rows by cluster, split and group; made once, then remembered."""
        if level not in self._indexes:
            rows = np.arange(len(self._level(level)))
            others = (self.samples.take(name, rows) for name in ("split", "group_id"))
            self._indexes[level] = RowIndex.of(rows, [self._level(level), *others])
        return self._indexes[level]

    def _level(self, level: int) -> np.ndarray:
        if level not in self._codes:
            parts = range(len(self.assigned.files))
            self._codes[level] = np.concatenate([self.assigned.part(i)[:, level] for i in parts])
        return self._codes[level]


def _looked_up(values: np.ndarray, ids: np.ndarray) -> np.ndarray:
    if not len(values):
        return np.full(np.shape(ids), NO_ID, np.int64)
    return np.where(ids == NO_ID, NO_ID, values[ids].astype(np.int64))

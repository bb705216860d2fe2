"""Positives by k-reciprocal re-ranking: whose neighbourhoods are the same."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from ....manifests.schema import NO_ID, Reason, Role
from ..base import TAKEN, Block, Decisions, keep_first, refuse
from ..base_graph import ReciprocalMiner
from ..base_lists import jaccard_distances, ranks_of


class KReciprocal(ReciprocalMiner):
    """The candidates of smallest re-ranked distance, a mix of Jaccard distance and cosine.

    Zhong, Zheng, Cao, Li, Re-ranking Person Re-identification with k-reciprocal Encoding, 2017:
    eq. 12, d* = (1 - lambda) d_J + lambda d, with d_J of expanded k-reciprocal encodings (see
    `mining.reciprocal`), k1 = 20, k2 = 6, lambda = 0.3. Re-ranked are the first `k` of the
    anchor's list; column `corrected_similarity` is 1 - d*.

    Fidelity: exact over the neighbour graph, but for the scale of d: the paper divides squared
    distances by the largest of each column of the whole matrix, here by `farthest` (4: opposite
    unit vectors), so that d = (2 - 2 s) / farthest needs no N x N matrix.

    Traps: d_J is symmetric, d* too, but the lists are not. What stands in no list of the anchor
    is not looked at, though its d_J may be small. Needs a graph of one space with itself and
    k >= k1; the encodings take about 1 KB a sample on the disk.
    """

    role = Role.POSITIVE
    fidelity = "exact"
    paper = "Zhong et al., Re-ranking Person Re-identification with k-reciprocal Encoding, 2017"

    count: int = Field(default=5, ge=1, le=256)
    """Positives an anchor."""
    blend: float = Field(default=0.3, ge=0, le=1)
    """The paper's lambda: the share of the cosine's distance."""
    max_distance: float | None = Field(default=None, ge=0, le=2)
    """Refuse what is farther than this after re-ranking."""

    @property
    def capacity(self) -> int:
        """As many as are taken."""
        return self.count

    def mine(self, block: Block) -> Decisions:
        """Re-rank the first k and take the first `count`."""
        graph = block.graphs[self.space]
        ids, similarities = graph.rows(block.anchors, self.k)
        encodings = block.prepared[self._encodings]
        jaccard = jaccard_distances(graph, encodings, block.anchors, ids, self.k2)
        plain = np.maximum(2 - 2 * similarities.astype(np.float64), 0) / self.farthest
        corrected = (1 - ((1 - self.blend) * jaccard + self.blend * plain)).astype(np.float32)
        order = np.lexsort((ids, -corrected, ids == NO_ID))
        ids, similarities, corrected = (
            np.take_along_axis(part, order, axis=1) for part in (ids, similarities, corrected)
        )
        reasons = np.full(ids.shape, TAKEN)
        if self.max_distance is not None:
            far = 1 - corrected.astype(np.float64) > self.max_distance
            refuse(reasons, far, Reason.DISTANCE)
        ids = keep_first(ids, reasons, self.count)
        return Decisions(ids, reasons, similarities, ranks_of(ids), corrected=corrected)

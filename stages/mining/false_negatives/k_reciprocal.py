"""False negatives by k-reciprocal re-ranking: whose neighbourhoods are nearly the anchor's."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from ....manifests.schema import NO_ID, Reason, Role
from ..base import TAKEN, Block, Decisions, contains, refuse
from ..base_graph import ActingMiner, ReciprocalMiner
from ..base_lists import jaccard_distances, ranks_of


class KReciprocal(ReciprocalMiner, ActingMiner):
    """Candidates whose Jaccard distance of k-reciprocal encodings is at most `max_distance`.

    Zhong, Zheng, Cao, Li, Re-ranking Person Re-identification with k-reciprocal Encoding, 2017,
    eq. 10, used as a detector: d_J is small only where two samples have the same neighbours, so
    a hub that is near to everything is found less often than by a threshold on similarity.
    Column `corrected_similarity` is 1 - d_J.

    Fidelity: frozen-detector. The scale inside the encodings is that of the positive miner of
    this name.

    Traps: d_J is symmetric, but an anchor looks only at its own first `k`. Its value depends on
    k1 and the density of the space: no value fits two corpora.
    """

    role = Role.FALSE_NEGATIVE
    fidelity = "frozen-detector"
    paper = "Zhong et al., Re-ranking Person Re-identification with k-reciprocal Encoding, 2017"

    max_distance: float = Field(default=0.5, ge=0, le=1)
    """Jaccard distance up to which a candidate is a false negative."""

    def mine(self, block: Block) -> Decisions:
        """Decide about the k nearest."""
        graph = block.graphs[self.space]
        ids, similarities = graph.rows(block.anchors, self.k)
        encodings = block.prepared[self._encodings]
        distance = jaccard_distances(graph, encodings, block.anchors, ids, self.k2)
        corrected = (1 - distance).astype(np.float32)
        order = np.lexsort((ids, -corrected, ids == NO_ID))
        ids, similarities, corrected = (
            np.take_along_axis(part, order, axis=1) for part in (ids, similarities, corrected)
        )
        reasons = np.full(ids.shape, TAKEN)
        refuse(reasons, contains(block.positives.ids, ids), Reason.POSITIVE)
        far = 1 - corrected.astype(np.float64) > self.max_distance
        refuse(reasons, far, Reason.DISTANCE)
        return Decisions(
            ids,
            reasons,
            similarities,
            ranks_of(ids),
            corrected=corrected,
            action=str(self.action),
        )

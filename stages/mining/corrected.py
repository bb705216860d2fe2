"""Corrected similarities of edges from a graph that is ranked by them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from ...manifests.artifact import Artifact
from ...manifests.schema import NO_ID
from .base import Decisions, Miner


@dataclasses.dataclass(frozen=True)
class Correction:
    """What is taken off the cosines of one graph.

    Attributes:
        csls: 2 s - r(x) - r(y), else s - weight * r(y).
        weight: of r(y) in the ranking.
        query: float32 [N], r of every sample as a query.
        bank: float32 [N], r of every sample as a candidate.
    """

    csls: bool
    weight: float
    query: np.ndarray
    bank: np.ndarray

    @classmethod
    def of(cls, hubs: Artifact) -> Correction:
        """Load the two columns: eight bytes a sample."""
        facts = hubs.receipts[0].facts if hubs.receipts else {"by": "csls", "weight": 0.5}
        sides = [
            np.concatenate([np.zeros(0, np.float32), *(hubs.array(p, name) for p in hubs.parts)])
            for name in ("query.npy", "bank.npy")
        ]
        return cls(facts["by"] == "csls", facts["weight"], *sides)

    def corrected(self, anchors: np.ndarray, ids: np.ndarray, sims: np.ndarray) -> np.ndarray:
        """Return float32 [A, K]; what a search ranked by never changes its order here.

        Args:
            anchors: int64 [A].
            ids: int64 [A, K], -1 fill.
            sims: float32 [A, K], NaN where unknown.
        """
        score = sims - np.float32(self.weight) * self.bank[np.maximum(ids, 0)]
        if self.csls:
            score = np.float32(2) * score - self.query[anchors][:, None]
        return np.where(ids == NO_ID, np.float32(np.nan), score)


def with_corrected(
    miner: Miner, anchors: np.ndarray, decisions: Decisions, known: Mapping[str, Correction]
) -> Decisions:
    """Add corrected similarities where the miner's edges come from a corrected graph.

    A miner that ranks by something of its own has said so already.
    """
    correction = known.get(miner.edge_space)
    if correction is None or decisions.corrected is not None:
        return decisions
    if miner.edge_space not in miner.graph_names:
        return decisions
    found = correction.corrected(anchors, decisions.ids, decisions.similarities)
    facts = {**decisions.facts, "corrected": miner.edge_space}
    return dataclasses.replace(decisions, corrected=found, facts=facts)

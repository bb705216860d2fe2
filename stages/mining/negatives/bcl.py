"""Random negatives, weighted by where they stand among each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from ....manifests.fingerprint import draw_uniform
from ....manifests.sampling import draw_distinct
from ....manifests.schema import NO_ID, Role
from ..base import TAKEN, Block, Decisions, Miner, Pool
from ..base_graph import GRAPH_NAME, spaces_of
from ..base_lists import ranks_of, similarities_to


class Bcl(Miner):
    """Bayesian weights: how likely a negative is true, and how hard, from its rank alone.

    Liu, Wang, Bayesian Self-Supervised Contrastive Learning (BCL), 2024. `count`
    negatives of the anchor's split are drawn evenly; u = (place + 1/2) / n, with the place among
    the n drawn by rising similarity, is the empirical distribution of their similarities. With
    t+ = tau_plus, t- = 1 - t+:

        a = (1 - 2 alpha)(t- - t+) + 0.001,  b = 2 (alpha t- + (1 - alpha) t+)
        F = (-b + sqrt(b^2 + 4 a u)) / (2 a)        the distribution of true negatives at u
        p1 = 2 (1 - F),  p2 = 2 F
        w = (alpha (1 - beta) p1 + (1 - alpha) beta p2) / (alpha (1 - beta) + (1 - alpha) beta)
            / (t- (alpha p1 + (1 - alpha) p2) + t+ ((1 - alpha) p1 + alpha p2))

    beta = 0.5 only debiases: weights fall with similarity and their mean is 1. Towards beta = 1
    hard negatives weigh more.

    Fidelity: frozen detector. The paper ranks with the moving encoder in the batch.

    Traps: alpha is the probability that a positive is more similar than a negative (the encoder's
    AUC), and must be above 0.5 to debias; it is a setting because a corpus without labels cannot
    give it.
    """

    role = Role.NEGATIVE
    fidelity = "frozen-detector"
    paper = "Liu, Wang, Bayesian Self-Supervised Contrastive Learning, 2024"

    space: str = Field(default="image>image", pattern=GRAPH_NAME)
    """Spaces QUERY>BANK in which the negatives are ranked; no graph is needed."""
    count: int = Field(default=16, ge=1, le=1024)
    """Negatives an anchor."""
    alpha: float = Field(default=0.9, ge=0.5, lt=1)
    """AUC of the space: how often a positive is more similar than a negative."""
    beta: float = Field(default=0.5, ge=0, le=1)
    """Hardness: 0.5 only debiases, larger values raise the weights of similar ones."""
    tau_plus: float = Field(default=0.1, ge=0, lt=0.5)
    """Share of false negatives among random ones: 1 / classes where these are balanced."""

    @property
    def columns(self) -> Sequence[str]:
        """What keeps splits and duplicates apart."""
        return ("split", "group_id")

    @property
    def space_names(self) -> Sequence[str]:
        """The two spaces of `space`."""
        return spaces_of(self.space)

    @property
    def edge_space(self) -> str:
        """The given spaces."""
        return self.space

    @property
    def measured_pairs(self) -> int:
        """Every candidate."""
        return self.count

    @property
    def capacity(self) -> int:
        """As many as are drawn."""
        return self.count

    def mine(self, block: Block) -> Decisions:
        """Draw `count`, rank them by similarity, weigh them by rank; all are taken."""
        index = block.samples.rows_with("split", "group_id")
        pool = Pool.around(index, block.anchors[:, None], depth=1)
        known = np.concatenate([block.positives.ids, block.false_negatives.ids], axis=1)
        uniform = draw_uniform(block.seed, block.anchors, "bcl", self.count)
        ids = pool.ids(draw_distinct(uniform, pool.sizes, pool.places(known)))
        query, bank = self.space.split(">")
        vectors = block.vectors
        found = similarities_to(vectors[query], vectors[bank], block.anchors, ids)
        # Without a vector it has no rank: it stands last, as the least similar.
        order = np.lexsort((ids, -np.nan_to_num(found, nan=-2.0), ids == NO_ID))
        ids, found = (np.take_along_axis(part, order, axis=1) for part in (ids, found))
        count = (ids != NO_ID).sum(axis=1)[:, None]
        u = (count - ranks_of(ids) - 0.5) / np.maximum(count, 1)
        weights = bcl_weights(np.clip(u, 0, 1), self.alpha, self.beta, self.tau_plus)
        reasons = np.full(ids.shape, TAKEN)
        return Decisions(ids, reasons, found, ranks_of(ids), weights.astype(np.float32))


def bcl_weights(u: np.ndarray, alpha: float, beta: float, tau_plus: float) -> np.ndarray:
    """Return float64 weights for u in [0, 1], the share of negatives that are less similar."""
    tau_minus = 1 - tau_plus
    a = (1 - 2 * alpha) * (tau_minus - tau_plus) + 1e-3
    b = 2 * (alpha * tau_minus + (1 - alpha) * tau_plus)
    below = (-b + np.sqrt(np.maximum(b * b + 4 * a * u, 0))) / (2 * a)
    p1, p2 = 2 * (1 - below), 2 * below
    easy, hard = alpha * (1 - beta), (1 - alpha) * beta
    true = (easy * p1 + hard * p2) / (easy + hard)
    mixed = tau_minus * (alpha * p1 + (1 - alpha) * p2)
    mixed += tau_plus * ((1 - alpha) * p1 + alpha * p2)
    return np.maximum(true / mixed, 1e-6)

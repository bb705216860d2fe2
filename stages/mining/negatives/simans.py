"""Ambiguous negatives: drawn around the similarity of the positive."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from ....manifests.fingerprint import draw_uniform
from ....manifests.schema import Reason, Role
from ..base import TAKEN, Block, Decisions, refuse
from ..base_graph import WindowMiner
from ..base_lists import draw_weighted, negative_window


class Simans(WindowMiner):
    """Negatives neither too hard nor too easy: p ~ exp(-a (s - s_pos - offset)^2).

    Zhou et al., SimANS: Simple Ambiguous Negatives Sampling for Dense Text Retrieval, 2022, eq. 5.
    s is the similarity of a candidate, s_pos that of the anchor's least similar positive, both
    cosines in this graph. `count` candidates of the window are drawn one by one without
    replacement (Gumbel top-k), so the density peaks at s = s_pos + offset.

    Fidelity: exact (the paper draws from the scores of a frozen retriever too).

    Traps: the paper's formula and its released code disagree in the sign of b; here `offset` is
    added to s_pos: a negative one prefers easier negatives. The paper's a = 0.5 belongs to dot
    products that differ by tens; on cosines it would be a uniform draw, so the default is
    0.5 / 0.05^2, which is a = 0.5 on cosines over a temperature of 0.05.
    """

    role = Role.NEGATIVE
    fidelity = "exact"
    paper = (
        "Zhou et al., SimANS: Simple Ambiguous Negatives Sampling for Dense Text Retrieval, 2022"
    )

    count: int = Field(default=4, ge=1, le=1024)
    """Negatives an anchor."""
    a: float = Field(default=200.0, ge=0)
    """How sharp the density is, for cosines; 0 draws evenly from the window."""
    offset: float = Field(default=0.0, ge=-2, le=2)
    """Where the density peaks: at s_pos + offset."""

    @property
    def capacity(self) -> int:
        """As many as are drawn."""
        return self.count

    def mine(self, block: Block) -> Decisions:
        """Draw `count` of the window's allowed candidates."""
        window = negative_window(block, self.space, self.ranks)
        reasons = window.reasons
        off = window.similarities.astype(np.float64) - window.least[:, None] - self.offset
        log_weights = np.where(window.allowed, -self.a * off**2, -np.inf)
        uniform = draw_uniform(block.seed, block.anchors, "simans", reasons.shape[1])
        drawn = draw_weighted(log_weights, uniform, self.count)
        refuse(reasons, (reasons == TAKEN) & ~drawn, Reason.NOT_DRAWN)
        return Decisions(
            window.ids,
            reasons,
            window.similarities,
            window.ranks,
            positive_similarity=window.least,
        )

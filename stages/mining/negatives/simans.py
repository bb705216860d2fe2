"""Ambiguous negatives: drawn around the similarity of the positive."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from ....manifests.schema import Role
from ..base_lists import Window
from ..base_window import WindowDraw


class Simans(WindowDraw):
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
    purpose = "simans"
    fidelity = "exact"
    paper = (
        "Zhou et al., SimANS: Simple Ambiguous Negatives Sampling for Dense Text Retrieval, 2022"
    )

    a: float = Field(default=200.0, ge=0)
    """How sharp the density is, for cosines; 0 draws evenly from the window."""
    offset: float = Field(default=0.0, ge=-2, le=2)
    """Where the density peaks: at s_pos + offset."""

    def log_weights(self, window: Window) -> np.ndarray:
        """Return -a (s - s_pos - offset)^2, float64 [A, K]."""
        off = window.similarities.astype(np.float64) - window.least[:, None] - self.offset
        return -self.a * off**2

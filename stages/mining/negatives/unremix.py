"""Negatives by importance: similar, uncertain and representative ones weigh more."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from ....manifests.schema import Reason, Role
from ....manifests.vectors import pair_similarity
from ..base import TAKEN, Block, Decisions, refuse
from ..base_graph import Rank, WindowMiner
from ..base_lists import Window, best_places, negative_window

LEAST_WEIGHT = 1e-3
"""Importance of a candidate that is last in every component, so that no weight is zero."""
_ANCHORS = 256

Share = Annotated[float, Field(ge=0, le=1)]


class Unremix(WindowMiner):
    """The candidates of largest importance, weighted by it.

    Tabassum et al., Hard Negative Sampling Strategies for Contrastive Representation Learning
    (UnReMix), 2022, §3: importance is a linear combination of the similarity to the anchor, the
    model's uncertainty and the representativeness. Over the allowed candidates of the window,
    with n(.) = (x - min) / (max - min), 0 where all are equal:

        s_j  similarity to the anchor
        g_j  exp(s_j / t) / (exp(s_pos / t) + sum_l exp(s_l / t)) / t
             norm of dL/dz_j of InfoNCE, computed from frozen similarities
        r_j  1 - mean cosine of j to the other candidates
        w_j  similarity n(s_j) + uncertainty n(g_j) + representativeness n(r_j)

    `count` of largest w are taken; their weights are max(w, 0.001), scaled to mean 1.

    Fidelity: surrogate. The paper's uncertainty is the gradient of the live model; its weights of
    the three terms are tuned (equal ones here).

    Traps: g is monotone in s for one anchor, so it bends the similarity term rather than adding a
    term of its own. All three components can be computed again from the stored edges and vectors.
    """

    role = Role.NEGATIVE
    fidelity = "surrogate"
    paper = (
        "Tabassum et al., Hard Negative Sampling Strategies for Contrastive Representation "
        "Learning, 2022"
    )

    ranks: tuple[Rank, Rank] = (0, 32)
    """Window of ranks [first, behind the last) from which negatives may come."""
    count: int = Field(default=4, ge=1, le=1024)
    """Negatives an anchor."""
    similarity: Share = 1 / 3
    """Share of the similarity to the anchor."""
    uncertainty: Share = 1 / 3
    """Share of the gradient's norm."""
    representativeness: Share = 1 / 3
    """Share of the distance to the other candidates."""
    t: float = Field(default=0.1, gt=0)
    """Temperature of the gradient's softmax."""

    @model_validator(mode="after")
    def _check(self) -> Unremix:
        if not self.similarity + self.uncertainty + self.representativeness:
            raise ValueError("one of similarity, uncertainty, representativeness must be above 0")
        return self

    @property
    def measured_pairs(self) -> int:
        """Every candidate."""
        return 2 * self.ranks[1]

    @property
    def capacity(self) -> int:
        """As many as are taken."""
        return self.count

    def mine(self, block: Block) -> Decisions:
        """Take the `count` candidates of largest importance."""
        window = negative_window(block, self.space, self.ranks)
        allowed, reasons = window.allowed, window.reasons
        shares = (self.similarity, self.uncertainty, self.representativeness)
        parts = (window.similarities, self._gradients(window), self._distances(block, window))
        importance = np.zeros(allowed.shape)
        for share, part in zip(shares, parts, strict=True):
            importance += share * _scaled(part.astype(np.float64), allowed)
        chosen = best_places(np.where(allowed, importance, -np.inf), self.count)
        refuse(reasons, (reasons == TAKEN) & ~chosen, Reason.NOT_CHOSEN)
        weights = np.where(chosen, np.maximum(importance, LEAST_WEIGHT), 0)
        mean = weights.sum(axis=1, keepdims=True) / np.maximum(chosen.sum(axis=1)[:, None], 1)
        weights = np.where(chosen, weights / np.maximum(mean, LEAST_WEIGHT), 1)
        return Decisions(
            window.ids,
            reasons,
            window.similarities,
            window.ranks,
            weights=weights.astype(np.float32),
            positive_similarity=window.least,
        )

    def _gradients(self, window: Window) -> np.ndarray:
        """Return float64 [A, K]: p_j / t; 0 for candidates that are not allowed."""
        logits = np.where(window.allowed, window.similarities.astype(np.float64), -np.inf) / self.t
        positive = window.least.astype(np.float64)[:, None] / self.t
        top = np.maximum(logits.max(axis=1, keepdims=True, initial=-np.inf), positive)
        powers = np.exp(logits - top)
        total = np.exp(positive - top) + powers.sum(axis=1, keepdims=True)
        return powers / total / self.t

    def _distances(self, block: Block, window: Window) -> np.ndarray:
        """Return float64 [A, K]: 1 - mean cosine to the other allowed candidates."""
        vectors = block.vectors[self.space.split(">")[1]]
        out = np.zeros(window.ids.shape)
        if not self.representativeness:
            return out
        for start in range(0, len(out), _ANCHORS):
            step = slice(start, start + _ANCHORS)
            allowed = window.allowed[step]
            rows, places = np.nonzero(allowed)
            each = np.zeros((*allowed.shape, vectors.dim), np.float32)
            each[rows, places] = vectors.rows(window.ids[step][rows, places])
            total = each.sum(axis=1)
            own = pair_similarity(each, each)
            others = pair_similarity(each, total[:, None, :]).astype(np.float64) - own
            out[step] = 1 - others / np.maximum(allowed.sum(axis=1) - 1, 1)[:, None]
        return out


def _scaled(values: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Return values [A, K] between the least (0) and the largest (1) allowed one of their row."""
    low = np.where(allowed, values, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    high = np.where(allowed, values, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
    span = np.where(np.isfinite(high - low), high - low, 0)
    scaled = (values - np.where(np.isfinite(low), low, 0)) / np.where(span > 0, span, 1)
    return np.where(allowed & (span > 0), scaled, 0)

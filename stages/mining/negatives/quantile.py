"""Negatives at a grid of hardness quantiles, for a schedule over training progress."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from ....manifests.schema import Reason, Role
from ..base import TAKEN, Block, Decisions, refuse
from ..base_graph import Rank, WindowMiner
from ..base_lists import negative_window

Share = Annotated[float, Field(ge=0, le=1)]


class Quantile(WindowMiner):
    """One negative at each of some quantiles of hardness of the anchor's own candidates.

    Kim et al., FALCON: False-Negative Aware Learning of Contrastive Negatives in Vision-Language
    Pretraining, 2025: a scheduler learns for each anchor at which quantile of hardness (1 the
    hardest of the search space, 0 the easiest) its negative is taken. Of n allowed candidates by
    falling similarity, quantile q is place round((1 - q) (n - 1)), halves to the even place.

    Fidelity: surrogate. The learned scheduler cannot be precomputed; the grid is, and `schedule`
    says from which training progress each quantile holds, in equal steps: falling hardness
    (hardest at once, easier ones join later), rising, or all at once.

    Traps: where an anchor has fewer candidates than quantiles, several fall on one candidate; it
    is taken once, from the earliest of their times on. An edge does not end: a later one joins.
    """

    role = Role.NEGATIVE
    fidelity = "surrogate"
    paper = (
        "Kim et al., FALCON: False-Negative Aware Learning of Contrastive Negatives in "
        "Vision-Language Pretraining, 2025"
    )

    ranks: tuple[Rank, Rank] = (0, 64)
    """The search space: a window of ranks [first, behind the last)."""
    quantiles: tuple[Share, ...] = Field(
        default=(0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0), min_length=1, max_length=64
    )
    """Hardness of the negatives, rising: 1 is the most similar allowed candidate."""
    schedule: Literal["none", "falling", "rising"] = "falling"
    """When they hold: all from the start, the hardest first, or the easiest first."""

    @model_validator(mode="after")
    def _check(self) -> Quantile:
        if list(self.quantiles) != sorted(set(self.quantiles)):
            raise ValueError("quantiles must rise, each once")
        return self

    @property
    def capacity(self) -> int:
        """One a quantile."""
        return len(self.quantiles)

    def mine(self, block: Block) -> Decisions:
        """Take the candidates at the quantiles; each with the progress from which it holds."""
        window = negative_window(block, self.space, self.ranks)
        allowed, reasons = window.allowed, window.reasons
        # The place of each allowed candidate among the allowed ones, hardest first.
        place = np.cumsum(allowed, axis=1) - 1
        count = allowed.sum(axis=1)
        valid_from = np.full(reasons.shape, np.inf, np.float32)
        for quantile, begins in zip(self.quantiles, self._begins(), strict=True):
            wanted = np.rint((1 - quantile) * (count - 1)).astype(np.int64)
            hit = allowed & (place == wanted[:, None])
            valid_from[hit] = np.minimum(valid_from[hit], begins)
        chosen = np.isfinite(valid_from)
        refuse(reasons, (reasons == TAKEN) & ~chosen, Reason.NOT_CHOSEN)
        return Decisions(
            window.ids,
            reasons,
            window.similarities,
            window.ranks,
            positive_similarity=window.least,
            valid_from=np.where(chosen, valid_from, np.float32(0)),
        )

    def _begins(self) -> np.ndarray:
        """Return float32 [Q], the progress from which each quantile holds."""
        steps = np.arange(len(self.quantiles)) / len(self.quantiles)
        by_schedule = {"none": steps * 0, "rising": steps, "falling": steps[::-1]}
        return by_schedule[self.schedule].astype(np.float32)

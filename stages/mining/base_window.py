"""Draws from a window of ranks by weight: what such miners of negatives share."""

from __future__ import annotations

import abc
from typing import ClassVar

import numpy as np
from pydantic import Field

from ...manifests.fingerprint import draw_uniform
from ...manifests.schema import Reason
from .base import TAKEN, Block, Decisions, refuse
from .base_graph import WindowMiner
from .base_lists import Window, draw_weighted, negative_window


class WindowDraw(WindowMiner):
    """A miner that draws from its window by weight, one by one without replacement.

    Gumbel top-k (see `mining.measure.draw_weighted`), keyed by (seed, anchor, rank), so that
    anybody can repeat the draws from the table.
    """

    purpose: ClassVar[str]
    """Of the draws."""

    count: int = Field(default=4, ge=1, le=1024)
    """Negatives an anchor."""

    @property
    def capacity(self) -> int:
        """As many as are drawn."""
        return self.count

    @abc.abstractmethod
    def log_weights(self, window: Window) -> np.ndarray:
        """Return the logarithm of each candidate's weight, float64 [A, K]."""

    def mine(self, block: Block) -> Decisions:
        """Draw `count` of the window's allowed candidates."""
        window = negative_window(block, self.space, self.ranks)
        reasons = window.reasons
        weights = np.where(window.allowed, self.log_weights(window), -np.inf)
        uniform = draw_uniform(block.seed, block.anchors, self.purpose, reasons.shape[1])
        drawn = draw_weighted(weights, uniform, self.count)
        refuse(reasons, (reasons == TAKEN) & ~drawn, Reason.NOT_DRAWN)
        return Decisions(
            window.ids,
            reasons,
            window.similarities,
            window.ranks,
            positive_similarity=window.least,
        )

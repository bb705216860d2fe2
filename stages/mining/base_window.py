"""What miners of negatives over a window of ranks share: the graph, the window, draws from it."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from ...manifests.fingerprint import draw_uniform
from ...manifests.schema import Reason
from .base import TAKEN, Block, Decisions, Miner, refuse
from .base_lists import Window, draw_weighted, negative_window

Rank = Annotated[int, Field(ge=0, le=2048)]


class WindowMiner(Miner):
    """A miner that looks at some ranks of each anchor's list; a subclass says what it takes."""

    space: str = Field(default="image>image", pattern=r"^[^>]+>[^>]+$")
    """The neighbour graph: QUERY>BANK."""
    ranks: tuple[Rank, Rank] = (0, 64)
    """Window of ranks [first, behind the last) from which negatives may come."""

    @model_validator(mode="after")
    def _ranks_rise(self) -> Self:
        if self.ranks[0] >= self.ranks[1]:
            raise ValueError(f"ranks {list(self.ranks)}: the first must be below the second")
        return self

    @property
    def graph_names(self) -> Sequence[str]:
        """The one graph."""
        return (self.space,)

    @property
    def space_names(self) -> Sequence[str]:
        """Both spaces of the graph: what its lists do not hold is measured there."""
        return tuple(dict.fromkeys(self.space.split(">")))


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

"""Barlow Twins: the cross-correlation of two views' projections towards the identity.

Zbontar et al. 2021, eq. 1: L = sum (1 - C_ii)^2 + lambda sum_{i != j} C_ij^2; lightly's loss. The
paper's projector is 8192 wide; ours is as wide as the options say. All pairs weigh the same.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..library import lightly_loss
from ..model import ContrastiveModel
from ..step import Step
from . import base


class Head(base.Head):
    """No weights of its own."""

    def __init__(self, settings: Any, place: base.Place) -> None:
        super().__init__(settings, place)
        self.loss = lightly_loss("BarlowTwinsLoss", lambda_param=settings.off_diagonal)

    def forward(self, net: ContrastiveModel, step: Step) -> Tensor:
        """Return the loss of anchors and positives."""
        return self.loss(*base.two_views(net, step))

"""VICReg: invariance, variance and covariance of two views' projections (Bardes 2022, eq. 6).

L = 25 * mean squared distance + 25 * hinge on each dimension's deviation + 1 * off-diagonal
covariance; lightly's loss. The paper's projector is 8192 wide; ours is as wide as the options say.
All pairs weigh the same.
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
        self.loss = lightly_loss(
            "VICRegLoss",
            lambda_param=settings.invariance,
            mu_param=settings.variance,
            nu_param=settings.covariance,
        )

    def forward(self, net: ContrastiveModel, step: Step) -> Tensor:
        """Return the loss of anchors and positives."""
        return self.loss(*base.two_views(net, step))

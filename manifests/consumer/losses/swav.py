"""SwAV: each view predicts the other's balanced assignment to prototypes (Caron 2020, eq. 2).

Scores of both views against unit prototypes; Sinkhorn makes codes; each view's softmax (t) is held
against the other's codes; lightly's loss. Two views of full size: no small crops and no queue of
earlier scores. All pairs weigh the same.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..library import lightly_loss
from ..model import ContrastiveModel, unit
from ..step import Step
from . import base


class Head(base.Head):
    """The prototypes."""

    def __init__(self, settings: Any, place: base.Place) -> None:
        super().__init__(settings, place)
        self.prototypes = nn.Parameter(unit(torch.randn(settings.prototypes, place.width)))
        self.loss = lightly_loss(
            "SwaVLoss",
            temperature=settings.t,
            sinkhorn_iterations=settings.iterations,
            sinkhorn_epsilon=settings.epsilon,
        )

    def forward(self, net: ContrastiveModel, step: Step) -> Tensor:
        """Return the swapped prediction of anchors and positives."""
        prototypes = unit(self.prototypes)
        scores = [unit(view) @ prototypes.T for view in base.two_views(net, step)]
        return self.loss(scores, []).squeeze()

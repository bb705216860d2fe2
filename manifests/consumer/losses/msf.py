"""MSF: an anchor is drawn to the mean of its neighbours (Koohpayegani et al. 2021, eq. 1).

    L = (1/k) sum over the k nearest of 2 - 2 cos(predictor(z_anchor), z'_neighbour)

z' is made by a slow copy of constant momentum. The set and its weights come from the pairset: the
anchor itself and k - 1 neighbours, 1/k each. By default one member is drawn by its weight each
time, which costs one forward pass instead of k and has the same expected gradient.

CMSF is the same loss; its neighbours are mined within a cluster.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..model import ContrastiveModel
from ..regression import regression
from ..step import Step
from . import base


class Head(base.Head):
    """A predictor and a slow copy."""

    def __init__(self, settings: Any, place: base.Place) -> None:
        super().__init__(settings, place)
        self.predictor = base.mlp(place.width, settings.hidden)
        self.slow = base.Slow(place.net, settings.momentum)

    def forward(self, net: ContrastiveModel, step: Step) -> Tensor:
        """Return the regression of the shown members."""
        predicted = self.predictor(net(step.anchors()))
        row, _ = step.positive_at
        return regression(predicted[row], self.slow(step.positives()), step)

    def after(self, net: ContrastiveModel, step: Step) -> None:
        """Move the slow copy."""
        self.slow.follow(net, step.progress)

"""BYOL: each view predicts what a slow copy makes of the other (Grill et al. 2020, eq. 2).

    L = |p(z)/|p(z)| - z'/|z'||^2 = 2 - 2 cos, symmetrised; the copy's momentum rises to 1.

With positives of other images the same loss draws an anchor to its neighbours (MSF with k = 1).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..model import ContrastiveModel
from ..regression import regression
from ..step import Step, together
from . import base


class Head(base.Head):
    """A predictor and a slow copy."""

    def __init__(self, settings: Any, place: base.Place) -> None:
        super().__init__(settings, place)
        self.predictor = base.mlp(place.width, settings.hidden)
        self.slow = base.Slow(place.net, settings.momentum, rises=True)

    def forward(self, net: ContrastiveModel, step: Step) -> Tensor:
        """Return the regression of positives by anchors, and of anchors by positives."""
        anchors, positives = step.anchors(), step.positives()
        row, _ = step.positive_at
        if not self.settings.symmetric:
            predicted = self.predictor(net(anchors))
            return regression(predicted[row], self.slow(positives), step)
        both, count = together(anchors, positives), len(anchors)
        predicted, target = self.predictor(net(both)), self.slow(both)
        forth = regression(predicted[:count][row], target[count:], step)
        return forth + regression(predicted[count:], target[:count][row], step)

    def after(self, net: ContrastiveModel, step: Step) -> None:
        """Move the slow copy."""
        self.slow.follow(net, step.progress)

"""SimSiam: two views predict each other, gradients stopped (Chen and He 2021, eq. 1-4).

L = -1/2 [ cos(p_1, stop(z_2)) + cos(p_2, stop(z_1)) ], in [-1, 1]
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..model import ContrastiveModel
from ..regression import regression
from ..step import Step, together
from . import base


class Head(base.Head):
    """A predictor with a narrow middle."""

    def __init__(self, settings: Any, place: base.Place) -> None:
        super().__init__(settings, place)
        self.predictor = base.mlp(place.width, settings.hidden)

    def forward(self, net: ContrastiveModel, step: Step) -> Tensor:
        """Return the symmetric negative cosine."""
        anchors, positives = step.anchors(), step.positives()
        features = net(together(anchors, positives))
        predicted, count = self.predictor(features), len(anchors)
        row, _ = step.positive_at
        forth = regression(predicted[:count][row], features[count:], step)
        back = regression(predicted[count:], features[:count][row], step)
        return (forth + back) / 4 - 1

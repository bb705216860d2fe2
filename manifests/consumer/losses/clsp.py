"""CLSP: a synthetic positive draws the anchor, beside InfoNCE (Zeng et al. 2024, eq. 5).

    L = InfoNCE(anchor, first positive) + lambda * mean over the others of 2 - 2 cos(z, z_synthetic)

The first place of a row's positives is what InfoNCE contrasts (the anchor itself); every later one
is a synthetic picture of the anchor. Synthetic views are in nobody's denominator.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ...losses import InfoNce
from ..generic import contrastive_loss
from ..model import ContrastiveModel
from ..regression import distance
from ..step import Step, together
from . import base


class Head(base.Head):
    """G for the first positive, a regression for the others."""

    positives = 0

    def __init__(self, settings: Any, place: base.Place) -> None:
        super().__init__(settings, place)
        self.generic = InfoNce(t=settings.t)

    def forward(self, net: ContrastiveModel, step: Step) -> Tensor:
        """Return both terms."""
        anchors, positives = step.anchors(), step.positives()
        row, column = step.positive_at
        real, count = column == 0, len(anchors)
        bank = together(anchors, positives[real], step.negatives())
        features = net(together(bank, positives[~real]))
        anchor, synthetic = features[:count], features[len(bank) :]
        of_real = features[count : count + int(real.sum())]
        cosines = anchor.new_zeros(count, 1)
        cosines[row[real], 0] = (anchor[row[real]] * of_real).sum(1)
        losses = contrastive_loss(
            cosines,
            step.positive_weight[:, :1],
            anchor @ features[: len(bank)].T,
            step.negative_weights(bank),
            self.generic,
        )
        return step.mean(losses) + self.settings.synthetic * _term(
            distance(anchor[row[~real]], synthetic), row[~real], step
        )


def _term(distances: Tensor, row: Tensor, step: Step) -> Tensor:
    weight = step.batch.weight[step.rows][row]
    return (weight * distances).sum() / weight.sum().clamp_min(1e-12)

"""Triplets with a drawn negative that still violates the margin (Panambur et al. 2022).

    L = mean over (anchor, positive) of max(0, m + |a - p|^2 - |a - n|^2)

n is drawn evenly among the allowed views of the batch whose hinge is positive; a pair without any
has loss 0. Distances are of unit rows: |a - b|^2 = 2 - 2 cos.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..model import ContrastiveModel
from ..step import Step, together
from . import base


class Head(base.Head):
    """A hinge; no weights of its own."""

    def forward(self, net: ContrastiveModel, step: Step) -> Tensor:
        """Return the mean hinge."""
        anchors, positives = step.anchors(), step.positives()
        bank = together(anchors, positives, step.negatives())
        features, count = net(bank), len(anchors)
        row, _ = step.positive_at
        of_anchors, of_positives = features[:count], features[count : count + len(row)]
        far = 2 - 2 * of_anchors @ features.T
        near = 2 - 2 * (of_anchors[row] * of_positives).sum(1)
        allowed = step.negative_weights(bank) > 0
        hinges = drawn_hinges(near, far[row], allowed[row], self.settings.margin)
        return (step.positive_share * hinges).sum()


def drawn_hinges(near: Tensor, far: Tensor, allowed: Tensor, margin: float) -> Tensor:
    """Return the hinge of each pair with one drawn negative: float32 [Q], 0 without any.

    Args:
        near: float32 [Q], squared distances of anchors and positives.
        far: float32 [Q, M], squared distances of anchors and candidates.
        allowed: bool [Q, M].
        margin: of the hinge.
    """
    hinges = margin + near[:, None] - far
    usable = allowed & (hinges > 0)
    draws = torch.rand(hinges.shape, device=hinges.device).masked_fill(~usable, -1)
    chosen = hinges.gather(1, draws.argmax(1, keepdim=True))[:, 0]
    return torch.where(usable.any(1), chosen, 0.0)

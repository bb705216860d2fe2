"""NNCLR: the neighbour must find the anchor's prediction (Dwibedi et al. 2021, eq. 3).

    L_i = -log( e^{n_i p_i / t} / (e^{n_i p_i / t} + sum over j of e^{n_i p_j / t}) )

n_i is the projection of the neighbour, without gradient (in the paper it comes from a queue), p_j
the prediction of the anchors of the batch. Negatives are the other anchors, not their neighbours.
Symmetric: a second view of each anchor predicts too. Anchors that i must not be contrasted with
(its positives among them, trap of algorithms.md §2.1) are masked.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...losses import InfoNce
from ..generic import contrastive_loss
from ..model import ContrastiveModel, unit
from ..step import Shown, Step
from . import base


class Head(base.Head):
    """A predictor."""

    def __init__(self, settings: Any, place: base.Place) -> None:
        super().__init__(settings, place)
        hidden = settings.hidden
        self.predictor = base.mlp(place.width, hidden) if hidden else nn.Identity()

    def forward(self, net: ContrastiveModel, step: Step) -> Tensor:
        """Return the loss of one view of the anchors, or the mean of two."""
        with torch.no_grad():
            neighbours = net(step.positives())
        views = ["anchor", "second"] if self.settings.symmetric else ["anchor"]
        losses = [self._view(net, step, step.anchors(view), neighbours) for view in views]
        return torch.stack(losses).mean()

    def _view(
        self, net: ContrastiveModel, step: Step, anchors: Shown, neighbours: Tensor
    ) -> Tensor:
        predicted = unit(self.predictor(net(anchors)))
        return neighbour_loss(neighbours, predicted, anchors, step, self.settings.t)


def neighbour_loss(
    neighbours: Tensor, predicted: Tensor, anchors: Shown, step: Step, t: float
) -> Tensor:
    """Return the loss of neighbours that look for the predictions of their anchors.

    Args:
        neighbours: float32 [Q, d], unit rows, one for each shown positive.
        predicted: float32 [B, d], unit rows.
        anchors: what was predicted from.
        step: the step.
        t: temperature.
    """
    row, _ = step.positive_at
    weight = step.allowed(anchors.ids, anchors.groups).to(torch.float32)
    losses = contrastive_loss(
        (neighbours * predicted[row]).sum(1, keepdim=True),
        neighbours.new_ones(len(row), 1),
        neighbours @ predicted.T,
        weight[row],
        InfoNce(t=t),
    )
    return (step.positive_share * losses).sum()

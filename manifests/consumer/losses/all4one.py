"""All4One: the neighbours' centroid, the nearest neighbour, and features (Estepa et al. 2023).

    L = 1/2 centroid + 1/2 neighbour + 1/2 feature
    neighbour = NNCLR(nn_1, predictor(z)), t
    centroid  = NNCLR(c, c'),  c = first token of T(nn_1 .. nn_k),
                c' = first token of T(predictor_2(z), nn_1 .. nn_{k-1}), T a transformer encoder
                with sinusoidal positions; centroid_t
    feature   = 10 (1/2 sqrt(mean (C_ii - 1)^2) + 1/2 sqrt(mean C_ij^2)), C the correlation of one
                view's slow projections and the other's projections, columns of length 1

As in the official code (`solo/methods/all4one.py`), which takes the centroid term's temperature
from the function's default, 0.1. Neighbours come from the pairset in their order, encoded by the
slow copy; all are shown. Both views of the anchors are used and the terms are means of the two.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import UsageError
from ...losses import InfoNce
from ..generic import contrastive_loss
from ..model import ContrastiveModel, unit
from ..step import Shown, Step
from . import base


class Head(base.Head):
    """Two predictors, the transformer, a slow copy."""

    positives = 0

    def __init__(self, settings: Any, place: base.Place) -> None:
        super().__init__(settings, place)
        width = place.width
        if width % settings.heads:
            raise UsageError(
                f"loss.heads={settings.heads} must divide the projection's width, {width}."
            )
        self.predictor = base.mlp(width, settings.hidden)
        self.second = base.mlp(width, settings.hidden)
        layer = nn.TransformerEncoderLayer(
            width, settings.heads, 2 * width, settings.dropout, batch_first=True
        )
        self.transformer = nn.TransformerEncoder(layer, settings.layers, enable_nested_tensor=False)
        self.slow = base.Slow(place.net, settings.momentum)

    def forward(self, net: ContrastiveModel, step: Step) -> Tensor:
        """Return the weighted terms, means over two views."""
        own, views = self.settings, [step.anchors(), step.anchors("second")]
        nearest, present = self._neighbours(step)
        centroid = self._centroid(nearest, present)
        z = [net.project(view) for view in views]
        slow = [self.slow.call("project", view) for view in views]
        total = z[0].new_zeros(())
        for one, other in ((0, 1), (1, 0)):
            predicted = unit(self.predictor(unit(z[one])))
            shifted = torch.cat([self.second(unit(z[one]))[:, None], nearest[:, :-1]], 1)
            there = torch.cat([present.new_ones(len(present), 1), present[:, :-1]], 1)
            drawn = self._centroid(shifted, there)
            total = total + (
                own.neighbour * self._nnclr(nearest[:, 0], predicted, views[one], step, own.t)
                + own.centroid * self._nnclr(centroid, drawn, views[one], step, own.centroid_t)
                + own.feature * feature_term(slow[other], z[one])
            )
        return total / 2

    def _neighbours(self, step: Step) -> tuple[Tensor, Tensor]:
        """Return slow projections [B, P, d] in the pairset's order, and which are there [B, P]."""
        row, column = step.positive_at
        features = self.slow(step.positives())
        # Places that could not be read close up, so that the first is always there.
        present = torch.zeros_like(step.positive_weight, dtype=torch.bool)
        present[row, column] = True
        place = present.cumsum(1)[row, column] - 1
        nearest = features.new_zeros(*present.shape, features.shape[1])
        nearest[row, place] = features
        order = torch.arange(present.shape[1], device=row.device)
        return nearest, order < present.sum(1, keepdim=True)

    def _centroid(self, tokens: Tensor, present: Tensor) -> Tensor:
        where = positions(tokens.shape[1], tokens.shape[2]).to(tokens)
        return unit(self.transformer(tokens + where, src_key_padding_mask=~present)[:, 0])

    def _nnclr(
        self, target: Tensor, predicted: Tensor, anchors: Shown, step: Step, t: float
    ) -> Tensor:
        losses = contrastive_loss(
            (target * predicted).sum(1, keepdim=True),
            target.new_ones(len(target), 1),
            target @ predicted.T,
            step.allowed(anchors.ids, anchors.groups).to(torch.float32),
            InfoNce(t=t),
        )
        return step.mean(losses)

    def after(self, net: ContrastiveModel, step: Step) -> None:
        """Move the slow copy."""
        self.slow.follow(net, step.progress)


def feature_term(slow: Tensor, own: Tensor) -> Tensor:
    """Return 10 (1/2 sqrt(mean (C_ii - 1)^2) + 1/2 sqrt(mean C_ij^2)) of projections [B, d]."""
    left = nn.functional.normalize(slow, dim=0)
    right = nn.functional.normalize(own, dim=0)
    c = left.T @ right
    on = (c.diagonal() - 1).square().mean()
    off = (c - torch.diag(c.diagonal())).square().sum() / (len(c) * (len(c) - 1))
    # The root has no slope at 0.
    return 10 * (0.5 * (on + 1e-12).sqrt() + 0.5 * (off + 1e-12).sqrt())


def positions(count: int, width: int) -> Tensor:
    """Return sinusoidal positions float32 [count, width] (Vaswani 2017, §3.5)."""
    at = torch.arange(count)[:, None]
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
    table = torch.zeros(count, width)
    table[:, 0::2] = torch.sin(at * rates)
    table[:, 1::2] = torch.cos(at * rates[: width // 2])
    return table

"""AdCo: negatives that are learned to be hard (Hu et al. 2021, eq. 3-6).

The encoder minimises InfoNCE against a bank W (rows d_k = W_k / |W_k|) and the other keys of the
batch; the bank maximises it: W <- W - lr v, v <- 0.9 v + g + 1e-4 W, with

    g_k = -1 / (t_m |W_k|) [ (1/B) sum_i p_ik q_i - (1/B) sum_i p_ik s_ik d_k ]

the gradient of -L with the bank's own temperature t_m, p the softmax over positive and bank.

The bank starts with keys of real images (the official `ad_init`): it fills up in the first steps,
and only rows that are filled are contrasted and learn. Keys of the batch are masked by id; the
bank's rows are free vectors that belong to nobody.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...losses import InfoNce
from ..generic import contrastive_loss
from ..model import ContrastiveModel, unit
from ..step import Step
from . import base

_MOMENTUM = 0.9
_DECAY = 1e-4


class Head(base.Head):
    """A slow copy for keys, and the bank."""

    bank: Tensor
    velocity: Tensor
    filled: Tensor

    def __init__(self, settings: Any, place: base.Place) -> None:
        super().__init__(settings, place)
        self.slow = base.Slow(place.net, settings.momentum)
        self.generic = InfoNce(t=settings.t)
        self.register_buffer("bank", torch.zeros(settings.bank, place.width))
        self.register_buffer("velocity", torch.zeros(settings.bank, place.width))
        self.register_buffer("filled", torch.tensor(0))
        self._last: tuple[Tensor, Tensor, Tensor] | None = None

    def forward(self, net: ContrastiveModel, step: Step) -> Tensor:
        """Contrast anchors with the bank and with the other keys of the batch."""
        anchors, shown = net(step.anchors()), step.positives()
        keys = self.slow(shown)
        learned = unit(self.bank[: int(self.filled)])
        cosines = step.positive_cosines(anchors, keys)
        mask = step.allowed(shown.ids, shown.groups).to(torch.float32)
        weights = torch.cat([mask, mask.new_ones(len(anchors), len(learned))], 1)
        scores = anchors @ torch.cat([keys, learned]).T
        self._last = anchors.detach(), (step.positive_weight * cosines).sum(1).detach(), keys
        return step.mean(
            contrastive_loss(cosines, step.positive_weight, scores, weights, self.generic)
        )

    @torch.no_grad()
    def after(self, net: ContrastiveModel, step: Step) -> None:
        """Move the slow copy; let the bank climb, or fill it."""
        self.slow.follow(net, step.progress)
        if self._last is None:
            return
        anchors, positive, keys = self._last
        count = int(self.filled)
        if count:
            bank = self.bank[:count]
            g = bank_gradient(bank, anchors, positive, self.settings.bank_t)
            self.velocity[:count] = _MOMENTUM * self.velocity[:count] + g + _DECAY * bank
            self.bank[:count] -= self.settings.bank_lr * self.velocity[:count]
        new = keys[: len(self.bank) - count]
        self.bank[count : count + len(new)] = new
        self.filled += len(new)


def bank_gradient(bank: Tensor, anchors: Tensor, positive: Tensor, t: float) -> Tensor:
    """Return g, the gradient of -L in the bank's rows: float32 [K, d].

    Args:
        bank: float32 [K, d], rows of any length but 0.
        anchors: float32 [B, d], unit rows.
        positive: float32 [B], cosines of anchors and positives.
        t: temperature of the bank's loss.
    """
    length = bank.norm(dim=1, keepdim=True)
    rows = bank / length
    scores = anchors @ rows.T
    chance = torch.cat([positive[:, None], scores], 1).div(t).softmax(1)[:, 1:]
    pull = chance.T @ anchors / len(anchors) - (chance * scores).mean(0)[:, None] * rows
    return -pull / (t * length)

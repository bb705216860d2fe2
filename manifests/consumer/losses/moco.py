"""MoCo: InfoNCE against a queue of keys of a slow copy of the encoder (He et al. 2020, eq. 1-2).

    L_i = -log( e^{q k+ / t} / (e^{q k+ / t} + sum over the queue of e^{q k / t}) )

The queue keeps each key's sample id and mask groups, so what an anchor must not be contrasted with
is masked in the queue as in a batch: itself (an older view), its positives, its false negatives,
its near-duplicates. The queue starts empty, not with random vectors. One device: no shuffled
batch norm.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...losses import InfoNce
from ..generic import contrastive_loss
from ..model import ContrastiveModel
from ..step import Shown, Step
from . import base


class Head(base.Head):
    """A slow copy and its queue."""

    def __init__(self, settings: Any, place: base.Place) -> None:
        super().__init__(settings, place)
        self.slow = base.Slow(place.net, settings.momentum)
        self.queue = base.Queue(settings.queue, place.width, place.groups)
        self.generic = InfoNce(t=settings.t)
        self._new: tuple[Tensor, Shown] | None = None

    def forward(self, net: ContrastiveModel, step: Step) -> Tensor:
        """Contrast anchors with the queue; in the first step with the other keys of the batch."""
        anchors, shown = net(step.anchors()), step.positives()
        keys = self.slow(shown)
        self._new = keys, shown
        bank, ids, groups = self.queue.filled()
        if not len(ids):
            bank, ids, groups = keys, shown.ids, shown.groups
        losses = contrastive_loss(
            step.positive_cosines(anchors, keys),
            step.positive_weight,
            anchors @ bank.T,
            step.allowed(ids, groups).to(torch.float32),
            self.generic,
        )
        return step.mean(losses)

    def after(self, net: ContrastiveModel, step: Step) -> None:
        """Move the slow copy and push the keys."""
        self.slow.follow(net, step.progress)
        if self._new is not None:
            self.queue.push(*self._new)

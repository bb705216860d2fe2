"""AVID: cross-modal noise-contrastive estimation against memories (Morgado et al. 2021, eq. 2-3).

    L(v, t+) = -log( e^{s+ / t} / (e^{s+ / t} + K Z) ) - sum_k log( K Z / (e^{s_k / t} + K Z) )

for a picture against the memory of captions and for a caption against the memory of pictures; no
term within a modality. K negatives a step are drawn evenly from the memory, the same for all pairs
of the batch (the paper draws them for each); what a pair must not be contrasted with is masked.
Z is the mean of e^{s/t} in the first step and stays. Memories start at random and are averages
with momentum 1/2.

The published second modality is sound; here it is the caption, which every pairset can stream.
A memory is N x d float32 for each modality, N the samples of the pairset.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..captions import Captioned, captioned
from ..model import ContrastiveModel, unit
from ..step import Step
from . import base


class Head(base.Head):
    """The text tower, a memory of each modality, and Z of each direction."""

    captions = True
    memory: Tensor
    groups: Tensor
    z: Tensor

    def __init__(self, settings: Any, place: base.Place) -> None:
        super().__init__(settings, place)
        self.tower = place.text_tower()
        shape = (2, place.samples, place.width)
        self.register_buffer("memory", unit(torch.randn(shape)))
        # A sample's groups are known once it was seen; until then its memory is noise.
        self.register_buffer("groups", torch.full((place.samples, place.groups), -1))
        self.register_buffer("z", torch.zeros(2))
        self._new: Captioned | None = None

    def forward(self, net: ContrastiveModel, step: Step) -> Tensor:
        """Return the mean of both directions."""
        self._new = pairs = captioned(net, self.tower, step)
        if pairs is None:
            return next(self.parameters()).sum() * 0
        count, device = self.settings.negatives, pairs.rows.device
        ids = torch.randint(self.memory.shape[1], (count,), device=device)
        may = step.allowed(ids, self.groups[ids])[pairs.rows]
        sides = ((pairs.images, pairs.text_ids), (pairs.texts, pairs.image_ids))
        total = pairs.images.new_zeros(())
        for side, (queries, answers) in enumerate(sides):
            other = self.memory[1 - side]
            positive = (queries * other[answers]).sum(1) / self.settings.t
            negative = queries @ other[ids].T / self.settings.t
            if not float(self.z[side]):
                self.z[side] = negative.detach().exp().mean()
            losses = nce(positive, negative, may, self.z[side])
            total = total + (pairs.weight * losses).sum() / 2
        return total

    @torch.no_grad()
    def after(self, net: ContrastiveModel, step: Step) -> None:
        """Move the memories of the pairs that were seen."""
        if self._new is None:
            return
        m, new = self.settings.momentum, self._new
        for side, (ids, rows) in enumerate(
            ((new.image_ids, new.images), (new.text_ids, new.texts))
        ):
            self.memory[side, ids] = unit(m * self.memory[side, ids] + (1 - m) * rows)
        anchors = step.batch.anchor[step.rows][new.rows]
        self.groups[new.image_ids] = step.batch.groups[anchors]


def nce(positive: Tensor, negative: Tensor, may: Tensor, z: Tensor) -> Tensor:
    """Return the loss of each pair: float32 [n].

    Args:
        positive: float32 [n], s / t.
        negative: float32 [n, K], s / t.
        may: bool [n, K]; False for a draw that is no negative.
        z: the constant Z.
    """
    noise = (negative.shape[1] * z).log()
    # log(e^a / (e^a + KZ)) = logsigmoid(a - log KZ).
    of_positive = torch.nn.functional.logsigmoid(positive - noise)
    of_negatives = torch.nn.functional.logsigmoid(noise - negative) * may
    return -of_positive - of_negatives.sum(1)

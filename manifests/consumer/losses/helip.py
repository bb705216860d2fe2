"""CLIP with hard pairs, and a margin between them and the rest (HELIP, Wang et al. 2025, §3.3).

    L = CLIP over pictures and captions of the batch and of the hard pairs
        + gamma * mean over both sides of the margin loss
    margin_i = mean over normal j of max(0, s_ij - min over hard h of i of s_ih)

A hard pair is a listed negative of the pair: its picture with its own caption. Those of all pairs
of the batch are candidates of both sides, as if they were in the batch; normal are the other
pairs of the batch that a pair may be contrasted with. An anchor should be nearer to all of its
hard pairs than to any normal one; a pair without hard pairs has margin loss 0.

The paper draws hard pairs into the batch as pairs of their own; here they are candidates only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ..captions import Captioned, captioned
from ..model import ContrastiveModel
from ..shown import Told
from ..step import Step
from . import clip


@dataclass(frozen=True)
class HardPairs:
    """Hard pairs of a batch beside its n pairs.

    Attributes:
        images: float32 [h, d], unit rows.
        texts: float32 [h, d], unit rows.
        allowed: bool [n, h], whether a pair may be contrasted with it.
        own: bool [n, h], whether it is one of the pair's own, and allowed.
        listed: two bool [n, n]: whether the caption, or the picture, of a pair of the batch is of
            one of the pair's own hard pairs.
    """

    images: Tensor
    texts: Tensor
    allowed: Tensor
    own: Tensor
    listed: tuple[Tensor, Tensor]


class Head(clip.Head):
    """The text tower and the temperature of CLIP."""

    negatives = True

    def forward(self, net: ContrastiveModel, step: Step) -> Tensor:
        """Return the CLIP loss over the larger set of candidates, and the margin loss."""
        pairs = captioned(net, self.tower, step)
        if pairs is None:
            return self.scale * 0
        hard = self.hard_pairs(net, step, pairs)
        scale = self.scale.clamp(max=math.log(1 / self.settings.least_t)).exp()
        both = []
        for left, right, more, seen, listed in (
            (pairs.images, pairs.texts, hard.texts, pairs.allowed, hard.listed[0]),
            (pairs.texts, pairs.images, hard.images, pairs.allowed.T, hard.listed[1]),
        ):
            near, far = left @ right.T, left @ more.T
            losses = infonce(near, far, seen, hard.allowed, scale)
            apart = margins(near, far, seen & ~listed, hard.own)
            both.append(losses + self.settings.margin * apart)
        return (pairs.weight * (both[0] + both[1]) / 2).sum()

    def hard_pairs(self, net: ContrastiveModel, step: Step, pairs: Captioned) -> HardPairs:
        """Encode the listed negatives that have captions."""
        batch, captions = step.batch, step.batch.captions or []
        kept = [at for at, place in enumerate(step.hard.tolist()) if captions[place].strip()]
        at = torch.tensor(kept, dtype=torch.int64, device=step.hard.device)
        places, listed = step.hard[at], batch.negative[step.rows][pairs.rows]
        images, texts = pairs.images[:0], pairs.texts[:0]
        if len(places) > 1:
            images = net(step.negatives()[at])
            told = [captions[place] for place in places.tolist()]
            texts = self.tower(Told.of(told, step.of_images(places)))
        else:
            places = places[:0]
        allowed = step.allowed(batch.sample_id[places], batch.groups[places])[pairs.rows]
        own = (listed[:, :, None] == places).any(1) & allowed
        known = torch.cat([batch.sample_id, batch.sample_id.new_tensor([-1])])[listed]
        forth, back = (
            (known[:, :, None] == ids).any(1) for ids in (pairs.text_ids, pairs.image_ids)
        )
        return HardPairs(images, texts, allowed, own, (forth, back))


def infonce(near: Tensor, far: Tensor, seen: Tensor, also: Tensor, scale: Tensor) -> Tensor:
    """Return the cross-entropy of each row, whose target is on the diagonal: float32 [n].

    Args:
        near: float32 [n, n], cosines with the other side of the batch.
        far: float32 [n, h], cosines with more candidates.
        seen: bool [n, n], which of the batch count beside the diagonal.
        also: bool [n, h], which of the others count.
        scale: 1 / t.
    """
    own = torch.eye(len(near), dtype=torch.bool, device=near.device)
    logits = (scale * near).masked_fill(~(seen | own), -torch.inf)
    more = (scale * far).masked_fill(~also, -torch.inf)
    target = torch.arange(len(near), device=near.device)
    return functional.cross_entropy(torch.cat([logits, more], 1), target, reduction="none")


def margins(near: Tensor, far: Tensor, normal: Tensor, own: Tensor) -> Tensor:
    """Return the margin loss of each row, float32 [n]; 0 without hard pairs or normal ones.

    Args:
        near: float32 [n, n], cosines with the other side of the batch.
        far: float32 [n, h], cosines with hard pairs.
        normal: bool [n, n], which of the batch are normal for a row.
        own: bool [n, h], which hard pairs are a row's own.
    """
    if not far.shape[1]:
        return near.new_zeros(len(near))
    lowest = far.masked_fill(~own, torch.inf).amin(1, keepdim=True)
    counts = normal & own.any(1, keepdim=True)
    over = torch.where(counts, near - torch.where(lowest.isfinite(), lowest, 0.0), 0.0)
    return over.clamp_min(0).sum(1) / counts.sum(1).clamp_min(1)

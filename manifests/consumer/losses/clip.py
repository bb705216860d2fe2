"""CLIP: symmetric InfoNCE of pictures and captions (Radford et al. 2021, fig. 3).

    L = 1/2 [ CE over captions of s_ij / t + CE over pictures of s_ij / t ]

t is learned: log(1/t) starts at log(1/0.07) and never passes log(100). Captions of samples that a
picture must not be contrasted with are masked (false negatives, near-duplicates, its own other
captions); the mask of the caption side is the transpose. The text tower is the small one of
`consumer/text.py`, or open_clip's beside its tower of pictures.

Where the pairset has negative captions (NegCLIP, Yuksekgonul et al. 2023, §4), those of all
pairs of the batch join the captions that a picture is contrasted with, and no other side: a hard
caption of pair j counts for picture i if j's own caption may, or if i is j.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..captions import Captioned, captioned, told
from ..model import ContrastiveModel
from ..step import Step
from . import base


class Head(base.Head):
    """The text tower and the logarithm of 1 / t."""

    captions = True

    def __init__(self, settings: Any, place: base.Place) -> None:
        super().__init__(settings, place)
        self.tower = place.text_tower()
        self.scale = nn.Parameter(torch.tensor(math.log(1 / settings.t)))

    def forward(self, net: ContrastiveModel, step: Step) -> Tensor:
        """Return the mean of both directions."""
        pairs = captioned(net, self.tower, step)
        if pairs is None:
            return self.scale * 0
        scale = self.scale.clamp(max=math.log(1 / self.settings.least_t)).exp()
        hard, owner = self._hard(step, pairs)
        losses = symmetric_infonce(pairs.images, pairs.texts, pairs.allowed, scale, hard, owner)
        return (pairs.weight * losses).sum()

    def _hard(self, step: Step, pairs: Captioned) -> tuple[Tensor, Tensor]:
        """Encode the negative captions: float32 [h, d] unit rows, int64 [h] pairs they are of."""
        listed = step.batch.negative_texts or [[] for _ in range(len(step.batch))]
        rows = step.rows[pairs.rows].tolist()
        texts = [(text, i) for i, row in enumerate(rows) for text in listed[row] if text.strip()]
        owner = torch.tensor([i for _, i in texts], dtype=torch.int64, device=pairs.rows.device)
        if len(texts) < 2:
            return pairs.texts[:0], owner[:0]
        return self.tower(told(step, [text for text, _ in texts], pairs.rows[owner])), owner


def symmetric_infonce(
    images: Tensor, texts: Tensor, allowed: Tensor, scale: Tensor, hard: Tensor, owner: Tensor
) -> Tensor:
    """Return the mean of both directions' InfoNCE for each pair: float32 [n].

    Args:
        images: float32 [n, d], unit rows.
        texts: float32 [n, d], unit rows; row i belongs to picture i.
        allowed: bool [n, n], whether picture i may be contrasted with caption j.
        scale: 1 / t.
        hard: float32 [h, d], unit rows: negative captions, for the pictures' side only.
        owner: int64 [h], the pair that each is a negative caption of.
    """
    own = torch.eye(len(images), dtype=torch.bool, device=images.device)
    may = allowed | own
    logits = (scale * images @ texts.T).masked_fill(~may, -torch.inf)
    more = (scale * images @ hard.T).masked_fill(~may[:, owner], -torch.inf)
    target = torch.arange(len(images), device=images.device)
    forth = functional.cross_entropy(torch.cat([logits, more], 1), target, reduction="none")
    back = functional.cross_entropy(logits.T, target, reduction="none")
    return (forth + back) / 2

"""CLIP: symmetric InfoNCE of pictures and captions (Radford et al. 2021, fig. 3).

    L = 1/2 [ CE over captions of s_ij / t + CE over pictures of s_ij / t ]

t is learned: log(1/t) starts at log(1/0.07) and never passes log(100). Captions of samples that a
picture must not be contrasted with are masked (false negatives, near-duplicates, its own other
captions); the mask of the caption side is the transpose. The text tower is the small one of
`consumer/text.py`.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..captions import captioned
from ..model import ContrastiveModel
from ..step import Step
from ..text import TextTower
from . import base


class Head(base.Head):
    """The text tower and the logarithm of 1 / t."""

    captions = True

    def __init__(self, settings: Any, place: base.Place) -> None:
        super().__init__(settings, place)
        self.tower = TextTower(place.width)
        self.scale = nn.Parameter(torch.tensor(math.log(1 / settings.t)))

    def forward(self, net: ContrastiveModel, step: Step) -> Tensor:
        """Return the mean of both directions."""
        pairs = captioned(net, self.tower, step)
        if pairs is None:
            return self.scale * 0
        scale = self.scale.clamp(max=math.log(1 / self.settings.least_t)).exp()
        losses = symmetric_infonce(pairs.images, pairs.texts, pairs.allowed, scale)
        return (pairs.weight * losses).sum()


def symmetric_infonce(images: Tensor, texts: Tensor, allowed: Tensor, scale: Tensor) -> Tensor:
    """Return the mean of both directions' InfoNCE for each pair: float32 [n].

    Args:
        images: float32 [n, d], unit rows.
        texts: float32 [n, d], unit rows; row i belongs to picture i.
        allowed: bool [n, n], whether picture i may be contrasted with caption j.
        scale: 1 / t.
    """
    own = torch.eye(len(images), dtype=torch.bool, device=images.device)
    logits = (scale * images @ texts.T).masked_fill(~(allowed | own), -torch.inf)
    target = torch.arange(len(images), device=images.device)
    forth = functional.cross_entropy(logits, target, reduction="none")
    back = functional.cross_entropy(logits.T, target, reduction="none")
    return (forth + back) / 2

"""CLOOB: InfoLOOB of pictures and captions after Hopfield retrieval (Fuerst et al. 2022, eq. 4-9).

    U_xx = norm(softmax(beta X X^T) X), U_yx = norm(softmax(beta Y X^T) X)      store: pictures
    U_yy = norm(softmax(beta Y Y^T) Y), U_xy = norm(softmax(beta X Y^T) Y)      store: captions
    L = l(U_xx, U_yx) + l(U_yy, U_xy)
    l(A, B) = t [ mean_i -A_i B_i / t + mean_i log sum_{j != i} e^{A_i B_j / t} ]

The denominator leaves out the pair itself, and what must not be contrasted with it. 1 / t is fixed
at 14.3, as beta. A pair whose every candidate is masked has no denominator and only attracts.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..captions import captioned
from ..model import ContrastiveModel, unit
from ..step import Step
from . import base


class Head(base.Head):
    """The text tower."""

    captions = True

    def __init__(self, settings: Any, place: base.Place) -> None:
        super().__init__(settings, place)
        self.tower = place.text_tower()

    def forward(self, net: ContrastiveModel, step: Step) -> Tensor:
        """Return both terms."""
        pairs = captioned(net, self.tower, step)
        if pairs is None:
            return next(self.parameters()).sum() * 0
        x, y, beta, t = pairs.images, pairs.texts, self.settings.beta, self.settings.t
        of_images = infoloob(retrieve(x, x, beta), retrieve(y, x, beta), pairs.allowed, t)
        of_texts = infoloob(retrieve(y, y, beta), retrieve(x, y, beta), pairs.allowed.T, t)
        return (pairs.weight * (of_images + of_texts)).sum()


def retrieve(state: Tensor, store: Tensor, beta: float) -> Tensor:
    """Return what a modern Hopfield network retrieves for states [n, d] from a store [m, d]."""
    return unit((beta * state @ store.T).softmax(1) @ store)


def infoloob(anchors: Tensor, candidates: Tensor, allowed: Tensor, t: float) -> Tensor:
    """Return t times InfoLOOB of each row: float32 [n].

    Args:
        anchors: float32 [n, d], unit rows.
        candidates: float32 [n, d], unit rows; row i is the positive of anchor i.
        allowed: bool [n, n]; the diagonal never counts.
        t: temperature.
    """
    logits = anchors @ candidates.T / t
    own = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    may = allowed & ~own
    alone = ~may.any(1)
    rest = logits.masked_fill(~may, -torch.inf)
    rest = torch.where(alone[:, None], 0.0, rest).logsumexp(1).masked_fill(alone, 0.0)
    return t * (rest - logits.diagonal())

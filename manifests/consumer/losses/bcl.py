"""BCL: negatives weighed by the rank of their score among the anchor's (Liu and Wang 2024).

u is the empirical distribution function of the anchor's negative scores; F inverts the mixture of
true and false negatives, with tau- = 1 - tau+, alpha the chance that a positive scores higher:

    F = (-b + sqrt(b^2 + 4 a u)) / (2 a),  a = (1 - 2 alpha)(tau- - tau+) + 1e-3,
    b = 2 (alpha tau- + (1 - alpha) tau+),  phi_1 = 2 (1 - F),  phi_2 = 2 F
    w = [alpha (1-h) phi_1 + (1-alpha) h phi_2] / [alpha (1-h) + (1-alpha) h]
        / [tau- (alpha phi_1 + (1-alpha) phi_2) + tau+ ((1-alpha) phi_1 + alpha phi_2)]

h is BCL's beta: 0.5 only debiases (weights fall with the score), 1 raises hard negatives. This is
the live form, on ranks of the trainer's own scores; only ranks matter, so no gradient is lost.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...losses import Bcl
from ..step import Step
from . import infonce


class Head(infonce.Head):
    """G with BCL's weights."""

    def importance(
        self, cosines: Tensor, scores: Tensor, weights: Tensor, step: Step, features: Tensor
    ) -> Tensor:
        """Return the weights by rank."""
        return rank_weights(scores.detach(), weights > 0, self.settings)


def rank_weights(scores: Tensor, allowed: Tensor, settings: Bcl) -> Tensor:
    """Return BCL's weights float32 [B, M]; 0 where not allowed.

    Args:
        scores: float32 [B, M]; only their order within a row matters.
        allowed: bool [B, M].
        settings: tau_plus, alpha, hardness.
    """
    ordered = scores.masked_fill(~allowed, torch.inf)
    # Rank from 1; equal scores share the highest, as in an empirical distribution function.
    ascending = ordered.sort(dim=1).values
    rank = torch.searchsorted(ascending.contiguous(), ordered.contiguous(), right=True)
    u = rank.to(scores.dtype) / allowed.sum(1, keepdim=True).clamp_min(1)
    plus, alpha, h = settings.tau_plus, settings.alpha, settings.hardness
    minus = 1 - plus
    a = (1 - 2 * alpha) * (minus - plus) + 1e-3
    b = 2 * (alpha * minus + (1 - alpha) * plus)
    f = (-b + (b * b + 4 * a * u).clamp_min(0).sqrt()) / (2 * a)
    low, high = 2 * (1 - f), 2 * f
    wanted = alpha * (1 - h) * low + (1 - alpha) * h * high
    wanted = wanted / (alpha * (1 - h) + (1 - alpha) * h)
    there = minus * (alpha * low + (1 - alpha) * high) + plus * ((1 - alpha) * low + alpha * high)
    return torch.where(allowed, wanted / there, 0.0)

"""UnReMix: negatives weighed by similarity, uncertainty and diversity (Tabassum et al. 2022).

    w_ij = l_s n(s_ij) + l_u n(g_ij) + l_r n(r_j),  scaled to mean 1 over the anchor's negatives

s is the cosine, g_ij = p_ij / t the norm of InfoNCE's gradient in z_j (p the softmax over positive
and negatives), r_j = 1 - the mean cosine to the anchor's other negatives, n the scaling of the
anchor's negatives to 0..1. The paper's coefficients are not published in accessible text; equal
shares are this project's choice (algorithms.md §3.2). Live form, without gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...losses import Unremix
from ..step import Step
from . import infonce


class Head(infonce.Head):
    """G with UnReMix's weights."""

    def importance(
        self, cosines: Tensor, scores: Tensor, weights: Tensor, step: Step, features: Tensor
    ) -> Tensor:
        """Return the weights."""
        positive = (step.positive_weight * cosines).sum(1) / step.positive_weight.sum(1)
        return importance(
            positive.detach(), scores.detach(), weights > 0, features.detach(), self.settings
        )


def importance(
    positive: Tensor, scores: Tensor, allowed: Tensor, features: Tensor, settings: Unremix
) -> Tensor:
    """Return UnReMix's weights float32 [B, M]; 0 where not allowed, mean 1 over the allowed.

    Args:
        positive: float32 [B], cosines of anchors and positives.
        scores: float32 [B, M], cosines of anchors and candidates.
        allowed: bool [B, M].
        features: float32 [M, d], unit rows of the candidates.
        settings: temperature and shares.
    """
    logits = scores.masked_fill(~allowed, -torch.inf) / settings.t
    chance = torch.cat([positive[:, None] / settings.t, logits], 1).softmax(1)[:, 1:]
    there = allowed.to(scores.dtype)
    # Mean cosine of j to the anchor's other negatives: (z_j . sum of them - 1) / (n - 1).
    others = (there @ features) @ features.T - 1
    apart = 1 - others / (there.sum(1, keepdim=True) - 1).clamp_min(1)
    mixed = (
        settings.similarity * _spread(scores, allowed)
        + settings.uncertainty * _spread(chance / settings.t, allowed)
        + settings.diversity * _spread(apart, allowed)
    )
    mixed = torch.where(allowed, mixed, 0.0)
    total = mixed.sum(1, keepdim=True)
    count = there.sum(1, keepdim=True)
    return torch.where(total > 0, mixed * count / total.clamp_min(1e-12), there)


def _spread(values: Tensor, allowed: Tensor) -> Tensor:
    low = values.masked_fill(~allowed, torch.inf).amin(1, keepdim=True)
    high = values.masked_fill(~allowed, -torch.inf).amax(1, keepdim=True)
    return (values - low) / (high - low).clamp_min(1e-12)

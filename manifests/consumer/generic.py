"""The generic contrastive loss G: one formula for all losses of the InfoNCE kind.

For an anchor i with positives p (weights w_p, summing to 1) and negatives j (weights v_j, 0 where
masked), with cosines s and temperature t:

    L_i = sum_p w_p [ -s_ip / t + log( A_ip + max(B_i, floor_i) + C_i ) ]
    A_ip = exp(s_ip / t)  |  sum_p' exp(s_ip' / t)  |  0          pos_in_denom: self | all | none
    B_i  = (sum_j v_j h_j exp(s_ij / t) - kappa_i) / (1 - tau_plus)
    C_i  = sum_k exp(s_ik / t) over synthetic negatives

InfoNCE (van den Oord 2018) is the default; SupCon's L_out (Khosla 2020, eq. 2) is "all"; CLOOB's
InfoLOOB (Fuerst 2022) is "none"; `tau_plus` debiases (DCL, Chuang 2020, eq. 8), one number for all
anchors or a class prior for each; `beta` weighs hard negatives (HCL, Robinson 2021, eq. 4), with
tau_plus in the same formula.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..losses import InfoNce


def contrastive_loss(
    positives: Tensor,
    positive_weight: Tensor,
    negatives: Tensor,
    negative_weight: Tensor,
    settings: InfoNce,
    synthetic: Tensor | None = None,
    tau_plus: Tensor | None = None,
) -> Tensor:
    """Return the loss of each anchor.

    Args:
        positives: float32 [B, P] cosines of anchors and positives.
        positive_weight: float32 [B, P] >= 0, 0 for an empty place; scaled here to sum to 1.
        negatives: float32 [B, M] cosines of anchors and candidates.
        negative_weight: float32 [B, M] >= 0, 0 for what must not be contrasted.
        settings: temperature and the kind of loss.
        synthetic: float32 [B, S] cosines with synthetic negatives, or None.
        tau_plus: float32 [B] in [0, 1), that of each anchor; None for that of the settings.

    Returns:
        float32 [B]; 0 for an anchor without positives, or without any denominator.
    """
    present, allowed = positive_weight > 0, negative_weight > 0
    pos = (positives / settings.t).masked_fill(~present, -math.inf)
    neg = (negatives / settings.t).masked_fill(~allowed, -math.inf)
    extra = neg[:, :0] if synthetic is None else synthetic / settings.t
    debiased = tau_plus is not None or settings.tau_plus > 0
    shift = _shift(pos, neg, extra, debiased or settings.pos_in_denom != "none")
    share = positive_weight / positive_weight.sum(1, keepdim=True).clamp_min(1e-12)

    e_pos, e_neg = (pos - shift).exp(), (neg - shift).exp()
    weights = negative_weight * hardness_weights(neg, allowed, settings.beta)
    b = (weights * e_neg).sum(1, keepdim=True)
    if debiased:
        tau = settings.tau_plus if tau_plus is None else tau_plus[:, None]
        count = allowed.sum(1, keepdim=True)
        kappa = count * tau * (share * e_pos).sum(1, keepdim=True)
        floor = count * (-1 / settings.t - shift).exp()
        b = torch.maximum((b - kappa) / (1 - tau), floor)
    c = (extra - shift).exp().sum(1, keepdim=True)
    denominator = _own(e_pos, settings.pos_in_denom) + b + c

    usable = present & (denominator > 0)
    log = torch.where(usable, denominator, 1.0).log() + shift
    terms = torch.where(usable, log - positives / settings.t, 0.0)
    return (share * terms).sum(1)


def hardness_weights(logits: Tensor, allowed: Tensor, beta: float) -> Tensor:
    """Return HCL's importance weights exp(beta s / t) over their mean; 1 for beta 0.

    Args:
        logits: float32 [B, M], s / t.
        allowed: bool [B, M].
        beta: concentration.

    Returns:
        float32 [B, M]; the mean over the allowed of a row is 1; 0 for the others.
    """
    if beta == 0:
        return allowed.to(logits.dtype)
    scaled = (beta * logits).masked_fill(~allowed, -math.inf)
    top = scaled.detach().amax(1, keepdim=True) if logits.shape[1] else scaled.new_zeros(1)
    weights = (scaled - torch.where(top.isfinite(), top, 0.0)).exp()
    count = allowed.sum(1, keepdim=True).clamp_min(1)
    return weights / (weights.sum(1, keepdim=True) / count).clamp_min(1e-30)


def _shift(pos: Tensor, neg: Tensor, extra: Tensor, with_positives: bool) -> Tensor:
    # The largest logit that is exponentiated, taken out so that a small t cannot overflow.
    summed = [neg, extra]
    if with_positives:
        summed.append(pos)
    joined = torch.cat(summed, 1).detach()
    if not joined.shape[1]:
        return pos.new_zeros(len(pos), 1)
    top = joined.amax(1, keepdim=True)
    return torch.where(top.isfinite(), top, 0.0)


def _own(e_pos: Tensor, pos_in_denom: str) -> Tensor:
    if pos_in_denom == "self":
        return e_pos
    if pos_in_denom == "all":
        return e_pos.sum(1, keepdim=True).expand_as(e_pos)
    return torch.zeros_like(e_pos)

"""The generic loss G over the views of a batch: InfoNCE, SupCon, DCL, HCL by their settings.

Every view of the batch is a candidate negative of every anchor: the other anchors, the other
anchors' positives, and all listed hard negatives; the mask takes out what must not be contrasted.
Synthetic negatives are made of the parents' features where the pairset has recipes, each for its
own anchor.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...errors import UsageError
from ...losses import InfoNce
from ..generic import contrastive_loss
from ..model import ContrastiveModel
from ..step import Step, together
from ..synthetic import synthetic_cosines
from . import base


class Head(base.Head):
    """G with the weights of the pairset; a subclass changes the negatives' weights."""

    negatives = True
    tau: Tensor | None
    """float32 [samples], the tau_plus of each sample as an anchor; None for one number."""

    def __init__(self, settings: Any, place: base.Place) -> None:
        super().__init__(settings, place)
        self.generic = settings if isinstance(settings, InfoNce) else InfoNce(t=settings.t)
        # With "all" the positives meet in one denominator; else the loss is a mean over them,
        # which one draw estimates without bias.
        self.positives = 0 if self.generic.pos_in_denom == "all" else 1
        self.register_buffer("tau", None)
        if self.generic.tau_column:
            codes = place.column(self.generic.tau_column)
            tau = class_priors(codes, self.generic.tau_plus, self.generic.tau_column)
            self.register_buffer("tau", tau, persistent=False)

    def forward(self, net: ContrastiveModel, step: Step) -> Tensor:
        """Return G; see `contrastive_loss`."""
        anchors, positives = step.anchors(), step.positives()
        bank = together(anchors, positives, step.negatives())
        features = net(bank)
        of_anchors = features[: len(anchors)]
        of_positives = features[len(anchors) : len(anchors) + len(positives)]
        cosines = step.positive_cosines(of_anchors, of_positives)
        scores = of_anchors @ features.T
        weights = step.negative_weights(bank)
        weights = weights * self.importance(cosines, scores, weights, step, features)
        if step.batch.mixes is not None and step.progress >= self.generic.warmup:
            synthetic, known = synthetic_cosines(net, step, of_anchors)
            # Beside the others, so that tau_plus and beta hold for them too (SSCL).
            scores = torch.cat([scores, synthetic], 1)
            weights = torch.cat([weights, known.to(weights.dtype)], 1)
        return step.mean(
            contrastive_loss(
                cosines,
                step.positive_weight,
                scores,
                weights,
                self.generic,
                tau_plus=None if self.tau is None else self.tau[_anchors(step)],
            )
        )

    def importance(
        self, cosines: Tensor, scores: Tensor, weights: Tensor, step: Step, features: Tensor
    ) -> Tensor | float:
        """Return factors [B, M] of the negatives' weights, or one number for all.

        Args:
            cosines: float32 [B, P] of anchors and positives.
            scores: float32 [B, M] of anchors and candidates.
            weights: float32 [B, M], 0 where masked.
            step: the step.
            features: float32 [M, d] of the candidates.
        """
        return 1.0


def class_priors(codes: Tensor, otherwise: float, column: str) -> Tensor:
    """Return the share of samples that have the value of each sample, float32 [N].

    Debiased Contrastive Learning (Chuang et al. 2020, §3) takes the class prior for tau_plus: how
    likely a random sample is of the anchor's class.

    Args:
        codes: int64 [N], -1 for none.
        otherwise: what samples without a value get.
        column: where they come from, for messages.

    Raises:
        UsageError: no sample has a value, or all have the same one: then every negative is false.
    """
    known = codes >= 0
    if not bool(known.any()):
        raise UsageError(f"loss.tau_column={column!r}: no sample has a value there.")
    values, which = torch.unique(codes[known], return_inverse=True)
    if len(values) < 2:
        raise UsageError(
            f"loss.tau_column={column!r}: all samples have one value, so nothing is a negative."
        )
    shares = torch.bincount(which).to(torch.float32) / len(which)
    out = torch.full(codes.shape, otherwise, dtype=torch.float32)
    out[known] = shares[which]
    return out


def _anchors(step: Step) -> Tensor:
    """Return int64 [B], the sample ids of the anchors."""
    return step.batch.sample_id[step.batch.anchor[step.rows]]

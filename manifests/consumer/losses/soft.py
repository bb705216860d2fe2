"""Cross-entropy to the pairset's soft targets: SEED (Fang 2021, eq. 4), X-CLR (Sobal 2025, eq. 4).

    L_i = - sum_j p_ij log( e^{z_i k_j / t} / sum_c e^{z_i k_c / t} )

p are the shares of the samples that the pairset lists for the anchor (a frozen teacher's softmax).
Candidates c are those samples and the keys of the batch. Keys are made by a slow copy and
remembered by sample, so a listed sample counts wherever it was last seen; those never seen yet are
left out and p is scaled to what is there. An anchor with nothing of its list seen has loss 0.

The memory is N x d float32, N the samples of the pairset.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...errors import UsageError
from ..model import ContrastiveModel
from ..step import Step
from . import base


class Head(base.Head):
    """A slow copy and a memory of its keys."""

    memory: Tensor
    seen: Tensor

    def __init__(self, settings: Any, place: base.Place) -> None:
        super().__init__(settings, place)
        self.slow = base.Slow(place.net, settings.momentum)
        self.register_buffer("memory", torch.zeros(place.samples, place.width))
        self.register_buffer("seen", torch.zeros(place.samples, dtype=torch.bool))

    def forward(self, net: ContrastiveModel, step: Step) -> Tensor:
        """Remember the keys of the batch, then compare."""
        batch = step.batch
        if batch.soft_ids is None or batch.soft_targets is None:
            raise UsageError(
                "loss.kind='soft', but the pairset has no soft targets; mine some with "
                "section `soft` of the config."
            )
        anchors, shown = net(step.anchors()), step.positives()
        keys = self.slow(shown)
        self.memory[shown.ids], self.seen[shown.ids] = keys, True
        ids, targets = batch.soft_ids[step.rows], batch.soft_targets[step.rows]
        there = (ids >= 0) & self.seen[ids.clamp_min(0)]
        listed = (anchors[:, None] * self.memory[ids.clamp_min(0)]).sum(2)
        # A key of the batch that is listed counts once, in the list.
        others = (ids[:, :, None] != shown.ids).all(1)
        losses = soft_cross_entropy(
            listed, targets * there, anchors @ keys.T, others, self.settings.t
        )
        return step.mean(losses)

    def after(self, net: ContrastiveModel, step: Step) -> None:
        """Move the slow copy."""
        self.slow.follow(net, step.progress)


def soft_cross_entropy(
    listed: Tensor, targets: Tensor, others: Tensor, may: Tensor, t: float
) -> Tensor:
    """Return the cross-entropy of each anchor: float32 [B], 0 where all targets are 0.

    Args:
        listed: float32 [B, S], cosines with the samples of the target.
        targets: float32 [B, S] >= 0, 0 for what is not there; scaled here to sum to 1.
        others: float32 [B, M], cosines with other candidates.
        may: bool [B, M], whether each counts.
        t: temperature.
    """
    here = targets > 0
    logits = torch.cat(
        [listed.masked_fill(~here, -torch.inf), others.masked_fill(~may, -torch.inf)], 1
    )
    empty = ~here.any(1)
    logits = torch.where(empty[:, None], 0.0, logits / t)
    share = targets / targets.sum(1, keepdim=True).clamp_min(1e-12)
    logs = logits.log_softmax(1)[:, : listed.shape[1]]
    return -(share * torch.where(here, logs, 0.0)).sum(1)

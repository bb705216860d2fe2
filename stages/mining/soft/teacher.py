"""A frozen teacher's view of an anchor: shares over its nearest samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from ....manifests.schema import NO_ID, Reason, Role
from ....manifests.vectors import pair_similarity
from ..base import TAKEN, Block, Decisions, refuse
from ..base_graph import GraphMiner, spaces_of

SHARE_FLOOR = 1e-6
"""Shares below it are refused: they are lost in float32 and train nothing."""


class Teacher(GraphMiner):
    """Soft targets: softmax of a frozen space's similarities over the anchor's list.

    Fang et al., SEED: Self-supervised Distillation for Visual Representation, 2021, eq. 2-4:
    p(j | i) = exp(s_ij / t) / sum_k exp(s_ik / t), which the student's own softmax is trained
    towards. The paper's k runs over a queue; here it runs over the anchor's `k` nearest of the
    whole corpus, the anchor itself among them where `with_self` is set.

    Sobal et al., X-Sample Contrastive Loss (X-CLR), 2025, eq. 4: the same with similarities of
    captions as the teacher, over the batch; a graph of captions is that teacher. The target of an
    image is then itself most of all, so `with_self` belongs to it.

    Fidelity: exact, but for the tail behind the `k` nearest, whose share is spread over the list.

    Traps: SEED's code has t = 1e-4 as a default, at which the target is one-hot; its paper 0.01.
    A temperature belongs to a space. An anchor without a vector has no target.
    """

    role = Role.SOFT
    fidelity = "exact"
    paper = "Fang et al., SEED, 2021; Sobal et al., X-Sample Contrastive Loss, 2025"
    allows_self = True

    k: int = Field(default=16, ge=1, le=2048)
    """How many of the nearest share the target."""
    t: float = Field(default=0.01, gt=0)
    """Temperature of the teacher."""
    with_self: bool = True
    """The anchor itself is one of its list."""

    @property
    def space_names(self) -> Sequence[str]:
        """Both spaces of the graph, where the anchor's own similarity is needed."""
        return spaces_of(self.space) if self.with_self else ()

    @property
    def capacity(self) -> int:
        """The list, and the anchor itself."""
        return self.k + self.with_self

    def mine(self, block: Block) -> Decisions:
        """Take the list as far as its shares count; weights are the shares, largest first."""
        ids, similarities = block.graphs[self.space].rows(block.anchors, self.k)
        if self.with_self:
            ids, similarities = self._own_first(block, ids, similarities)
        logits = np.where(ids == NO_ID, -np.inf, similarities.astype(np.float64) / self.t)
        top = logits.max(axis=1, initial=-np.inf, keepdims=True)
        shares = np.exp(logits - np.where(np.isfinite(top), top, 0))
        total = shares.sum(axis=1, keepdims=True)
        shares = (shares / np.where(total > 0, total, 1)).astype(np.float32)
        reasons = np.full(ids.shape, TAKEN)
        refuse(reasons, shares < SHARE_FLOOR, Reason.NO_SHARE)
        ranks = np.broadcast_to(np.arange(ids.shape[1], dtype=np.int32), ids.shape)
        return Decisions(ids, reasons, similarities, ranks, weights=shares)

    def _own_first(
        self, block: Block, ids: np.ndarray, similarities: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Put the anchor where its own similarity belongs; first, if both spaces are one."""
        query, bank = (block.vectors[name].rows(block.anchors) for name in self.space.split(">"))
        seen = query.any(axis=1) & bank.any(axis=1)
        own = np.where(seen, pair_similarity(query, bank), 0).astype(np.float32)[:, None]
        ids = np.concatenate([np.where(seen, block.anchors, NO_ID)[:, None], ids], axis=1)
        similarities = np.concatenate([own, similarities], axis=1)
        order = np.lexsort((ids, -similarities, ids == NO_ID), axis=1)
        taken = np.take_along_axis(ids, order, axis=1)
        return taken, np.take_along_axis(similarities, order, axis=1)

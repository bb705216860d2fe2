"""Samples of the anchor's label are its positives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from ....manifests.schema import Role
from ..base import TAKEN, Block, Decisions, Miner, Pool, by_similarity, draw_members, measured
from ..base_graph import GRAPH_NAME, spaces_of


class Label(Miner):
    """Supervised positives: a few samples of the same label, drawn evenly without replacement.

    Khosla et al., Supervised Contrastive Learning (SupCon), 2020, eq. 2 (L_out): P(i) is the set
    of samples with the label of i. All pairs would be quadratic, so each anchor draws `count` of
    its class: an unbiased sample of P(i), exactly `count` of them wherever the class (within the
    anchor's split, without its near-duplicates) has that many.

    With `by: labels` a sample is of the same kind if it shares at least one label; it is drawn
    with a probability that grows with the number of labels shared, and its weight is the Jaccard
    index of the two sets.

    Fidelity: exact (labels do not move during training).

    Traps: a class of one sample has no positive (`self_aug` fills); a missing label is no class;
    labels say nothing of similarity, so similarities are stored only if `space` is given.
    """

    role = Role.POSITIVE
    fidelity = "exact"
    paper = "Khosla et al., Supervised Contrastive Learning, 2020"

    count: int = Field(default=4, ge=1, le=256)
    """Positives an anchor."""
    by: Literal["label", "labels"] = "label"
    """Same first label, or at least one label in common."""
    space: str | None = Field(default=None, pattern=GRAPH_NAME)
    """Spaces QUERY>BANK in which similarities are noted; it does not change what is drawn."""

    @property
    def columns(self) -> Sequence[str]:
        """The label column and what keeps splits and duplicates apart."""
        return (self.by, "split", "group_id")

    @property
    def space_names(self) -> Sequence[str]:
        """The two spaces of `space`."""
        return spaces_of(self.space) if self.space else ()

    @property
    def edge_space(self) -> str:
        """The given spaces, or ""."""
        return self.space or ""

    @property
    def capacity(self) -> int:
        """As many as are drawn."""
        return self.count

    def mine(self, block: Block) -> Decisions:
        """Draw `count` of each anchor's kind; all that is drawn is taken."""
        index = block.samples.rows_with(self.by, "split", "group_id")
        if self.by == "labels":
            entries = block.samples.sets("labels").entries(block.anchors)
        else:
            entries = block.anchors[:, None]
        pool = Pool.around(index, entries, depth=2)
        ids = draw_members(pool, block.seed, block.anchors, "label", self.count)
        similarities = measured(block, self.space, ids)
        if self.space:
            ids, similarities = by_similarity(ids, similarities)
        weights = None
        if self.by == "labels":
            weights = block.samples.sets("labels").jaccard(block.anchors, ids)
        ranks = np.broadcast_to(np.arange(ids.shape[1], dtype=np.int32), ids.shape)
        return Decisions(ids, np.full(ids.shape, TAKEN), similarities, ranks, weights)

"""Candidates of the anchor's own label are false negatives: what labels could give at best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from ....manifests.schema import Reason, Role
from ..base import TAKEN, Block, Decisions, contains, refuse
from ..base_graph import ActingMiner
from ..base_lists import ranks_of


class Label(ActingMiner):
    """The oracle among detectors: a near candidate that shares a label is a false negative.

    Chuang et al., Debiased Contrastive Learning, 2020, §3, compare with negatives from which the
    anchor's label is left out (unbiased, by labels). Looked at are the k nearest, because hard
    negatives come from them; `mask_groups: [label]` is the form for all pairs.

    Fidelity: exact.

    Traps: an upper bound for comparisons, not a method: it uses what is to be learned. A sample
    without labels has no false negatives and is nobody's.
    """

    role = Role.FALSE_NEGATIVE
    fidelity = "exact"
    paper = "Chuang et al., Debiased Contrastive Learning, 2020"

    k: int = Field(default=32, ge=1, le=2048)
    """How many of the nearest are looked at."""

    @property
    def columns(self) -> Sequence[str]:
        """The labels."""
        return ("labels",)

    def mine(self, block: Block) -> Decisions:
        """Decide about the k nearest."""
        ids, similarities = block.graphs[self.space].rows(block.anchors, self.k)
        reasons = np.full(ids.shape, TAKEN)
        refuse(reasons, contains(block.positives.ids, ids), Reason.POSITIVE)
        shared = block.samples.sets("labels").shared(block.anchors, ids)
        refuse(reasons, shared == 0, Reason.OTHER_LABEL)
        return Decisions(ids, reasons, similarities, ranks_of(ids), action=str(self.action))

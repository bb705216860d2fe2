"""The nearest candidates above a threshold are false negatives."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from ....manifests.schema import NO_ID, Action, Reason, Role
from ..base import TAKEN, Block, Decisions, contains, is_mutual, refuse
from ..base_graph import ActingMiner

Similarity = Annotated[float, Field(ge=-1, le=1)]


class TopkThreshold(ActingMiner):
    """False negative cancellation: among the k nearest AND above a threshold.

    Huynh et al., Boosting Contrastive Self-Supervised Learning with False Negative Cancellation
    (FNC), 2022, §3.2-3.3: both conditions together beat either alone (k = 10, 0.7 in their space).
    Eliminated ones leave the denominator, attracted ones also become positives.

    Fidelity: frozen detector. The paper scores with the moving encoder over several views; here
    one frozen vector a sample.

    Traps: 0.7 belongs to the paper's space; `threshold: calibrated` finds the value at which this
    corpus's labels or captions agree often enough (attract: 90 %, otherwise 50 %). The relation is
    not symmetric, because the lists are cut at k; `symmetrise: and` keeps pairs that find each
    other. An anchor's positives are refused here: they are masked as positives already.
    """

    role = Role.FALSE_NEGATIVE
    fidelity = "frozen-detector"
    paper = (
        "Huynh et al., Boosting Contrastive Self-Supervised Learning with False Negative "
        "Cancellation, 2022"
    )

    k: int = Field(default=10, ge=1, le=2048)
    """How many of the nearest are looked at."""
    threshold: Similarity | Literal["calibrated"] = "calibrated"
    """Similarity from which a candidate is a false negative."""
    symmetrise: Literal["none", "and"] = "none"
    """and: only pairs in which each finds the other among its k nearest."""
    uncalibrated: Literal["fail", "skip"] = "fail"
    """What to do where neither labels nor captions can calibrate: stop, or find none."""

    @property
    def wants_thresholds(self) -> bool:
        """Only when they are calibrated."""
        return self.threshold == "calibrated"

    @property
    def needs_truth(self) -> bool:
        """Unless `uncalibrated: skip`."""
        return self.wants_thresholds and self.uncalibrated == "fail"

    def mine(self, block: Block) -> Decisions:
        """Decide about the k nearest; about none where no threshold is precise enough."""
        graph = block.graphs[self.space]
        threshold = self._threshold(block)
        width = 0 if threshold is None else self.k
        ids, similarities = graph.rows(block.anchors, width)
        reasons = np.full(ids.shape, TAKEN)
        refuse(reasons, contains(block.positives.ids, ids), Reason.POSITIVE)
        if threshold is not None:
            below = similarities.astype(np.float64) < threshold
            refuse(reasons, below, Reason.THRESHOLD)
        if self.symmetrise == "and":
            asked = np.where(reasons == TAKEN, ids, NO_ID)
            refuse(reasons, ~is_mutual(graph, block.anchors, asked, self.k), Reason.MUTUALITY)
        ranks = np.broadcast_to(np.arange(ids.shape[1], dtype=np.int32), ids.shape)
        facts = {"threshold": threshold}
        return Decisions(ids, reasons, similarities, ranks, action=str(self.action), facts=facts)

    def _threshold(self, block: Block) -> float | None:
        if self.threshold != "calibrated":
            return float(self.threshold)
        kind = "attract" if self.action is Action.ATTRACT else "eliminate"
        return block.thresholds.get(self.space, {}).get(kind)

"""Three zones of a judge's score: contrast below, set aside between, attract above."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from ....manifests.schema import Action, Reason, Role
from ..base import TAKEN, Block, Decisions, contains, refuse
from ..base_graph import GRAPH_NAME, DetectorMiner
from ..base_lists import ranks_of

Similarity = Annotated[float, Field(ge=-1, le=1)]


class Zones(DetectorMiner):
    """One pass over the nearest candidates that gives each an action by its similarity.

    Byun et al., MAFA: Managing False Negatives for Vision-Language Pre-training, 2024, §3: a
    frozen image-text matching head scores hard negatives; below 0.5 a candidate stays a negative,
    above 0.8 it becomes a positive, between them the next hardest replaces it. Here the judge is
    the similarity in a graph: below `low` refused as a false negative (it may be contrasted), from
    `high` on attracted, between them `between`. With `eliminate` the negative miners, which run
    later and walk down the list, take the next one: the paper's replacement.

    Fidelity: frozen-detector. The judge is a space, not a matching head over both inputs.

    Traps: 0.5 and 0.8 are probabilities of that head and mean nothing for cosines; `calibrated`
    takes the similarities at which labels or captions agree in 50 % (low) and 90 % (high) of
    pairs. Where 90 % is never reached, nothing is attracted.
    """

    role = Role.FALSE_NEGATIVE
    fidelity = "frozen-detector"
    paper = "Byun et al., MAFA: Managing False Negatives for Vision-Language Pre-training, 2024"

    space: str = Field(default="image>image", pattern=GRAPH_NAME)
    """The neighbour graph that judges: QUERY>BANK."""
    k: int = Field(default=10, ge=1, le=2048)
    """How many of the nearest are looked at."""
    low: Similarity | Literal["calibrated"] = "calibrated"
    """Similarity from which a candidate is no plain negative."""
    high: Similarity | Literal["calibrated"] = "calibrated"
    """Similarity from which it is a positive."""
    between: Literal["eliminate", "soften", "review"] = "eliminate"
    """What becomes of those in the middle zone."""
    uncalibrated: Literal["fail", "skip"] = "fail"
    """What to do where neither labels nor captions can calibrate: stop, or find none."""

    @model_validator(mode="after")
    def _check(self) -> Zones:
        numbers = [bound for bound in (self.low, self.high) if bound != "calibrated"]
        if len(numbers) == 2 and numbers[0] > numbers[1]:
            raise ValueError(f"low {self.low} must not be above high {self.high}")
        return self

    @property
    def wants_thresholds(self) -> bool:
        """Only when a bound is calibrated."""
        return "calibrated" in (self.low, self.high)

    @property
    def needs_truth(self) -> bool:
        """Unless `uncalibrated: skip`."""
        return self.wants_thresholds and self.uncalibrated == "fail"

    @property
    def positive_capacity(self) -> int:
        """As many: all may be attracted."""
        return self.k

    def mine(self, block: Block) -> Decisions:
        """Decide about the k nearest; about none where no bound is precise enough."""
        low, high = self._bounds(block)
        width = 0 if low is None else self.k
        ids, similarities = block.graphs[self.space].rows(block.anchors, width)
        reasons = np.full(ids.shape, TAKEN)
        refuse(reasons, contains(block.positives.ids, ids), Reason.POSITIVE)
        exact = similarities.astype(np.float64)
        if low is not None:
            refuse(reasons, exact < low, Reason.THRESHOLD)
        attracted = exact >= (np.inf if high is None else high)
        actions = np.where(attracted, str(Action.ATTRACT), self.between)
        facts = {"threshold": low, "attract_from": high}
        return Decisions(ids, reasons, similarities, ranks_of(ids), actions=actions, facts=facts)

    def _bounds(self, block: Block) -> tuple[float | None, float | None]:
        found = block.thresholds.get(self.space, {})
        low = found.get("eliminate") if self.low == "calibrated" else float(self.low)
        high = found.get("attract") if self.high == "calibrated" else float(self.high)
        if low is None:
            # What is surely the same is so also where the lower bound is unknown.
            low = high
        if low is not None and high is not None:
            high = max(low, high)
        return low, high

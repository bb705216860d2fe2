"""The nearest candidates above a threshold are false negatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from ....manifests.schema import NO_ID, Action, Reason, Role
from ....manifests.views import score_name, view_graphs
from ..base import TAKEN, Block, Decisions, contains, is_mutual, refuse
from ..base_graph import ActingMiner
from ..base_lists import found_or_measured, joined_scores, ranks_of, union_of_lists

Similarity = Annotated[float, Field(ge=-1, le=1)]


class TopkThreshold(ActingMiner):
    """False negative cancellation: among the k nearest AND above a threshold.

    Huynh et al., Boosting Contrastive Self-Supervised Learning with False Negative Cancellation
    (FNC), 2022, §3.2-3.3: both conditions together beat either alone (k = 10, 0.7 in their space).
    Eliminated ones leave the denominator, attracted ones also become positives.

    With `views`, an anchor is scored by its support set (§3.3): the score of a candidate is the
    largest (or the mean) of its similarities to the whole picture and to so many random crops of
    the anchor, each an embedded space of its own (SPACE-view1, SPACE-view2, ...). Looked at are the
    k of largest score. With `max` they are the k best of the whole corpus: what is among them is
    among the k nearest of the view that it is most similar to. With `mean` they are the k best of
    all that some view lists. The score is column `corrected_similarity`.

    Fidelity: frozen detector. The paper scores with the moving encoder, over ten views of the
    anchor and of the candidates too; here candidates are whole pictures.

    Traps: 0.7 belongs to the paper's space; `threshold: calibrated` finds the value at which this
    corpus's labels or captions agree often enough (attract: 90 %, otherwise 50 %). The relation is
    not symmetric, because the lists are cut at k; `symmetrise: and` keeps pairs that find each
    other. Scores over views are larger than similarities of whole pictures, so they are calibrated
    for themselves; each view costs one more embedding and one more graph. An anchor's positives are
    refused here: they are masked as positives already.
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
    views: int = Field(default=0, ge=0, le=64)
    """Crops of the anchor that score candidates beside its whole picture; the paper has 8 more."""
    aggregate: Literal["max", "mean"] = "max"
    """How the similarities to the views become one score; the paper's best: max."""

    @model_validator(mode="after")
    def _check(self) -> TopkThreshold:
        if self.views and self.symmetrise != "none":
            raise ValueError(
                "symmetrise goes by the graph of whole pictures, so it cannot go with views"
            )
        return self

    @property
    def graph_names(self) -> Sequence[str]:
        """The graph, and one a view."""
        return (self.space, *view_graphs(self.space, self.views))

    @property
    def space_names(self) -> Sequence[str]:
        """All their spaces, where there are views: what no list holds is measured."""
        names = [name for graph in self.graph_names for name in graph.split(">")]
        return tuple(dict.fromkeys(names)) if self.views else ()

    @property
    def threshold_names(self) -> Sequence[str]:
        """The score."""
        return (self._score,) if self.wants_thresholds else ()

    @property
    def _score(self) -> str:
        return score_name(self.space, self.views, self.aggregate)

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
        if self.views:
            ids, similarities, scores = self._by_views(block, width)
        else:
            ids, similarities = graph.rows(block.anchors, width)
            scores = similarities
        reasons = np.full(ids.shape, TAKEN)
        refuse(reasons, contains(block.positives.ids, ids), Reason.POSITIVE)
        if threshold is not None:
            below = scores.astype(np.float64) < threshold
            refuse(reasons, below, Reason.THRESHOLD)
        if self.symmetrise == "and":
            asked = np.where(reasons == TAKEN, ids, NO_ID)
            refuse(reasons, ~is_mutual(graph, block.anchors, asked, self.k), Reason.MUTUALITY)
        return Decisions(
            ids,
            reasons,
            similarities,
            ranks_of(ids),
            corrected=scores if self.views else None,
            action=str(self.action),
            facts={"threshold": threshold},
        )

    def _by_views(self, block: Block, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return ids, similarities in the graph and scores [A, width] by falling score."""
        lists = [block.graphs[name].rows(block.anchors, width) for name in self.graph_names]
        ids = union_of_lists([listed for listed, _ in lists])
        found = [
            found_or_measured(name, block.vectors, block.anchors, ids, both)
            for name, both in zip(self.graph_names, lists, strict=True)
        ]
        scores = joined_scores(found, self.aggregate)
        order = np.lexsort((ids, -scores, ids == NO_ID))[:, :width]
        ids, similarities, scores = (
            np.take_along_axis(part, order, axis=1) for part in (ids, found[0], scores)
        )
        return ids, similarities, scores

    def _threshold(self, block: Block) -> float | None:
        if self.threshold != "calibrated":
            return float(self.threshold)
        kind = "attract" if self.action is Action.ATTRACT else "eliminate"
        return block.thresholds.get(self._score, {}).get(kind)

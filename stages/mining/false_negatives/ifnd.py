"""Samples of one accepted cluster are false negatives; ever more are accepted during training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field, model_validator

from ....manifests.schema import NO_ID, Action, Reason, Role
from ..base import TAKEN, Block, Decisions, contains, refuse
from ..base_graph import GRAPH_NAME, DetectorMiner


class Ifnd(DetectorMiner):
    """Incremental false negative detection: clusters mask pairs once both ends are accepted.

    Chen et al., Incremental False Negative Detection for Contrastive Learning (IFND), 2022, §3.2:
    of all samples, the share r(p) that is most confident of its cluster is accepted at training
    progress p; two accepted samples of one cluster leave each other's denominator. A share is
    held against the integer accept rank of a sample (algorithms.md §3.6): accepted exactly if
    rank < floor(r(p) * N), with r(p) = first + (last - first) * p.

    All pairs of a cluster would be quadratic, so they are no edges: the manifest's
    `mask_schedules` names the columns `cluster_id` and `accept_rank`, from which a trainer makes
    the mask. Edges are written for the `k` nearest neighbours of each anchor: for people, for
    `verify`, for negatives (which leave them out) and for `false_negative_ids`. Their
    `valid_from` is the progress at which the later of the two is accepted.

    Fidelity: frozen detector. The paper clusters again every epoch with the momentum encoder.

    Traps: a float share accepts one sample too many, so the mask compares ranks; `valid_from` is
    rounded up, never down. Too few clusters mask true negatives.
    """

    role = Role.FALSE_NEGATIVE
    fidelity = "frozen-detector"
    paper = "Chen et al., Incremental False Negative Detection for Contrastive Learning, 2022"

    clusters: str = "image"
    """The set of clusters."""
    level: int = Field(default=0, ge=0)
    """Its level; 0 is the finest."""
    first: float = Field(default=0.0, ge=0, le=1)
    """Share of samples accepted at the start of training."""
    last: float = Field(default=1.0, ge=0, le=1)
    """Share of samples accepted at its end; it grows linearly."""
    space: str = Field(default="image>image", pattern=GRAPH_NAME)
    """The neighbour graph of the pairs that are written as edges: QUERY>BANK."""
    k: int = Field(default=16, ge=1, le=2048)
    """How many of the nearest become edges."""

    @model_validator(mode="after")
    def _growing(self) -> Ifnd:
        if self.last < self.first:
            raise ValueError("`last` must not be below `first`: acceptance only grows")
        return self

    @property
    def cluster_names(self) -> Sequence[str]:
        """The one set."""
        return (self.clusters,)

    @property
    def cluster_level(self) -> int:
        """The level."""
        return self.level

    @property
    def acceptance(self) -> tuple[float, float]:
        """Shares accepted at the start and at the end."""
        return (self.first, self.last)

    @property
    def is_scheduled(self) -> bool:
        """Always: acceptance grows."""
        return True

    @property
    def positive_capacity(self) -> int:
        """None: it only masks."""
        return 0

    def mine(self, block: Block) -> Decisions:
        """Say of the k nearest which share an accepted cluster, and from when on."""
        clusters = block.clusters[self.clusters]
        ids, similarities = block.graphs[self.space].rows(block.anchors, self.k)
        reasons = np.full(ids.shape, TAKEN)
        own = clusters.take(block.anchors, self.level)[:, None]
        refuse(reasons, contains(block.positives.ids, ids), Reason.POSITIVE)
        different = (own == NO_ID) | (clusters.take(ids, self.level) != own)
        refuse(reasons, different, Reason.OTHER_CLUSTER)
        ranks = np.maximum(
            clusters.accept_rank(ids, self.level),
            clusters.accept_rank(block.anchors, self.level)[:, None],
        )
        late = ranks >= np.floor(self.last * clusters.ranked)
        refuse(reasons, late, Reason.NOT_ACCEPTED)
        return Decisions(
            ids,
            reasons,
            similarities,
            np.broadcast_to(np.arange(ids.shape[1], dtype=np.int32), ids.shape),
            action=str(Action.ELIMINATE),
            valid_from=self._progress(ranks, clusters.ranked, reasons == TAKEN),
        )

    def _progress(self, ranks: np.ndarray, ranked: int, taken: np.ndarray) -> np.ndarray:
        """Return the progress at which a rank is accepted, float32, rounded up; 0 if not taken."""
        share = (ranks + 1) / max(ranked, 1)
        span = max(self.last - self.first, np.finfo(np.float64).tiny)
        progress = np.where(taken & (share > self.first), (share - self.first) / span, 0.0)
        progress = np.clip(progress, 0.0, 1.0)
        near = progress.astype(np.float32)
        # Rounding down would promise a mask before its rank is accepted.
        return np.where(near < progress, np.nextafter(near, np.float32(2)), near)

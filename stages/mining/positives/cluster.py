"""Samples of the anchor's cluster are its positives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from ....manifests.schema import Role
from ..base import TAKEN, Block, Decisions, Miner, Pool, by_similarity, draw_members, measured
from ..base_graph import GRAPH_NAME, spaces_of


class Cluster(Miner):
    """Pseudo-labels: a few samples of the anchor's cluster, drawn evenly without replacement.

    Caron et al., Deep Clustering for Unsupervised Learning of Visual Features (DeepCluster),
    2018, §3.2: clusters stand for classes. Panambur et al., Self-supervised Learning to Guide
    Scientifically Relevant Categorization of Martian Terrain Images, 2022: PCA-whitened features,
    k-means, positives of one cluster. Alwassel et al., Self-Supervised Learning by Cross-Modal
    Audio-Video Clustering (XDC), 2020: the clusters are those of the other modality, so set
    `clusters` to a set over another space than the encoder that is trained sees.

    As with labels, all pairs of a cluster would be quadratic, so each anchor draws `count` of its
    cluster: exactly that many wherever the cluster (within the anchor's split, without its
    near-duplicates) has them.

    Fidelity: frozen detector. The papers cluster again every epoch with the encoder that is being
    trained.

    Traps: a cluster of one has no positive (`self_aug` fills); a sample without a vector is in no
    cluster; clusters differ in size, so large ones are seen more often unless batches are
    balanced by `cluster_id`.
    """

    role = Role.POSITIVE
    fidelity = "frozen-detector"
    paper = "Caron et al., Deep Clustering for Unsupervised Learning of Visual Features, 2018"

    clusters: str = "image"
    """The set of clusters."""
    level: int = Field(default=0, ge=0)
    """Its level; 0 is the finest."""
    count: int = Field(default=4, ge=1, le=256)
    """Positives an anchor."""
    space: str | None = Field(default=None, pattern=GRAPH_NAME)
    """Spaces QUERY>BANK in which similarities are noted; it does not change what is drawn."""

    @property
    def cluster_names(self) -> Sequence[str]:
        """The one set."""
        return (self.clusters,)

    @property
    def cluster_level(self) -> int:
        """The level."""
        return self.level

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
        """Draw `count` of each anchor's cluster; all that is drawn is taken."""
        members = block.clusters[self.clusters].members(self.level)
        pool = Pool.around(members, block.anchors[:, None], depth=2)
        ids = draw_members(pool, block.seed, block.anchors, "cluster", self.count)
        similarities = measured(block, self.space, ids)
        if self.space:
            ids, similarities = by_similarity(ids, similarities)
        ranks = np.broadcast_to(np.arange(ids.shape[1], dtype=np.int32), ids.shape)
        return Decisions(ids, np.full(ids.shape, TAKEN), similarities, ranks)

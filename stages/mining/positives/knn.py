"""The nearest neighbours of an anchor are its positives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import Field, model_validator

from ....manifests.schema import NO_ID, Reason, Role
from ..base import TAKEN, Block, Decisions, is_mutual, keep_first, refuse
from ..base_graph import GraphMiner
from ..base_lists import HubCuts, Preparation, Templates, keeps


class Knn(GraphMiner):
    """Nearest neighbours in a frozen space, optionally mutual ones only.

    Dwibedi et al., With a Little Help from My Friends (NNCLR), 2021, eq. 1: NN(z, Q) =
    argmin |z - q|, k = 1. Koohpayegani et al., Mean Shift for Self-Supervised Learning (MSF),
    2021: the k nearest. Mutual neighbours (j in kNN(i) and i in kNN(j)) drop hubs and many wrong
    edges at the price of anchors without any. El Banani, Desai, Johnson, Learning Visual
    Representations via Language-Guided Sampling (LGSimCLR), 2023: the nearest by caption, k = 1;
    Li et al. (DeCLIP), 2022: the nearest caption is a positive of the image; Feizi et al.
    (GPS-SSL), 2024: the nearest in any prior's space. For these, name another space. Tejankar et
    al., Constrained Mean Shift (CMSF), 2022: with `within`, only candidates of the anchor's own
    cluster count, so that they are distant and yet of its kind; the k nearest of them may stand
    behind rank k (CMSF-KM: 50,000 clusters).

    Fidelity: frozen detector. The papers search a queue of the encoder that is being trained;
    here the space is fixed, so neighbours are better early and do not improve later.

    Traps: the papers' k counts the anchor itself (MSF) or an earlier copy of it (NNCLR's queue);
    here it never does: self and near-duplicates are no neighbours. Mutual is not symmetric for
    lists cut at different k, so both directions use the same k. Equal captions have similarity 1
    and say nothing (`max_similarity`), and a template such as "image of" becomes everybody's
    neighbour: `hub_cap` (those that list it are ranked by similarity, and the first keep it), or
    `templates`, which refuses captions of templates that many share for what they say.
    """

    role = Role.POSITIVE
    fidelity = "frozen-detector"
    paper = "Dwibedi et al., With a Little Help from My Friends, 2021"

    k: int = Field(default=5, ge=1, le=2048)
    """How many of the nearest are looked at."""
    mutual: bool = False
    """Take only those that have the anchor among their own k nearest."""
    min_similarity: float | None = Field(default=None, ge=-1, le=1)
    """Refuse what is less similar than this."""
    within: str | None = None
    """A set of clusters: look at the k nearest of the anchor's cluster, as far as its list goes."""
    level: int = Field(default=0, ge=0)
    """Level of these clusters; 0 is the finest."""
    max_similarity: float | None = Field(default=None, ge=-1, le=1)
    """Refuse what is more similar than this: equal captions, say, at 0.999."""
    hub_cap: int | None = Field(default=None, ge=1)
    """How many anchors may list one sample among their k nearest; the less similar are refused."""
    templates: int | None = Field(default=None, ge=1)
    """How many samples may share a template of captions; others are refused, and find none."""

    @model_validator(mode="after")
    def _check(self) -> Knn:
        if self.within and self.hub_cap is not None:
            raise ValueError("hub_cap counts the k nearest of all, so it cannot go with within")
        return self

    @property
    def cluster_names(self) -> Sequence[str]:
        """The clusters of `within`."""
        return (self.within,) if self.within else ()

    @property
    def cluster_level(self) -> int:
        """The level."""
        return self.level

    @property
    def preparations(self) -> Mapping[str, Preparation]:
        """Who lists whom, if hubs are capped; whose captions are of templates, if these are."""
        found: dict[str, Preparation] = {}
        if self.hub_cap is not None:
            found[self._hubs] = HubCuts(graph=self.space, k=self.k, cap=self.hub_cap)
        if self.templates is not None:
            found[self._templates] = Templates(limit=self.templates)
        return found

    @property
    def _templates(self) -> str:
        return f"templates:{self.templates}"

    @property
    def _hubs(self) -> str:
        return f"hubs:{self.space}:{self.k}:{self.hub_cap}"

    @property
    def capacity(self) -> int:
        """As many as are looked at."""
        return self.k

    def mine(self, block: Block) -> Decisions:
        """Take the first k of the anchor's list, as far as the settings allow."""
        graph = block.graphs[self.space]
        ids, similarities = graph.rows(block.anchors, None if self.within else self.k)
        reasons = np.full(ids.shape, TAKEN)
        if self.within:
            clusters = block.clusters[self.within]
            own = clusters.take(block.anchors, self.level)[:, None]
            other = clusters.take(ids, self.level)
            refuse(reasons, (own == NO_ID) | (other != own), Reason.OTHER_CLUSTER)
            ids = keep_first(ids, reasons, self.k)
        if self.min_similarity is not None:
            refuse(reasons, similarities < self.min_similarity, Reason.MIN_SIMILARITY)
        if self.max_similarity is not None:
            refuse(reasons, similarities > self.max_similarity, Reason.MAX_SIMILARITY)
        if self.templates is not None:
            refuse(reasons, self._of_templates(block, ids), Reason.TEMPLATE)
        if self.hub_cap is not None:
            kept = keeps(block.prepared[self._hubs], block.anchors, ids, similarities)
            refuse(reasons, ~kept, Reason.HUB_CAP)
        if self.mutual:
            asked = np.where(reasons == TAKEN, ids, NO_ID)
            refuse(reasons, ~is_mutual(graph, block.anchors, asked, self.k), Reason.MUTUALITY)
        ranks = np.broadcast_to(np.arange(ids.shape[1], dtype=np.int32), ids.shape)
        return Decisions(ids, reasons, similarities, ranks)

    def _of_templates(self, block: Block, ids: np.ndarray) -> np.ndarray:
        """Say for each candidate whether its caption or its anchor's is of a template."""
        flags = block.prepared[self._templates]
        there = ids != NO_ID
        found = there & flags.rows(block.anchors)[0].astype(bool)
        found[there] |= flags.rows(ids[there])[0][:, 0].astype(bool)
        return found

"""Neighbours by a second, differently augmented bank, ranked by the first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field, model_validator

from ....manifests.schema import NO_ID, Reason, Role
from ..base import TAKEN, Block, Decisions, Miner, keep_first, refuse
from ..base_graph import GRAPH_NAME, spaces_of
from ..base_lists import found_or_measured, ranks_of


class SecondBank(Miner):
    """Of the nearest in a second bank, those that are nearest in the first.

    Navaneet et al., Constrained Mean Shift Using Distant Yet Related Neighbors for Representation
    Learning (CMSF), 2022, §3.2, CMSF-2Q: the k' nearest of the anchor's previous augmentation among
    the previous augmentations of all samples constrain the search; the k nearest of them in the
    current bank are the positives. Such a set holds samples that are not the nearest, and yet
    related. Here the second bank is another space of the same pictures: a crop
    ("image-view1>image-view1", see `spaces.NAME.view`), or another encoder's.

    Fidelity: frozen detector. In the paper both banks are of the encoder that is being trained.

    Traps: the paper's k and k' count the anchor itself, this miner's do not; with k = k' nothing is
    ranked, the second bank's neighbours are all taken. The paper adds the loss over the plain k
    nearest with equal weight: give `knn` too. Near-duplicates are found in the first space, so a
    crop of one does not stand in a list.
    """

    role = Role.POSITIVE
    fidelity = "frozen-detector"
    paper = (
        "Navaneet et al., Constrained Mean Shift Using Distant Yet Related Neighbors for "
        "Representation Learning, 2022"
    )

    space: str = Field(default="image>image", pattern=GRAPH_NAME)
    """The first bank's graph: QUERY>BANK."""
    second: str = Field(default="image-view1>image-view1", pattern=GRAPH_NAME)
    """The second bank's graph, whose nearest are looked at."""
    k: int = Field(default=4, ge=1, le=256)
    """Positives an anchor."""
    k2: int = Field(default=4, ge=1, le=2048)
    """How many of the nearest of the second bank are looked at."""

    @model_validator(mode="after")
    def _check(self) -> SecondBank:
        if self.second == self.space:
            raise ValueError(f"second {self.second}: another graph than space is needed")
        if self.k > self.k2:
            raise ValueError(f"k {self.k} must not be above k2 {self.k2}")
        return self

    @property
    def graph_names(self) -> Sequence[str]:
        """Both graphs, the first bank's first."""
        return (self.space, self.second)

    @property
    def space_names(self) -> Sequence[str]:
        """The spaces of the first graph: what its lists do not hold is measured there."""
        return spaces_of(self.space)

    @property
    def capacity(self) -> int:
        """As many as are taken."""
        return self.k

    def mine(self, block: Block) -> Decisions:
        """Rank the second bank's nearest by the first and take the first k."""
        ids = block.graphs[self.second].rows(block.anchors, self.k2)[0]
        lists = block.graphs[self.space].rows(block.anchors)
        found = found_or_measured(self.space, block.vectors, block.anchors, ids, lists)
        lacking: np.ndarray = np.isnan(found)
        order = np.lexsort((ids, np.where(lacking, np.inf, -found), ids == NO_ID))
        ids, found, lacking = (
            np.take_along_axis(part, order, axis=1) for part in (ids, found, lacking)
        )
        reasons = np.full(ids.shape, TAKEN)
        refuse(reasons, lacking, Reason.NO_VECTOR)
        first = keep_first(ids, reasons, self.k)
        refuse(reasons, (reasons == TAKEN) & (first == NO_ID), Reason.NOT_CHOSEN)
        return Decisions(ids, reasons, found, ranks_of(ids))

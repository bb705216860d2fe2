"""Positives by k-reciprocal re-ranking: whose neighbourhoods are the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import Field, model_validator

from ....manifests.schema import NO_ID, Reason, Role
from ..base import TAKEN, Block, Decisions, Miner, keep_first, refuse
from ..base_lists import Encodings, Preparation, jaccard_distances, ranks_of


class KReciprocal(Miner):
    """The candidates of smallest re-ranked distance, a mix of Jaccard distance and cosine.

    Zhong, Zheng, Cao, Li, Re-ranking Person Re-identification with k-reciprocal Encoding, 2017:
    eq. 12, d* = (1 - lambda) d_J + lambda d, with d_J of expanded k-reciprocal encodings (see
    `mining.reciprocal`), k1 = 20, k2 = 6, lambda = 0.3. Re-ranked are the first `k` of the
    anchor's list; column `corrected_similarity` is 1 - d*.

    Fidelity: exact over the neighbour graph, but for the scale of d: the paper divides squared
    distances by the largest of each column of the whole matrix, here by `farthest` (4: opposite
    unit vectors), so that d = (2 - 2 s) / farthest needs no N x N matrix.

    Traps: d_J is symmetric, d* too, but the lists are not. What stands in no list of the anchor
    is not looked at, though its d_J may be small. Needs a graph of one space with itself and
    k >= k1; the encodings take about 1 KB a sample on the disk.
    """

    role = Role.POSITIVE
    fidelity = "exact"
    paper = "Zhong et al., Re-ranking Person Re-identification with k-reciprocal Encoding, 2017"

    space: str = Field(default="image>image", pattern=r"^[^>]+>[^>]+$")
    """The neighbour graph of a space with itself: SPACE>SPACE."""
    k: int = Field(default=20, ge=1, le=2048)
    """How many of the nearest are re-ranked."""
    count: int = Field(default=5, ge=1, le=256)
    """Positives an anchor."""
    k1: int = Field(default=20, ge=2, le=256)
    """Size of the reciprocal sets."""
    k2: int = Field(default=6, ge=1, le=256)
    """Samples in the mean of an expanded encoding, itself included; 1 for none."""
    blend: float = Field(default=0.3, ge=0, le=1)
    """The paper's lambda: the share of the cosine's distance."""
    farthest: float = Field(default=4.0, gt=0, le=4)
    """The squared distance of unit vectors that counts as 1."""
    max_distance: float | None = Field(default=None, ge=0, le=2)
    """Refuse what is farther than this after re-ranking."""

    @model_validator(mode="after")
    def _check(self) -> KReciprocal:
        if len(set(self.space.split(">"))) != 1:
            raise ValueError(f"space {self.space}: a graph of one space with itself is needed")
        return self

    @property
    def graph_names(self) -> Sequence[str]:
        """The one graph."""
        return (self.space,)

    @property
    def space_names(self) -> Sequence[str]:
        """The space: members outside a list are measured there."""
        return (self.space.split(">")[0],)

    @property
    def preparations(self) -> Mapping[str, Preparation]:
        """The encodings of all samples."""
        name = self.space.split(">")[0]
        return {self._encodings: Encodings(space=name, k1=self.k1, farthest=self.farthest)}

    @property
    def _encodings(self) -> str:
        return f"reciprocal:{self.space.split('>')[0]}:{self.k1}:{self.farthest:g}"

    @property
    def capacity(self) -> int:
        """As many as are taken."""
        return self.count

    def mine(self, block: Block) -> Decisions:
        """Re-rank the first k and take the first `count`."""
        graph = block.graphs[self.space]
        ids, similarities = graph.rows(block.anchors, self.k)
        encodings = block.prepared[self._encodings]
        jaccard = jaccard_distances(graph, encodings, block.anchors, ids, self.k2)
        plain = np.maximum(2 - 2 * similarities.astype(np.float64), 0) / self.farthest
        corrected = (1 - ((1 - self.blend) * jaccard + self.blend * plain)).astype(np.float32)
        order = np.lexsort((ids, -corrected, ids == NO_ID))
        ids, similarities, corrected = (
            np.take_along_axis(part, order, axis=1) for part in (ids, similarities, corrected)
        )
        reasons = np.full(ids.shape, TAKEN)
        if self.max_distance is not None:
            far = 1 - corrected.astype(np.float64) > self.max_distance
            refuse(reasons, far, Reason.DISTANCE)
        ids = keep_first(ids, reasons, self.count)
        return Decisions(ids, reasons, similarities, ranks_of(ids), corrected=corrected)

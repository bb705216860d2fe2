"""False negatives by k-reciprocal re-ranking: whose neighbourhoods are nearly the anchor's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import Field, model_validator

from ....manifests.schema import NO_ID, Action, Reason, Role
from ..base import TAKEN, Block, Decisions, Miner, contains, refuse
from ..base_lists import Encodings, Preparation, jaccard_distances, ranks_of


class KReciprocal(Miner):
    """Candidates whose Jaccard distance of k-reciprocal encodings is at most `max_distance`.

    Zhong, Zheng, Cao, Li, Re-ranking Person Re-identification with k-reciprocal Encoding, 2017,
    eq. 10, used as a detector: d_J is small only where two samples have the same neighbours, so
    a hub that is near to everything is found less often than by a threshold on similarity.
    Column `corrected_similarity` is 1 - d_J.

    Fidelity: frozen-detector. The scale inside the encodings is that of the positive miner of
    this name.

    Traps: d_J is symmetric, but an anchor looks only at its own first `k`. Its value depends on
    k1 and the density of the space: no value fits two corpora.
    """

    role = Role.FALSE_NEGATIVE
    fidelity = "frozen-detector"
    paper = "Zhong et al., Re-ranking Person Re-identification with k-reciprocal Encoding, 2017"

    space: str = Field(default="image>image", pattern=r"^[^>]+>[^>]+$")
    """The neighbour graph of a space with itself: SPACE>SPACE."""
    k: int = Field(default=20, ge=1, le=2048)
    """How many of the nearest are looked at."""
    max_distance: float = Field(default=0.5, ge=0, le=1)
    """Jaccard distance up to which a candidate is a false negative."""
    k1: int = Field(default=20, ge=2, le=256)
    """Size of the reciprocal sets."""
    k2: int = Field(default=6, ge=1, le=256)
    """Samples in the mean of an expanded encoding, itself included; 1 for none."""
    farthest: float = Field(default=4.0, gt=0, le=4)
    """The squared distance of unit vectors that counts as 1."""
    action: Action = Action.ELIMINATE
    """eliminate: never contrast; attract: a positive as well; soften, review: only noted."""

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
        """As many as are looked at."""
        return self.k

    @property
    def positive_capacity(self) -> int:
        """As many, if false negatives become positives."""
        return self.k if self.action is Action.ATTRACT else 0

    def mine(self, block: Block) -> Decisions:
        """Decide about the k nearest."""
        graph = block.graphs[self.space]
        ids, similarities = graph.rows(block.anchors, self.k)
        encodings = block.prepared[self._encodings]
        distance = jaccard_distances(graph, encodings, block.anchors, ids, self.k2)
        corrected = (1 - distance).astype(np.float32)
        order = np.lexsort((ids, -corrected, ids == NO_ID))
        ids, similarities, corrected = (
            np.take_along_axis(part, order, axis=1) for part in (ids, similarities, corrected)
        )
        reasons = np.full(ids.shape, TAKEN)
        refuse(reasons, contains(block.positives.ids, ids), Reason.POSITIVE)
        far = 1 - corrected.astype(np.float64) > self.max_distance
        refuse(reasons, far, Reason.DISTANCE)
        return Decisions(
            ids,
            reasons,
            similarities,
            ranks_of(ids),
            corrected=corrected,
            action=str(self.action),
        )

"""What a guide finds nearer to the anchor than the anchor's own positive is no negative."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from ....manifests.schema import NO_ID, Reason, Role
from ..base import TAKEN, Block, Decisions, contains, is_mutual, refuse
from ..base_graph import GRAPH_NAME, ActingMiner, spaces_of
from ..base_lists import least_positive, ranks_of


class Guide(ActingMiner):
    """Candidates more similar to the anchor than its positive, in the space of a guide.

    Solatorio, GISTEmbed: Guided In-sample Selection of Training Negatives for Text Embedding
    Fine-tuning, 2024, §3: a candidate j is masked where g(i, j) > g(i, p) with the guide's
    similarity g; later trainers subtract a `margin` from the right side. g(i, p) is that of the
    anchor's least similar positive.

    Fidelity: exact+hook. The guide is frozen in the paper too; the paper masks within a batch,
    the trainer here intersects the list with its batch. The list holds the k nearest, so an
    anchor for which all k pass may have more.

    Traps: an anchor whose only positive is another view of itself has g(i, p) = 1, so nothing
    is masked for it. The relation is not symmetric; `symmetrise: and` keeps pairs that find each
    other among their k nearest. The guide may be any space with a graph, not only the one in
    which positives were mined.
    """

    role = Role.FALSE_NEGATIVE
    fidelity = "exact+hook"
    paper = (
        "Solatorio, GISTEmbed: Guided In-sample Selection of Training Negatives for Text "
        "Embedding Fine-tuning, 2024"
    )

    space: str = Field(default="image>image", pattern=GRAPH_NAME)
    """The neighbour graph of the guide: QUERY>BANK."""
    k: int = Field(default=32, ge=1, le=2048)
    """How many of the nearest are looked at."""
    margin: float = Field(default=0.0, ge=-2, le=2)
    """Masked is what is more similar than s_pos - margin."""
    symmetrise: bool = False
    """Only pairs in which each finds the other among its k nearest."""

    @property
    def space_names(self) -> Sequence[str]:
        """Both spaces of the graph: positives outside the list are measured there."""
        return spaces_of(self.space)

    def mine(self, block: Block) -> Decisions:
        """Decide about the k nearest."""
        graph = block.graphs[self.space]
        lists = graph.rows(block.anchors)
        least = least_positive(self.space, block.vectors, block.anchors, block.positives.ids, lists)
        ids, similarities = (part[:, : self.k] for part in lists)
        reasons = np.full(ids.shape, TAKEN)
        refuse(reasons, contains(block.positives.ids, ids), Reason.POSITIVE)
        cut = least.astype(np.float64)[:, None] - self.margin
        refuse(reasons, similarities.astype(np.float64) <= cut, Reason.BELOW_POSITIVE)
        if self.symmetrise:
            asked = np.where(reasons == TAKEN, ids, NO_ID)
            refuse(reasons, ~is_mutual(graph, block.anchors, asked, self.k), Reason.MUTUALITY)
        return Decisions(
            ids,
            reasons,
            similarities,
            ranks_of(ids),
            positive_similarity=least,
            action=str(self.action),
        )

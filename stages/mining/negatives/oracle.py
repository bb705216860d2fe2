"""Samples that an oracle called different are hard negatives."""

from __future__ import annotations

import numpy as np
from pydantic import Field
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ....manifests.people import NO, YES, Answers, known_ids
from ....manifests.schema import NO_ID, Reason, Role
from ..base import TAKEN, Block, Decisions, LabelSets, contains, keep_first, refuse
from ..base_oracle import OracleMiner


class Oracle(OracleMiner):
    """Oracle negatives: the samples for which the answer was no.

    Wang et al., Oracle-guided Contrastive Clustering (OCC), 2022; algorithms.md §2.8. Only pairs
    that were asked; a no is not spread over the components of yes. A no inside a component of yes
    is refused (oracle_conflict): see the positive miner of this name.

    Fidelity: exact.

    Trap: a no says that two samples do not belong together in the orientation that was asked for;
    it says nothing of how alike they look.
    """

    role = Role.NEGATIVE
    fidelity = "exact"
    paper = "Wang et al., Oracle-guided Contrastive Clustering, 2022"

    count: int = Field(default=8, ge=1, le=256)
    """Negatives an anchor, in order of their ids."""

    @property
    def capacity(self) -> int:
        """As many as are taken."""
        return self.count

    def mine(self, block: Block) -> Decisions:
        """Take the first `count` of those that are not the anchor's kind."""
        pairs, component = block.samples.once("pairs", lambda: self._pairs(block))
        places = pairs.entries(block.anchors)
        ids = np.where(places == NO_ID, NO_ID, np.append(pairs.codes, NO_ID)[places])
        ids = ids.astype(np.int64)
        reasons, take = np.full(ids.shape, TAKEN), block.samples.take
        anchors, there = block.anchors[:, None], ids != NO_ID
        same = component[np.maximum(ids, 0)] == component[anchors]
        refuse(reasons, there & same, Reason.ORACLE_CONFLICT)
        refuse(
            reasons, there & (take("group_id", ids) == take("group_id", anchors)), Reason.DUPLICATE
        )
        refuse(reasons, there & (take("split", ids) != take("split", anchors)), Reason.SPLIT)
        refuse(reasons, contains(block.positives.ids, ids), Reason.POSITIVE)
        refuse(reasons, contains(block.false_negatives.ids, ids), Reason.FALSE_NEGATIVE)
        ids = keep_first(ids, reasons, self.count)
        ranks = np.broadcast_to(np.arange(ids.shape[1], dtype=np.int32), ids.shape)
        return Decisions(ids, reasons, np.full(ids.shape, np.nan, np.float32), ranks)

    def _pairs(self, block: Block) -> tuple[LabelSets, np.ndarray]:
        """Return who was called different from whom, and each sample's component of yes."""
        said, count = Answers.read(self.answers, self.until_round), block.samples.count
        keys = [*said.left, *said.right]
        ids = block.samples.ids_of(keys)
        known_ids(self.answers, keys, ids)
        left, right = np.split(ids, 2)
        known = (left != NO_ID) & (right != NO_ID) & (left != right)
        no, yes = known & (said.said == NO), known & (said.said == YES)
        rows, others = np.append(left[no], right[no]), np.append(right[no], left[no])
        ones = np.ones(int(yes.sum()), np.int8)
        graph = coo_array((ones, (left[yes], right[yes])), shape=(count, count))
        component = connected_components(graph, directed=False)[1]
        return LabelSets.of(rows, others, count, count), component

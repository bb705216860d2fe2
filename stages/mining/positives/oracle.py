"""Samples that an oracle called the same, directly or through others, are positives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import Field
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ....manifests.fingerprint import draw_uniform
from ....manifests.people import NO, UNSURE, YES, Answers, known_ids
from ....manifests.sampling import draw_distinct
from ....manifests.schema import NO_ID, Reason, Role
from ..base import TAKEN, Block, Decisions, Pool, RowIndex, refuse
from ..base_oracle import OracleMiner

_NAMED = 10
"""Conflicts that the facts name."""


@dataclass(frozen=True)
class _Closure:
    """Connected samples: rows, their component, whether it is contradicted; and the facts."""

    rows: np.ndarray
    index: RowIndex
    entry: np.ndarray
    contradicted: np.ndarray
    facts: Mapping[str, Any]


class Oracle(OracleMiner):
    """Oracle positives: the transitive closure of yes.

    Wang et al., Oracle-guided Contrastive Clustering (OCC), 2022: an oracle is asked whether two
    samples belong together; the positive set of the contrastive loss grows by each yes. Here, as
    in algorithms.md §2.8, components of the graph of yes answers are the sets, and `count` of an
    anchor's component are drawn evenly.

    A no between two members of a component, or a yes and a no for one pair, is a contradiction:
    at least one answer is wrong, and nothing here knows which. All pairs of that component are
    refused (oracle_conflict) until somebody settles it, and the fact `conflicts` counts them.
    Answers "unsure" are counted and join nothing.

    Fidelity: exact, given the answers; which pairs are asked, `curate ask` decides
    (`manifests.questions`).

    Traps: closure spreads one wrong yes over two whole components. `count` as in `human`.
    """

    role = Role.POSITIVE
    fidelity = "exact"
    paper = "Wang et al., Oracle-guided Contrastive Clustering, 2022"

    count: int = Field(default=64, ge=1, le=256)
    """Positives an anchor."""

    @property
    def capacity(self) -> int:
        """As many as are drawn."""
        return self.count

    def mine(self, block: Block) -> Decisions:
        """Draw `count` of each anchor's component."""
        closure = block.samples.once("closure", lambda: self._closure(block))
        entries = closure.entry[block.anchors] if len(closure.entry) else block.anchors
        pool = Pool.around(closure.index, entries[:, None], 2)
        uniform = draw_uniform(block.seed, block.anchors, "oracle", self.count)
        ids = pool.ids(draw_distinct(uniform, pool.sizes))
        reasons = np.full(ids.shape, TAKEN)
        wrong = np.append(closure.contradicted, False)[entries]
        refuse(reasons, np.broadcast_to(wrong[:, None], ids.shape), Reason.ORACLE_CONFLICT)
        shape = ids.shape
        ranks = np.broadcast_to(np.arange(shape[1], dtype=np.int32), shape)
        nothing = np.full(shape, np.nan, np.float32)
        return Decisions(ids, reasons, nothing, ranks, facts=closure.facts)

    def _closure(self, block: Block) -> _Closure:
        said = Answers.read(self.answers, self.until_round)
        keys = [*said.left, *said.right]
        ids = block.samples.ids_of(keys)
        unknown = known_ids(self.answers, keys, ids)
        left, right = np.split(ids, 2)
        known = (left != NO_ID) & (right != NO_ID)
        yes, no = known & (said.said == YES), known & (said.said == NO)
        rows = np.unique(np.concatenate([left[yes], right[yes]]))
        a, b = (np.searchsorted(rows, side[yes]) for side in (left, right))
        graph = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(len(rows), len(rows)))
        component = connected_components(graph, directed=False)[1] if len(rows) else rows
        conflicts = np.flatnonzero(no)[_joined(rows, component, left[no], right[no])]
        bad = np.unique(component[np.searchsorted(rows, left[conflicts])])
        entry = np.full(block.samples.count, NO_ID, np.int64)
        entry[rows] = np.arange(len(rows))
        codes = [block.samples.take(name, rows) for name in ("split", "group_id")]
        facts = {
            "answers": {"yes": int(yes.sum()), "no": int(no.sum())}
            | {"unsure": int((said.said == UNSURE).sum())},
            "unknown_keys": unknown,
            "components": len(np.unique(component)),
            "conflicts": len(conflicts),
            "conflicting": [[said.left[at], said.right[at]] for at in conflicts[:_NAMED]],
        }
        index = RowIndex.of(rows, [component, *codes])
        return _Closure(rows, index, entry, np.isin(component, bad), facts)


def _joined(
    rows: np.ndarray, component: np.ndarray, left: np.ndarray, right: np.ndarray
) -> np.ndarray:
    """Say which pairs of samples stand in one component, bool [n]; rows int64, ascending."""
    if not len(rows):
        return np.zeros(len(left), bool)
    at, to = (np.minimum(np.searchsorted(rows, side), len(rows) - 1) for side in (left, right))
    both = (rows[at] == left) & (rows[to] == right)
    return both & (component[at] == component[to])

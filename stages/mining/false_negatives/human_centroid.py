"""Unlabelled neighbours as near to a set's centroid as its own members are false negatives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import Field

from ....manifests.people import known_ids
from ....manifests.schema import NO_ID, Reason, Role
from ..base import TAKEN, Block, Decisions, LabelSets, contains, refuse
from ..base_graph import GRAPH_NAME, DetectorMiner, OwnGraphMiner
from ..base_human import HumanMiner

_PAIRS = 16384


@dataclass(frozen=True)
class _Centroids:
    """Who is in which set; unit centroids float64 [S, dim] and least cosine of members [S]."""

    members: LabelSets
    units: np.ndarray
    least: np.ndarray
    facts: Mapping[str, Any]


class HumanCentroid(HumanMiner, OwnGraphMiner, DetectorMiner):
    """False negatives of people's sets: unlabelled is not negative.

    Ghose et al., Tailoring Visual Object Representations to Human Requirements, 2023: a set is
    its running mean, mu' = (s mu + sum of the t new vectors) / (s + t), round by round. An
    unlabelled sample whose frozen cosine with mu is at least the least cosine of the set's own
    members may well belong to it, so it must not become its members' negative.

    Anchors are the members; candidates are their `k` nearest neighbours. The action only notes:
    soften (weigh it down) or review (show it to the people in the next round).

    Fidelity: frozen detector: the paper's mean moves with its encoder.

    Traps: one outlier among the members opens the set to everything; look at `least_cosine`. A
    set of one has mu = its vector and lets nothing but exact copies in.

    Memory: 8 bytes x dim a set, in every worker.
    """

    role = Role.FALSE_NEGATIVE
    fidelity = "frozen-detector"
    paper = "Ghose et al., Tailoring Visual Object Representations to Human Requirements, 2023"

    space: str = Field(default="image>image", pattern=GRAPH_NAME)
    """The neighbour graph, of one space with itself: its vectors have the centroids."""
    k: int = Field(default=32, ge=1, le=2048)
    """How many of the nearest are looked at."""
    action: Literal["soften", "review"] = "review"
    """What the pairset says of them."""

    def mine(self, block: Block) -> Decisions:
        """Decide about the k nearest of anchors that stand in a set."""
        centroids = block.samples.once("centroids", lambda: self._centroids(block))
        ids, similarities = block.graphs[self.space].rows(block.anchors, self.k)
        member = centroids.members.sizes(block.anchors) > 0
        ids = np.where(member[:, None], ids, NO_ID)
        reasons = np.full(ids.shape, TAKEN)
        refuse(reasons, contains(block.positives.ids, ids), Reason.POSITIVE)
        selected = centroids.members.sizes(ids.reshape(-1)).reshape(ids.shape) > 0
        refuse(reasons, selected, Reason.SELECTED)
        refuse(reasons, ~self._is_near(block, centroids, ids, reasons), Reason.FAR_FROM_SET)
        ranks = np.broadcast_to(np.arange(ids.shape[1], dtype=np.int32), ids.shape)
        return Decisions(
            ids, reasons, similarities, ranks, action=self.action, facts=centroids.facts
        )

    def _is_near(
        self, block: Block, centroids: _Centroids, ids: np.ndarray, reasons: np.ndarray
    ) -> np.ndarray:
        """Say which candidates are near enough to the centroid of one of the anchor's sets."""
        entries = centroids.members.entries(block.anchors)
        near = np.zeros(ids.shape, bool)
        store = block.vectors[self.space_names[0]]
        rows, places = np.nonzero((ids != NO_ID) & (reasons == TAKEN))
        for start in range(0, len(rows), _PAIRS):
            row, place = rows[start : start + _PAIRS], places[start : start + _PAIRS]
            theirs = store.rows(ids[row, place])
            for entry in entries[row].T:
                code = np.append(centroids.members.codes, 0)[entry]
                enough = _cosine(theirs, centroids.units[code]) >= centroids.least[code]
                near[row, place] |= enough & (entry != NO_ID)
        return near

    def _centroids(self, block: Block) -> _Centroids:
        said = self.said()
        ids = block.samples.ids_of(said.keys)
        unknown = known_ids(self.selections, said.keys, ids)
        store = block.vectors[self.space_names[0]]
        means = np.zeros((len(said.sets), store.dim))
        least = np.full(len(said.sets), np.inf)
        sets = LabelSets.of(ids[ids >= 0], said.of[ids >= 0], block.samples.count, len(means))
        for code in range(len(means)):
            seen: set[int] = set()
            mine = (said.of == code) & (ids != NO_ID)
            for moment in np.unique(said.rounds[mine]).tolist():
                new = np.unique(ids[mine & (said.rounds == moment)])
                new = np.array([item for item in new.tolist() if item not in seen], np.int64)
                vectors = store.rows(new)
                means[code] = running_mean(means[code], len(seen), vectors)
                seen.update(new.tolist())
            unit = _unit(means[code])
            vectors = store.rows(np.array(sorted(seen), np.int64))
            own = _cosine(vectors[vectors.any(axis=1)], unit)
            least[code] = own.min(initial=np.inf)
        facts = {
            "unknown_keys": unknown,
            "least_cosine": {
                name: round(float(value), 6)
                for name, value in zip(said.sets, least, strict=True)
                if np.isfinite(value)
            },
        }
        return _Centroids(sets, np.array([_unit(mean) for mean in means]), least, facts)


def running_mean(mean: np.ndarray, count: int, new: np.ndarray) -> np.ndarray:
    """Return the mean after t more vectors: (s mu + sum y) / (s + t) (Ghose et al. 2023).

    Args:
        mean: float64 [dim] of `count` vectors.
        count: s.
        new: [t, dim].
    """
    total = count + len(new)
    return (count * mean + new.astype(np.float64).sum(axis=0)) / total if total else mean


def _unit(vector: np.ndarray) -> np.ndarray:
    length = np.sqrt((vector**2).sum())
    return vector / length if length else vector


def _cosine(vectors: np.ndarray, units: np.ndarray) -> np.ndarray:
    # Not a product of BLAS, whose last bits move: a cut must fall the same way on every worker.
    return (vectors.astype(np.float64) * units).sum(axis=-1)

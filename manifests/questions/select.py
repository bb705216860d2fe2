"""Which pairs of a neighbour graph to ask about: the least certain first, spread over the corpus.

Greedy and exact: pairs are walked in order of |p_same - 0.5|, ties in the order of a draw; a pair
is passed over when the round already asks enough about one of its samples or its two clusters.
The graph is read row group by row group. Held: 14 bytes a sample, and `POOL` pairs; where limits
empty the pool before the round is full, the graph is read again from where the pool ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import numpy as np

from ..codes import encode
from ..fingerprint import draw_uint64
from ..pairset import Pairset
from ..schema import NEIGHBORS_PREFIX, NO_ID, list_matrix
from ..verdicts import kept_samples
from .chance import Chance, Clusters
from .implied import Told, ToldPairs, among

POOL = 1 << 16
"""Pairs that one reading of the graph keeps."""


@dataclass(frozen=True)
class Candidates:
    """Pairs in the order in which they would be asked about, each pair once.

    Attributes:
        gap: float64 [n], |p_same - 0.5|, ascending.
        tie: uint64 [n], the draw that orders pairs of one gap.
        left, right: int64 [n], samples, left < right.
        cosine: float32 [n].
        chance: float64 [n], p_same.
    """

    gap: np.ndarray
    tie: np.ndarray
    left: np.ndarray
    right: np.ndarray
    cosine: np.ndarray
    chance: np.ndarray

    def __len__(self) -> int:
        return len(self.gap)

    @classmethod
    def none(cls) -> Candidates:
        """Return no pairs."""
        ids, real = np.zeros(0, np.int64), np.zeros(0)
        return cls(real, ids.astype(np.uint64), ids, ids, real.astype(np.float32), real)

    def of(self, rows: np.ndarray) -> Candidates:
        """Return some of the pairs."""
        return Candidates(*(getattr(self, field.name)[rows] for field in fields(self)))

    def merged(self, more: Candidates, size: int) -> Candidates:
        """Return the first `size` of both."""
        both = Candidates(
            *(np.concatenate([getattr(self, f.name), getattr(more, f.name)]) for f in fields(self))
        )
        order = np.lexsort((both.right, both.left, both.tie, both.gap))
        both = both.of(order)
        again = (np.diff(both.left) == 0) & (np.diff(both.right) == 0)
        return both.of(np.flatnonzero(np.append(True, ~again)[: len(both)])[:size])


@dataclass(frozen=True)
class Limits:
    """How much a round may ask: in all, of a sample, and of an (unordered) pair of clusters."""

    budget: int
    per_sample: int
    per_clusters: int | None


class Round:
    """The pairs of one round, as they are taken."""

    def __init__(self, count: int, limits: Limits, clusters: Clusters | None) -> None:
        self._limits, self._clusters = limits, clusters
        self._uses = np.zeros(count, np.int16)
        self._cells: Counter[int] = Counter()
        self.taken = Candidates.none()

    @property
    def is_full(self) -> bool:
        """Whether the budget is spent."""
        return len(self.taken) >= self._limits.budget

    def allows(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Say which pairs no limit forbids by now, bool [n]."""
        free = (self._uses[left] < self._limits.per_sample) & (
            self._uses[right] < self._limits.per_sample
        )
        most = self._limits.per_clusters
        if self._clusters is not None and most is not None:
            full = sorted(cell for cell, used in self._cells.items() if used >= most)
            free &= ~among(self._clusters.cells(left, right), np.array(full, np.int64))
        return free

    def take(self, pool: Candidates) -> None:
        """Take pairs in their order, as far as the limits allow."""
        chosen, most = [], self._limits.per_clusters
        limited = self._clusters is not None and most is not None
        cells = self._clusters.cells(pool.left, pool.right).tolist() if self._clusters else ()
        room = self._limits.budget - len(self.taken)
        pairs = zip(pool.left.tolist(), pool.right.tolist(), strict=True)
        for at, (a, b) in enumerate(pairs):
            if len(chosen) >= room:
                break
            cell = cells[at] if limited else 0
            if max(self._uses[a], self._uses[b]) >= self._limits.per_sample or (
                most is not None and limited and self._cells[cell] >= most
            ):
                continue
            chosen.append(at)
            self._uses[[a, b]] += 1
            self._cells[cell] += 1
        rows = np.array(chosen, np.int64)
        self.taken = self.taken.merged(pool.of(rows), self._limits.budget)


@dataclass(frozen=True)
class Walk:
    """A graph's pairs that may be asked about at all, whenever they are walked.

    Attributes:
        pairset: whose graph.
        graph: its name.
        chance: the rule for p_same.
        told: what answers tell already.
        seed: of the draw that orders ties.
    """

    pairset: Pairset
    graph: str
    chance: Chance
    told: ToldPairs
    seed: int

    def choose(self, limits: Limits, clusters: Clusters | None, pool: int = POOL) -> Candidates:
        """Choose the pairs of a round, least certain first."""
        count = self.pairset.counts["samples"]
        made, usable = Round(count, limits, clusters), self._usable()
        last: tuple[float, int] | None = None
        while not made.is_full:
            found = self._nearest_half(made, usable, last, pool)
            made.take(found)
            if len(found) < pool:
                break
            last = float(found.gap[-1]), int(found.tie[-1])
        return made.taken

    def _nearest_half(
        self,
        made: Round,
        usable: Callable[[np.ndarray, np.ndarray], np.ndarray],
        last: tuple[float, int] | None,
        size: int,
    ) -> Candidates:
        """Return the first `size` pairs behind `last` that may still be asked about."""
        best = Candidates.none()
        for found in self._blocks():
            if last is not None:
                found = found.of(_behind(found, last))
            if len(best) >= size:
                worst = float(best.gap[-1]), int(best.tie[-1])
                found = found.of(~_behind(found, worst))
            left, right = found.left, found.right
            free = made.allows(left, right) & usable(left, right)
            free &= self.told.tell(left, right) == Told.NOTHING
            best = best.merged(found.of(free), size)
        return best

    def _blocks(self) -> Iterator[Candidates]:
        columns = ["sample_id", "neighbor_ids", "similarities"]
        for block in self.pairset.tables(NEIGHBORS_PREFIX + self.graph, columns):
            others = list_matrix(block["neighbor_ids"])
            anchors = np.broadcast_to(block["sample_id"].to_numpy()[:, None], others.shape)
            there = (others != NO_ID) & (others != anchors)
            a, b = anchors[there], others[there]
            left, right = np.minimum(a, b), np.maximum(a, b)
            cosine = list_matrix(block["similarities"])[there].astype(np.float32)
            chance = self.chance.of(left, right, cosine)
            codes = left * np.int64(self.told.count) + right
            tie = draw_uint64(self.seed, codes, "questions")[:, 0]
            yield Candidates(np.abs(chance - 0.5), tie, left, right, cosine, chance)

    def _usable(self) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        """Return what says of pairs: one split, two groups, both selected."""
        known: dict[str, int] = {}
        splits, groups = [np.zeros(0, np.int16)], [np.zeros(0, np.int64)]
        for block in self.pairset.tables("samples", ["split", "group_id"]):
            codes = encode(block["split"], lambda name: known.setdefault(str(name), len(known)))
            splits.append(codes.astype(np.int16))
            groups.append(block["group_id"].to_numpy())
        split, group = np.concatenate(splits), np.concatenate(groups)
        kept = kept_samples(self.pairset)

        def usable(left: np.ndarray, right: np.ndarray) -> np.ndarray:
            apart = (split[left] == split[right]) & (group[left] != group[right])
            return apart & kept[left] & kept[right]

        return usable


def _behind(found: Candidates, last: tuple[float, int]) -> np.ndarray:
    gap, tie = last
    return (found.gap > gap) | ((found.gap == gap) & (found.tie > np.uint64(tie)))

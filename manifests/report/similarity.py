"""One pass over `edges`: how similar each role and miner is, and which anchors are worth a look.

Holds a histogram for each (role, miner, space) and a few thousand ids, whatever the table's size.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from ..codes import combinations
from ..pairset import Pairset
from ..schema import Role
from .rows import LowestDraws

BINS = 200
"""Bins of every histogram: 0.01 wide, over the cosines from -1 to 1."""
LOW, HIGH = -1.0, 1.0
_HARDEST = 512
_DRAWN = 128
_COLUMNS = ("anchor_id", "other_id", "role", "miner", "space", "similarity", "reason")


@dataclass(frozen=True)
class Series:
    """The similarities of the edges of one role, miner and space.

    Attributes:
        counts: int64 [BINS], edges a bin; bin edges are numpy.linspace(LOW, HIGH, BINS + 1).
        without: edges that carry no similarity.
    """

    role: str
    miner: str
    space: str
    counts: np.ndarray
    without: int

    @property
    def total(self) -> int:
        """Edges that carry a similarity."""
        return int(self.counts.sum())

    @property
    def median(self) -> float | None:
        """The median, to the width of a bin; None where no edge has a similarity."""
        return quantile(self.counts, 0.5)


@dataclass(frozen=True)
class Interesting:
    """Anchors that a gallery should not miss.

    Attributes:
        hardest: (anchor, other) of the most similar taken negatives, most similar first.
        masked: anchors with a false negative, in the order of a fair draw.
        refused: by reason, anchors with a candidate refused for it, in the order of a draw.
    """

    hardest: list[tuple[int, int]] = field(default_factory=list)
    masked: list[int] = field(default_factory=list)
    refused: dict[str, list[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class EdgeFacts:
    """What the pass found.

    Attributes:
        series: by role (schema order), then space, then miner in config order.
        refusals: (miner, reason) -> candidates refused.
        roles: role -> edges.
    """

    series: list[Series]
    refusals: dict[tuple[str, str], int]
    roles: dict[str, int]
    interesting: Interesting


def quantile(counts: np.ndarray, share: float) -> float | None:
    """Return a quantile from a histogram, linear inside the bin; None for an empty one."""
    total = int(counts.sum())
    if not total:
        return None
    cumulated = np.cumsum(counts)
    at = int(np.searchsorted(cumulated, share * total))
    before = int(cumulated[at - 1]) if at else 0
    inside = (share * total - before) / max(int(counts[at]), 1)
    return LOW + (at + inside) * (HIGH - LOW) / BINS


def bin_of(similarity: np.ndarray) -> np.ndarray:
    """Return the bin of each similarity, int64; rounding beyond [-1, 1] falls in the last bins.

    Bins are half open but the last, as in numpy.histogram.
    """
    edges = np.linspace(LOW, HIGH, BINS + 1)
    return np.clip(np.searchsorted(edges, similarity, side="right") - 1, 0, BINS - 1)


def scan_edges(pairset: Pairset, seed: int) -> EdgeFacts:
    """Read `edges` once, row group by row group."""
    pass_ = _Pass(seed)
    for table in pairset.tables("edges", _COLUMNS):
        if table.num_rows:
            pass_.add(table)
    return pass_.facts([str(item["id"]) for item in pairset.manifest["miners"]])


class _Pass:
    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._counts: dict[tuple[str, ...], np.ndarray] = {}
        self._without: Counter[tuple[str, ...]] = Counter()
        self._refusals: Counter[tuple[str, str]] = Counter()
        self._hardest = np.zeros((0, 3))
        self._masked = LowestDraws(_DRAWN, seed, "report masked")
        self._refused: dict[str, LowestDraws] = {}

    def add(self, table: pa.Table) -> None:
        anchors = table["anchor_id"].to_numpy()
        similarity = table["similarity"].to_numpy(zero_copy_only=False).astype(np.float64)
        names, codes = combinations(table, ("role", "miner", "space"))
        known = ~np.isnan(similarity)
        slots = codes[known] * BINS + bin_of(similarity[known])
        counts = np.bincount(slots, minlength=len(names) * BINS).reshape(len(names), BINS)
        without = np.bincount(codes[~known], minlength=len(names))
        for code, name in enumerate(names):
            self._counts[name] = self._counts.get(name, 0) + counts[code]
            self._without[name] += int(without[code])
        roles = np.array([name[0] for name in names])[codes]
        self._masked.add(anchors[roles == Role.FALSE_NEGATIVE])
        self._keep_hardest(table, anchors, similarity, (roles == Role.NEGATIVE) & known)
        self._count_refusals(table, anchors, roles == Role.REFUSED)

    def _keep_hardest(
        self, table: pa.Table, anchors: np.ndarray, similarity: np.ndarray, where: np.ndarray
    ) -> None:
        others = table["other_id"].to_numpy(zero_copy_only=False).astype(np.float64)
        where = where & ~np.isnan(others)
        new = np.stack([similarity[where], anchors[where], others[where]], axis=1)
        pool = np.concatenate([self._hardest, new])
        order = np.lexsort((pool[:, 2], pool[:, 1], -pool[:, 0]))
        self._hardest = pool[order[:_HARDEST]]

    def _count_refusals(self, table: pa.Table, anchors: np.ndarray, where: np.ndarray) -> None:
        if not where.any():
            return
        chosen = table.filter(pa.array(where))
        names, codes = combinations(chosen, ("miner", "reason"))
        counts = np.bincount(codes, minlength=len(names))
        for code, (miner, reason) in enumerate(names):
            self._refusals[miner, reason] += int(counts[code])
            draws = self._refused.get(reason)
            if draws is None:
                draws = LowestDraws(_DRAWN, self._seed, f"report refused {reason}")
                self._refused[reason] = draws
            draws.add(anchors[where][codes == code])

    def facts(self, miners: list[str]) -> EdgeFacts:
        order = {str(role): at for at, role in enumerate(Role)}
        place = {miner: at for at, miner in enumerate(miners)}

        def position(name: tuple[str, ...]) -> tuple[int, str, int, str]:
            role, miner, space = name
            return (order.get(role, len(order)), space, place.get(miner, len(place)), miner)

        names = sorted(self._counts, key=position)
        series = [
            Series(
                role,
                miner,
                space,
                self._counts[role, miner, space],
                self._without[role, miner, space],
            )
            for role, miner, space in names
        ]
        roles: Counter[str] = Counter()
        for item in series:
            roles[item.role] += item.total + item.without
        interesting = Interesting(
            [(int(anchor), int(other)) for _, anchor, other in self._hardest],
            self._masked.ids,
            {reason: self._refused[reason].ids for reason in sorted(self._refused)},
        )
        return EdgeFacts(series, dict(sorted(self._refusals.items())), dict(roles), interesting)

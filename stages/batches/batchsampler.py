"""`batchsampler`: random walks over a proximity graph gather batches (BatchSampler, 2023)."""

from __future__ import annotations

from typing import Self

import numpy as np
from pydantic import Field, model_validator

from ...manifests.fingerprint import draw_uint64
from ...manifests.vectors import pair_similarity
from .base import Batches, Planner, Pool

_ROWS = 64
_DRAWS = 1 << 16


class BatchSampler(Planner):
    """Gather each batch by a random walk with restart from a random row.

    Yang et al., "BatchSampler: Sampling Mini-Batches for Contrastive Learning in Vision, Language,
    and Graphs", KDD 2023 (github.com/THUDM/BatchSampler): each row is joined to the K = 100
    nearest of M = 1000 random candidates; a walk that returns to its start with probability 0.2
    goes on until it has met B different rows. Fidelity: frozen-detector, as the paper makes the
    graph anew every 100 batches.

    M is the knob of hardness: many candidates make near neighbours, few make random batches.
    Batches of nothing but nearest neighbours hurt (72.31 against 76.69 in the paper's table).

    Trap: the paper's walks know nothing of each other, so a row comes in several batches or in
    none (`overlap: true`). By default a walk gathers only rows that no earlier one has, and
    starts again at such a row after `patience` steps without a find.

    Memory: 4 K bytes a row. Facts: jumps (new starts), steps, uses_most.
    """

    fidelity = "frozen-detector"
    paper = "Yang et al., BatchSampler: Sampling Mini-Batches for Contrastive Learning, 2023"
    row_bytes = 4 * 100 + 80

    space: str = "image"
    """The space of the proximity graph."""
    candidates: int = Field(default=1000, ge=1)
    """M: random candidates of a row."""
    edges: int = Field(default=100, ge=1)
    """K: candidates that a row is joined to."""
    restart: float = Field(default=0.2, ge=0, lt=1)
    """Probability of a return to the start, at each step."""
    patience: int = Field(default=200, ge=1)
    """Steps without a find after which a walk starts elsewhere."""
    overlap: bool = False
    """Whether batches may share rows, as in the paper."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.edges > self.candidates:
            raise ValueError(f"edges {self.edges} must not exceed candidates {self.candidates}")
        return self

    @property
    def space_names(self) -> tuple[str, ...]:
        """The space."""
        return (self.space,)

    @property
    def repeats(self) -> bool:
        """Rows come back where walks may overlap."""
        return self.overlap

    def compose(self, pool: Pool) -> Batches:
        """Make the graph and walk over it once a batch."""
        graph = proximity(pool, self.space, self.candidates, self.edges)
        walker = _Walker(graph, pool, self)
        batches = [walker.batch() for _ in range(len(pool) // self.size)]
        places = np.array(batches, np.int64).reshape(-1, self.size)
        uses = np.bincount(places.reshape(-1), minlength=1)
        facts = {"jumps": walker.jumps, "steps": walker.steps, "uses_most": int(uses.max())}
        return Batches(places, facts)


def proximity(pool: Pool, space: str, candidates: int, edges: int) -> np.ndarray:
    """Return int32 [n, edges]: of random candidates of each row, the nearest, nearest first.

    A candidate may be drawn twice, and be the row itself or a near-duplicate: the last two get
    the row's own number, a loop that a walk just steps on.
    """
    count = len(pool)
    graph = np.empty((count, edges), np.int32)
    for start in range(0, count, _ROWS):
        rows = np.arange(start, min(start + _ROWS, count))
        draws = draw_uint64(pool.seed, pool.anchors[rows], "batches/proximity", candidates)
        drawn = (draws % np.uint64(count)).astype(np.int64)
        mine = pool.vectors[space].rows(pool.anchors[rows])
        theirs = pool.vectors[space].rows(pool.anchors[drawn.reshape(-1)])
        theirs = theirs.reshape(len(rows), candidates, -1)
        similarity = pair_similarity(theirs, mine[:, None])
        similarity[pool.groups[drawn] == pool.groups[rows][:, None]] = -2
        order = np.argsort(-similarity, axis=1, kind="stable")[:, :edges]
        near = np.take_along_axis(drawn, order, axis=1)
        loop = np.take_along_axis(similarity, order, axis=1) <= -2
        graph[rows] = np.where(loop, rows[:, None], near)
    return graph


class _Walker:
    """Walks that gather batches one after the other; the draws are one fixed sequence."""

    def __init__(self, graph: np.ndarray, pool: Pool, planner: BatchSampler) -> None:
        self.jumps, self.steps = 0, 0
        self._graph, self._planner, self._seed = graph, planner, pool.seed
        self._starts = pool.shuffled("batches/batchsampler").tolist()
        self._free = bytearray(b"\1" * len(pool))
        self._last: list[int] = []
        self._next_start = 0
        self._block = 0
        self._draws: list[tuple[float, int]] = []

    def batch(self) -> list[int]:
        """Return the places of the next batch."""
        if self._planner.overlap:
            for place in self._last:
                self._free[place] = 1
        self._last = found = list[int]()
        start = place = self._start()
        idle = 0
        while True:
            if self._free[place]:
                self._free[place] = 0
                found.append(place)
                idle = 0
            if len(found) == self._planner.size:
                return found
            idle += 1
            if idle > self._planner.patience:
                self.jumps += 1
                start = place = self._start()
                continue
            back, edge = self._draw()
            place = start if back < self._planner.restart else int(self._graph[place, edge])

    def _start(self) -> int:
        """Return the next row of the lot that is still free."""
        while True:
            place = self._starts[self._next_start % len(self._starts)]
            self._next_start += 1
            if self._free[place]:
                return place

    def _draw(self) -> tuple[float, int]:
        if not self._draws:
            rows = np.arange(self._block * _DRAWS, (self._block + 1) * _DRAWS)
            draws = draw_uint64(self._seed, rows, "batches/walk", 2)
            back = (draws[:, 0] >> np.uint64(11)) * 2.0**-53
            edge = draws[:, 1] % np.uint64(self._graph.shape[1])
            self._draws = list(zip(back.tolist(), edge.astype(int).tolist(), strict=True))[::-1]
            self._block += 1
        self.steps += 1
        return self._draws.pop()

"""What a planner is: a function from the rows of a corpus to batches of them.

One technique, one file: a frozen model (its settings) and one function. A planner sees a `Pool`,
never a file or a process; it works on places 0..n-1 of that pool and returns `Batches`. Planners
look at a whole pool at once, so a corpus whose pool would not fit is cut into blocks (`block`),
each planned alone; no batch then crosses a block.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from pydantic import Field

from ...manifests.fingerprint import draw_uint64
from ...manifests.schema import NO_ID
from ..base import Component

CHUNK = 8192
"""Rows that are read from a graph or a space at a time."""


class Graph(Protocol):
    """The neighbour graph of a pair of spaces; any row can be asked for, at random."""

    @property
    def k(self) -> int:
        """Neighbours of a row, fill included."""
        ...

    def rows(self, ids: np.ndarray, depth: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return neighbour ids int64 [n, k] (-1 fill) and similarities float32 [n, k]."""
        ...


class Vectors(Protocol):
    """The embeddings of one space; any row can be asked for, at random."""

    @property
    def dim(self) -> int:
        """Width of a vector."""
        ...

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """Return float32 [n, dim]: unit rows; all zero where a sample has no vector."""
        ...


@dataclass(frozen=True)
class Pool:
    """What a planner may look at: n rows of `pairs`, all of one split; a place is 0..n-1.

    Attributes:
        anchors: int64 [n], ascending sample ids.
        groups: int64 [n], near-duplicate groups.
        columns: by name, int64 [n] codes of the columns that the planner asked for; -1 is none.
        graphs: by name ("image>image").
        vectors: by space name.
        never: int64 [n, w] sample ids that must not be negatives of each row (its positives and
            false negatives), -1 fill; only for planners that draw negatives, else None.
        seed: of all draws, which go through `draws`.
    """

    anchors: np.ndarray
    groups: np.ndarray
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    graphs: Mapping[str, Graph] = field(default_factory=dict)
    vectors: Mapping[str, Vectors] = field(default_factory=dict)
    never: np.ndarray | None = None
    seed: int = 0

    def __len__(self) -> int:
        return len(self.anchors)

    def draws(self, purpose: str, count: int = 1) -> np.ndarray:
        """Return uint64 [n, count], drawn by (seed, sample id, purpose)."""
        return draw_uint64(self.seed, self.anchors, purpose, count)

    def shuffled(self, purpose: str) -> np.ndarray:
        """Return the places in a random order, int64 [n]."""
        return np.argsort(self.draws(purpose)[:, 0], kind="stable")

    def places(self, samples: np.ndarray) -> np.ndarray:
        """Return the places of sample ids of any shape, int64; -1 for those outside the pool."""
        at = np.minimum(np.searchsorted(self.anchors, samples), max(len(self) - 1, 0))
        found = self.anchors[at] == samples if len(self) else np.zeros(samples.shape, bool)
        return np.where(found, at, NO_ID)

    def neighbours(
        self, graph: str, first: int, last: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield (places int64 [c], neighbours int64 [c, w], similarities float32 [c, w]).

        Ranks [first, last) of the graph, cut to its k. Neighbours are places, -1 where a
        neighbour is outside the pool, is the row itself or of its group.
        """
        for start in range(0, len(self), CHUNK):
            rows = np.arange(start, min(start + CHUNK, len(self)))
            ids, similarities = self.graphs[graph].rows(self.anchors[rows], last)
            near = self.places(ids[:, first:])
            same = self.groups[near] == self.groups[rows][:, None]
            near[same | (near == rows[:, None])] = NO_ID
            yield rows, near, similarities[:, first:]

    def chunks(self, space: str, places: np.ndarray | None = None) -> Iterator[tuple[slice, Any]]:
        """Yield (slice of `places`, float64 [c, dim]) over the vectors of places, or of all.

        Stored vectors are float16, so float64 holds every sum of their products exactly (48 bits
        are needed): a matrix product has the same bits whatever library and threads make it.
        """
        wanted = self.anchors if places is None else self.anchors[places]
        for start in range(0, len(wanted), CHUNK):
            part = slice(start, min(start + CHUNK, len(wanted)))
            yield part, self.vectors[space].rows(wanted[part]).astype(np.float64)

    def exact(self, space: str, places: np.ndarray) -> np.ndarray:
        """Return the vectors of places as float64 [n, dim]; see `chunks`."""
        return self.vectors[space].rows(self.anchors[places]).astype(np.float64)


@dataclass(frozen=True)
class Batches:
    """What a planner made.

    Attributes:
        places: int64 [batches, size], places in the pool.
        facts: small JSON facts about how it went.
        negatives: int64 [batches, size, h], places of negatives drawn for each row of a batch,
            -1 fill; None where none are drawn.
    """

    places: np.ndarray
    facts: Mapping[str, Any] = field(default_factory=dict)
    negatives: np.ndarray | None = None


class Planner(Component, abc.ABC):
    """Base class of all planners. A subclass is one technique."""

    fidelity: ClassVar[str] = "exact"
    """exact, exact+hook, frozen-detector or surrogate (algorithms.md §0.5c)."""
    paper: ClassVar[str] = ""
    """Author, title, year."""
    row_bytes: ClassVar[int] = 64
    """Bytes a row that planning holds at its peak, settings of the default."""

    size: int = Field(default=1024, ge=2)
    """Pairs of a batch, of all ranks together."""
    split: str = "train"
    """Pairs of this split; a corpus with one split only is planned whatever its name."""
    block: int | None = Field(default=None, ge=2)
    """Rows that are planned together, rounded up to whole batches; None: all. The memory of a
    worker follows this number, not the corpus."""
    block_by: Literal["consecutive", "cluster", "permuted"] = "consecutive"
    """How rows come into blocks: in order of pair_id, by cluster_id and then pair_id, or at
    random. Neighbours in other blocks are not seen, so "cluster" keeps most of a graph."""

    @property
    def columns(self) -> Sequence[str]:
        """Columns of `samples` that the planner asks for, or "cluster_id"."""
        return ()

    @property
    def graph_depths(self) -> Mapping[str, int]:
        """Graphs that the planner reads, and the fewest neighbours (k) that each must have."""
        return {}

    @property
    def space_names(self) -> Sequence[str]:
        """Spaces whose vectors the planner reads."""
        return ()

    @property
    def repeats(self) -> bool:
        """Whether a row may be used more than once an epoch."""
        return False

    @property
    def drawn_negatives(self) -> int:
        """Negatives that are drawn for each row of a batch (h), beside those of its pair."""
        return 0

    @property
    def judge_space(self) -> str | None:
        """The space in which hardness is reported, where the planner knows one."""
        graphs = [name.partition(">")[0] for name in self.graph_depths]
        return next(iter([*self.space_names, *graphs]), None)

    @abc.abstractmethod
    def compose(self, pool: Pool) -> Batches:
        """Compose the batches of a pool; every batch is full."""


def cut(order: np.ndarray, size: int) -> np.ndarray:
    """Cut an order of places into whole batches, int64 [len // size, size]; the rest is left."""
    batches = len(order) // size
    return order[: batches * size].reshape(batches, size)

"""What a miner may look at beside its anchors: graphs, vectors, columns and clusters of samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import numpy as np

from .lookup import LabelSets, RowIndex

T = TypeVar("T")


class Graph(Protocol):
    """The neighbour graph of a pair of spaces; any row can be asked for, at random."""

    @property
    def name(self) -> str:
        """QUERY>BANK."""
        ...

    @property
    def k(self) -> int:
        """Neighbours of a row, fill included."""
        ...

    def rows(self, ids: np.ndarray, depth: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return neighbor ids int64 [n, k] (-1 fill) and similarities float32 [n, k].

        Falling similarity, ties by id (a graph corrected for hubs falls by the corrected one; these
        are cosines). Self, its near-duplicates and other splits are not in it.
        With `depth`, only the first that many columns.
        """
        ...


class Vectors(Protocol):
    """The embeddings of one space; any row can be asked for, at random."""

    @property
    def name(self) -> str:
        """Name of the space."""
        ...

    @property
    def dim(self) -> int:
        """Width of a vector."""
        ...

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """Return float32 [n, dim]: unit rows; all zero where a sample has no vector."""
        ...


class SampleColumns(Protocol):
    """Columns of `samples`, whole in memory: only what a miner asked for in `columns`."""

    @property
    def count(self) -> int:
        """Number of samples."""
        ...

    def take(self, column: str, ids: np.ndarray) -> np.ndarray:
        """Return the codes of a column at ids of any shape, int64, shaped like `ids`.

        Codes number the different values in sorted order; -1 where a sample has none, and for
        id -1. "group_id" is its own code.
        """
        ...

    def sets(self, column: str) -> LabelSets:
        """Return a column of lists ("labels") as sets of codes."""
        ...

    def rows_with(self, *columns: str) -> RowIndex:
        """Return rows by codes: sorted by the first column, then by the others, then by id.

        The first column may be one of lists; its entries are then numbered as in `sets`.
        """
        ...

    def numbers(self, column: str, ids: np.ndarray) -> np.ndarray:
        """Return a column of numbers, or of times as seconds since 1970, at ids of any shape.

        float64, shaped like `ids`; NaN where a sample has none, and for id -1.
        """
        ...

    def ids_of(self, keys: Sequence[str]) -> np.ndarray:
        """Return the sample of each of the keys that the miner names, int64 [n]; -1 for none."""
        ...

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Return what `make` gives, made once a process: it must not depend on the block."""
        ...


class Clusters(Protocol):
    """One set of clusters (`clusters` of the config); level 0 is the finest."""

    @property
    def name(self) -> str:
        """Name in the config."""
        ...

    @property
    def ranked(self) -> int:
        """Number of samples that are in a cluster, so have an accept rank."""
        ...

    def take(self, ids: np.ndarray, level: int = 0) -> np.ndarray:
        """Return clusters int64, shaped like `ids`; -1 without one, and for id -1."""
        ...

    def confidence(self, ids: np.ndarray, level: int = 0) -> np.ndarray:
        """Return how surely samples are in their cluster, float32 in (0, 1]; 0 without one."""
        ...

    def accept_rank(self, ids: np.ndarray, level: int = 0) -> np.ndarray:
        """Return places by falling confidence, int64, 0 = most confident; -1 without a cluster."""
        ...

    def members(self, level: int = 0) -> RowIndex:
        """Return rows by cluster, then split, then group: what a `Pool` draws from."""
        ...

"""Undirected graphs over the places of a pool, as compressed rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Links:
    """An undirected graph without loops; each link stands in the rows of both its ends.

    Attributes:
        starts: int64 [n + 1], first entry of each place in `ends`, and the total.
        ends: int32 [2 * links], the other ends, ascending in each row.
    """

    starts: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, keys: np.ndarray, count: int) -> Links:
        """Make a graph of `count` places from links written as low * count + high, each once."""
        low, high = np.divmod(keys, max(count, 1))
        both = np.concatenate([low * count + high, high * count + low])
        both.sort()
        rows, ends = np.divmod(both, max(count, 1))
        return cls(np.searchsorted(rows, np.arange(count + 1)), ends.astype(np.int32))

    def __getitem__(self, place: int) -> np.ndarray:
        return self.ends[self.starts[place] : self.starts[place + 1]]

    def degrees(self) -> np.ndarray:
        """Return int64 [n]."""
        return np.diff(self.starts)

    @property
    def count(self) -> int:
        """Number of links."""
        return len(self.ends) // 2

    def inside(self, group: np.ndarray) -> int:
        """Count the links whose two ends are of one group (>= 0); `group` is int64 [n]."""
        rows = np.repeat(np.arange(len(group)), self.degrees())
        return int(((group[rows] == group[self.ends]) & (group[rows] >= 0)).sum()) // 2


def keys_of(rows: np.ndarray, others: np.ndarray, count: int) -> np.ndarray:
    """Return low * count + high of pairs of places, int64; pairs with -1 are left out.

    Args:
        rows: int64 [c].
        others: int64 [c, w].
        count: places in all.
    """
    mine = np.repeat(rows, others.shape[1])
    theirs = others.reshape(-1)
    there = theirs >= 0
    mine, theirs = mine[there], theirs[there]
    return np.minimum(mine, theirs) * count + np.maximum(mine, theirs)

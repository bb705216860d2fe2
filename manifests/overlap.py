"""Lists of two pairsets side by side: samples matched by key, lists by anchor.

Memory: 40 bytes a sample of both corpora and one row group; the lists of the second pairset are
spilled to a temporary folder, because its anchors may stand in any order.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .fingerprint import key_hashes
from .pairset import Pairset
from .schema import NO_ID, list_matrix

UNKNOWN = -2
"""What a sample that the other corpus does not have is called there: no id, and no empty place."""


@dataclass(frozen=True)
class Match:
    """Which samples of two corpora are the same.

    Attributes:
        there: int64 [N of A], the id in B of each sample of A; UNKNOWN where B has none.
        back: int64 [N of B], the id in A of each sample of B; UNKNOWN where A has none.
    """

    there: np.ndarray
    back: np.ndarray

    @classmethod
    def of(cls, a: Pairset, b: Pairset) -> Match:
        """Match the samples of two pairsets by key."""
        left, right = _key_names(a), _key_names(b)
        names = np.concatenate([left, right])
        order = np.lexsort((names[:, 1], names[:, 0]))
        ordered = names[order]
        same = np.flatnonzero((ordered[1:] == ordered[:-1]).all(axis=1))
        # The sort is stable and keys are unique, so the sample of A stands before its twin.
        first, second = order[same], order[same + 1] - len(left)
        there = np.full(len(left), UNKNOWN, np.int64)
        back = np.full(len(right), UNKNOWN, np.int64)
        there[first], back[second] = second, first
        return cls(there, back)

    @property
    def common(self) -> int:
        """Samples in both."""
        return int((self.there >= 0).sum())

    def named(self, ids: np.ndarray) -> np.ndarray:
        """Return ids of A (any shape, -1 fill) as ids of B: -1 stays, UNKNOWN where B has none."""
        return np.where(ids < 0, NO_ID, self.there[np.maximum(ids, 0)])


def _key_names(pairset: Pairset) -> np.ndarray:
    blocks = [key_hashes(t["key"].to_pylist()) for t in pairset.tables("samples", ["key"])]
    return np.concatenate([np.zeros((0, 2), np.uint64), *blocks])


@dataclass(frozen=True)
class Spilled:
    """Lists of one table on the disk, found by anchor.

    Attributes:
        row_of: int64 [N], the row of each sample as an anchor; -1 where it is none.
        lists: by column, [rows, length], memory-mapped.
    """

    row_of: np.ndarray
    lists: dict[str, np.ndarray]

    def at(self, column: str, anchors: np.ndarray) -> np.ndarray:
        """Return the lists of anchors; all must have a row."""
        return self.lists[column][self.row_of[anchors]]


@contextmanager
def spilled(pairset: Pairset, table: str, anchor: str, columns: Sequence[str]) -> Iterator[Spilled]:
    """Write list columns of a table where their rows can be read in any order."""
    rows = sum(entry["rows"] for entry in pairset.manifest["tables"][table])
    row_of = np.full(int(pairset.counts["samples"]), NO_ID, np.int64)
    with tempfile.TemporaryDirectory(prefix="curate-diff-") as folder:
        lists: dict[str, np.ndarray] = {}
        first = 0
        for block in pairset.tables(table, [anchor, *columns]):
            at = slice(first, first + block.num_rows)
            row_of[block[anchor].to_numpy()] = np.arange(at.start, at.stop)
            for column in columns:
                values = list_matrix(block[column])
                if column not in lists:
                    path = Path(folder) / f"{column}.npy"
                    shape = (rows, values.shape[1])
                    made = np.lib.format.open_memmap(path, "w+", values.dtype, shape)
                    lists[column] = made
                lists[column][at] = values
            first = at.stop
        yield Spilled(row_of, lists)
        lists.clear()


def shared(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Say for each of left [n, a] whether it stands in the same row of right [n, b]; fill never.

    Returns:
        bool [n, a].
    """
    found = np.zeros(left.shape, bool)
    for column in range(right.shape[1]):
        found |= left == right[:, column : column + 1]
    return found & (left >= 0)


class Overlap:
    """How far lists agree, row by row: fed in blocks, read once."""

    def __init__(self, k: int) -> None:
        self.k = k
        self._anchors = self._equal = 0
        self._first = self._all = 0.0

    def add(self, left: np.ndarray, right: np.ndarray) -> None:
        """Add lists of the same anchors in one naming, [n, a] and [n, b], -1 fill."""
        left, right = left[:, : self.k], right[:, : self.k]
        size_left, size_right = ((side != NO_ID).sum(axis=1) for side in (left, right))
        longest = np.maximum(size_left, size_right)
        asked = longest > 0
        hits = shared(left, right).sum(axis=1)
        self._anchors += int(asked.sum())
        self._all += float((hits[asked] / longest[asked]).sum())
        width = min(left.shape[1], right.shape[1])
        if width:
            top = (left[:, 0] == right[:, 0]) & (left[:, 0] >= 0)
            self._first += float(top[asked].sum())
            same = (left[:, :width] == right[:, :width]).all(axis=1) & (size_left == size_right)
            self._equal += int(same[asked].sum())

    def facts(self) -> dict[str, float | int | None]:
        """Return k, anchors (with an entry in either), overlap_at_1, overlap_at_k, equal_lists."""
        share = [
            round(value / self._anchors, 6) if self._anchors else None
            for value in (self._first, self._all, self._equal)
        ]
        names = ("overlap_at_1", "overlap_at_k", "equal_lists")
        return {"k": self.k, "anchors": self._anchors, **dict(zip(names, share, strict=True))}

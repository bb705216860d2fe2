"""Records of a table brought together by the image they name, by numbers only."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ...manifests.fingerprint import key_hashes
from .tablefile import Record, merge_extents

_BLOCK = 65536


@dataclass(frozen=True)
class Groups:
    """Records in runs of one name; runs stand in the order of each name's first record.

    Attributes:
        places: int64 [records, 3]: start, size and number of each record, run after run.
        starts: int64 [runs + 1]: the record at which each run starts.
        first: int64 [runs]: ordinal in the table of each run's first record, ascending.
    """

    places: np.ndarray
    starts: np.ndarray
    first: np.ndarray

    def __len__(self) -> int:
        return len(self.first)

    def extents(self, start: int, stop: int) -> list[list[int]]:
        """Return the merged extents of the records of runs start..stop."""
        rows = self.places[self.starts[start] : self.starts[stop]]
        return merge_extents((int(a), int(b), int(c)) for a, b, c in rows)


def group_records(records: Iterable[tuple[Record, str | None]]) -> Groups:
    """Group records by name; a record without a name stands alone.

    Costs 40 bytes a record; names are kept as 128-bit hashes only.
    """
    places, blocks = array("q"), [np.zeros((0, 2), np.uint64)]
    for names in _blocks(records, places):
        blocks.append(key_hashes(names))
    hashes = np.concatenate(blocks)
    count = len(hashes)
    order = np.lexsort((hashes[:, 1], hashes[:, 0]))
    ordered = hashes[order]
    new = np.ones(count, bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    first = order[new]
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    run = np.empty(count, np.int64)
    run[order] = rank[np.cumsum(new) - 1]
    by_run = np.argsort(run, kind="stable")
    sizes = np.bincount(run, minlength=len(first))
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    table = np.frombuffer(places, np.int64).reshape(-1, 3) if count else np.zeros((0, 3), np.int64)
    return Groups(table[by_run], starts, np.sort(first))


def _blocks(
    records: Iterable[tuple[Record, str | None]], places: array[int]
) -> Iterator[list[str]]:
    names: list[str] = []
    for record, name in records:
        places.extend((record.start, record.size, record.number))
        names.append(f"\0{record.start}" if name is None else name)
        if len(names) == _BLOCK:
            yield names
            names = []
    yield names

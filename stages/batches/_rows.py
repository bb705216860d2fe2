"""Which rows of `pairs` a planner gets: those of one split, cut into blocks that fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ...manifests.artifact import Artifact
from ...manifests.codes import encode
from ...manifests.errors import ConfigError, DataError
from ...manifests.fingerprint import draw_uint64
from ...manifests.schema import NO_ID, list_matrix
from ...manifests.tables import open_parquet
from .base import Planner

CLUSTER = "cluster_id"
GROUP = "group_id"
OF_PAIRS = (CLUSTER, GROUP)
"""Columns that stand in `pairs`; all others are looked up in `samples`."""
_COLUMNS = ("pair_id", "anchor_id", GROUP, CLUSTER, "split")


@dataclass(frozen=True)
class PairRows:
    """Some rows of `pairs`, ascending: pair_id, anchor_id, group_id, cluster_id, int64 [n] each."""

    pair_id: np.ndarray
    anchor_id: np.ndarray
    group_id: np.ndarray
    cluster_id: np.ndarray

    def __len__(self) -> int:
        return len(self.pair_id)

    def at(self, rows: np.ndarray) -> PairRows:
        """Return some of the rows; a mask or numbers."""
        columns = (self.pair_id, self.anchor_id, self.group_id, self.cluster_id)
        return PairRows(*(column[rows] for column in columns))

    @classmethod
    def join(cls, parts: Sequence[PairRows]) -> PairRows:
        """Return the rows of parts, one below the other."""
        none = np.zeros(0, np.int64)
        names = ("pair_id", "anchor_id", "group_id", "cluster_id")
        return cls(*(np.concatenate([none, *(getattr(p, n) for p in parts)]) for n in names))


def split_of(pairs: Artifact, wanted: str) -> str:
    """Return the split that is planned: `wanted`, or the only one that there is.

    Raises:
        DataError: it has no pairs, and there are several others.
    """
    names: set[str] = set()
    for table in _tables(pairs, ["split"]):
        names.update(table["split"].unique().to_pylist())
    if wanted in names:
        return wanted
    if len(names) == 1:
        return names.pop()
    known = ", ".join(repr(name) for name in sorted(names)) or "none"
    raise DataError(f"a planner wants split {wanted!r}, which has no pairs; there are: {known}.")


def rows_of(pairs: Artifact, split: str) -> Iterator[PairRows]:
    """Yield the rows of a split, a row group at a time, in the order of pair_id."""
    for table in _tables(pairs, list(_COLUMNS)):
        mine = encode(table["split"], lambda name: int(name == split)).astype(bool)
        columns = (table[name].to_numpy().astype(np.int64) for name in _COLUMNS[:4])
        yield PairRows(*columns).at(mine)


def never_contrasted(pairs: Artifact, rows: PairRows) -> np.ndarray:
    """Return the positives and false negatives of rows, int64 [n, P + F] sample ids; -1 fill."""
    parts, first = [], 0
    for table in _tables(pairs, ["positive_ids", "false_negative_ids"]):
        low, high = np.searchsorted(rows.pair_id, [first, first + table.num_rows])
        inside = rows.pair_id[low:high] - first
        lists = [list_matrix(table[name])[inside] for name in table.column_names]
        parts.append(np.concatenate(lists, axis=1))
        first += table.num_rows
    return np.concatenate(parts) if parts else np.zeros((0, 0), np.int64)


def _tables(pairs: Artifact, columns: list[str]) -> Iterator[pa.Table]:
    for part in pairs.parts:
        with open_parquet(pairs.file(part)) as file:
            for group in range(file.num_row_groups):
                yield file.read_row_group(group, columns=columns)


@dataclass(frozen=True)
class Blocks:
    """How the rows of a split are cut: sorted by a key, then by pair_id, every `rows` of them.

    Attributes:
        by: "consecutive", "cluster" or "permuted".
        rows: rows of a block.
        seed: of the permuted order.
    """

    by: str
    rows: int
    seed: int

    def keys(self, rows: PairRows) -> np.ndarray:
        """Return the key of each row, int64 [n]."""
        if self.by == "cluster":
            return rows.cluster_id
        if self.by == "permuted":
            # The first 12 bits of a hash: 4096 bins are enough to mix any block.
            return (draw_uint64(self.seed, rows.anchor_id, "batches/blocks")[:, 0] >> 52).astype(
                np.int64
            )
        return np.zeros(len(rows), np.int64)

    def starts(self, pairs: Artifact, split: str) -> dict[int, int]:
        """Return the place, in sorted order, of the first row of each key; memory: the keys."""
        counts: dict[int, int] = {}
        for rows in rows_of(pairs, split):
            for key, count in zip(*np.unique(self.keys(rows), return_counts=True), strict=True):
                counts[int(key)] = counts.get(int(key), 0) + int(count)
        starts, total = {}, 0
        for key in sorted(counts):
            starts[key] = total
            total += counts[key]
        return {**starts, _TOTAL: total}

    def read(self, pairs: Artifact, split: str, number: int) -> PairRows:
        """Return the rows of one block, ascending; all of the table is read by."""
        starts = self.starts(pairs, split)
        low, high = number * self.rows, (number + 1) * self.rows
        kept = []
        for rows in rows_of(pairs, split):
            keys = self.keys(rows)
            place = np.empty(len(rows), np.int64)
            for key in np.unique(keys).tolist():
                mine = keys == key
                count = int(mine.sum())
                place[mine] = starts[key] + np.arange(count)
                starts[key] += count
            kept.append(rows.at((place >= low) & (place < high)))
        return PairRows.join(kept)


_TOTAL = -(2**62)


def block_numbers(planner: Planner, pairs: Artifact, split: str, seed: int) -> list[int]:
    """Return the numbers of the blocks of a split; [0] where all is planned at once."""
    if planner.block is None:
        return [0]
    blocks = blocks_of(planner, seed)
    total = blocks.starts(pairs, split)[_TOTAL]
    return list(range(max(-(-total // blocks.rows), 1)))


def blocks_of(planner: Planner, seed: int) -> Blocks:
    """Return how a planner's rows are cut; a block is a whole number of batches."""
    rows = planner.block or 1
    return Blocks(planner.block_by, -(-rows // planner.size) * planner.size, seed)


def column_codes(samples: Artifact, name: str, ids: np.ndarray) -> np.ndarray:
    """Return the codes of a text column of `samples` at ascending ids, int64 [n]; -1 for null.

    Raises:
        ConfigError: there is no such column, or it holds no texts.
    """
    known: dict[Any, int] = {None: NO_ID}
    found = np.empty(len(ids), np.int64)
    starts = samples.starts()
    cuts = np.searchsorted(ids, starts)
    for number, part in enumerate(samples.parts):
        inside = slice(cuts[number], cuts[number + 1])
        if inside.start == inside.stop:
            continue
        with open_parquet(samples.file(part)) as file:
            if name not in file.schema_arrow.names:
                raise ConfigError(f"samples have no column {name!r}; a planner asks for it.")
            column = file.read(columns=[name])[name]
        if not pa.types.is_string(column.type):
            raise ConfigError(f"column {name!r} of samples holds {column.type}, not texts.")
        taken = column.take(pa.array(ids[inside] - starts[number]))
        found[inside] = encode(taken, lambda text: known.setdefault(text, len(known) - 1))
    return found

"""Which samples a filter lets through, found row group by row group from a place on.

A page of results needs no count of all of them: reading stops when it is full, or when `GROUPS`
row groups were read, and says where to go on. Held: one row group of `samples` and one of `edges`,
`pairs` or `clusters`, and the ranges of ids of all row groups (32 bytes each).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..pairset import Pairset
from ..report.rows import rows_with
from ..schema import CLUSTERS_PREFIX, list_matrix
from ..tables import open_parquet

GROUPS = 256
"""Row groups that one request reads at most: two million samples, without a filter on edges."""


@dataclass(frozen=True)
class Query:
    """A filter; what is empty or None lets everything through.

    Attributes:
        words: each must be in the key or in a caption, in any case.
        split: name of a split.
        label: one of the sample's labels.
        cluster: name of a set of clusters and a cluster of its finest level.
        role: the sample is anchor of an edge of this role,
        miner: of this miner,
        reason: and refused for this reason (one edge with all three).
        kind: id of a miner that fills a place in the sample's row of `pairs`.
        pairs: only samples with a row in `pairs`.
    """

    words: tuple[str, ...] = ()
    split: str | None = None
    label: str | None = None
    cluster: tuple[str, int] | None = None
    role: str = ""
    miner: str = ""
    reason: str = ""
    kind: str = ""
    pairs: bool = False

    @property
    def edge(self) -> dict[str, str]:
        """The columns of an edge that are asked for."""
        asked = {"role": self.role, "miner": self.miner, "reason": self.reason}
        return {name: value for name, value in asked.items() if value}

    @property
    def columns(self) -> list[str]:
        """The columns of `samples` that are needed."""
        names = {"split": self.split is not None, "labels": self.label is not None}
        names |= dict.fromkeys(("key", "captions"), bool(self.words))
        return ["sample_id", *(name for name, needed in names.items() if needed)]


@dataclass(frozen=True)
class Found:
    """A page of results.

    Attributes:
        ids: sample ids, ascending.
        next: where to go on; None at the end of the corpus.
    """

    ids: list[int]
    next: int | None


@dataclass(frozen=True)
class _Group:
    """A row group, and the ids of its first and its last row (0 and none where not known)."""

    path: Path
    number: int
    low: int
    high: int


@dataclass
class Groups:
    """The row groups of a table that is sorted by a column of ids."""

    pairset: Pairset
    table: str
    column: str
    read: int = 0
    _known: list[_Group] = field(default_factory=list)

    @cached_property
    def all(self) -> list[_Group]:
        """Every row group; footers are read once."""
        found = []
        for path in self.pairset.files(self.table):
            with open_parquet(path) as file:
                at = file.schema_arrow.names.index(self.column)
                for number in range(file.num_row_groups):
                    known = file.metadata.row_group(number).column(at).statistics
                    low, high = (known.min, known.max) if known is not None else (0, 1 << 62)
                    found.append(_Group(path, number, int(low), int(high)))
        return found

    def between(self, low: int, high: int, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Read the row groups that may hold ids from `low` to `high`, both included."""
        for group in self.all:
            if group.low <= high and group.high >= low:
                with open_parquet(group.path) as file:
                    have = [name for name in columns if name in file.schema_arrow.names]
                    yield file.read_row_group(group.number, columns=have)


class Finder:
    """Finds the samples of a pairset that a query lets through."""

    def __init__(self, pairset: Pairset) -> None:
        self._pairset = pairset
        self._tables: dict[str, Groups] = {}

    def page(self, query: Query, start: int, limit: int, most: int = GROUPS) -> Found:
        """Return the first `limit` samples with ids from `start` on, after at most `most` groups.

        The last row group is finished even if it reads more.
        """
        found: list[int] = []
        read = 0
        for block in self._groups("samples").between(start, 1 << 62, query.columns):
            ids = block["sample_id"].to_numpy()
            first, last = int(ids[0]), int(ids[-1])
            mask = (ids >= start) & of_samples(block, query)
            read += 1
            for table, test in self._tests(query):
                if mask.any():
                    good = np.zeros(len(ids), bool)
                    for rows in self._groups(table).between(first, last, _columns(table)):
                        read += 1
                        named = test(rows)
                        good[named[(named >= first) & (named <= last)] - first] = True
                    mask &= good
            new = ids[mask].tolist()
            room = limit - len(found)
            found += new[:room]
            if len(new) > room:
                return Found(found, new[room])
            if last + 1 >= self._pairset.counts["samples"]:
                return Found(found, None)
            if len(found) == limit or read >= most:
                return Found(found, last + 1)
        return Found(found, None)

    def among(self, query: Query, ids: Sequence[int]) -> list[int]:
        """Return those of some samples that a query lets through, in their order."""
        if not len(ids):
            return []
        asked = np.array(ids, np.int64)
        rows = rows_with(self._pairset, "samples", "sample_id", asked, query.columns)
        good = set(rows["sample_id"].to_numpy()[of_samples(rows, query)].tolist())
        for table, test in self._tests(query):
            columns = _columns(table)
            good &= set(test(rows_with(self._pairset, table, columns[0], asked, columns)).tolist())
        return [item for item in ids if item in good]

    def _groups(self, table: str) -> Groups:
        if table not in self._tables:
            self._tables[table] = Groups(self._pairset, table, _columns(table)[0])
        return self._tables[table]

    def _tests(self, query: Query) -> Iterator[tuple[str, Any]]:
        """Yield (table, rows of it -> ids of the samples that pass)."""
        kinds = list(self._pairset.manifest["kinds"])
        if query.kind or query.pairs:
            code = kinds.index(query.kind) if query.kind in kinds else None
            yield "pairs", lambda rows: _of_pairs(rows, code, bool(query.kind))
        if query.cluster is not None:
            name, number = query.cluster
            if CLUSTERS_PREFIX + name in self._pairset.manifest["tables"]:
                yield CLUSTERS_PREFIX + name, lambda rows: _of_clusters(rows, number)
        if query.edge:
            yield "edges", lambda rows: _of_edges(rows, query.edge)


def of_samples(rows: pa.Table, query: Query) -> np.ndarray:
    """Say which rows of `samples` pass what a query asks of them, bool [n]."""
    good = np.ones(rows.num_rows, bool)
    if query.split is not None:
        good &= _is(rows["split"], query.split)
    if query.label is not None:
        good &= _any_in_lists(rows["labels"], lambda texts: _is(texts, query.label))
    for word in query.words:
        here = _holds(rows["key"], word)
        good &= here | _any_in_lists(rows["captions"], lambda texts, w=word: _holds(texts, w))
    return good


def _columns(table: str) -> list[str]:
    if table.startswith(CLUSTERS_PREFIX):
        return ["sample_id", "cluster_ids"]
    return {
        "samples": ["sample_id"],
        "pairs": ["anchor_id", "positive_kinds", "negative_kinds"],
        "edges": ["anchor_id", "role", "miner", "reason"],
    }[table]


def _of_pairs(rows: pa.Table, code: int | None, asked: bool) -> np.ndarray:
    anchors = rows["anchor_id"].to_numpy()
    if not asked:
        return anchors
    lists = [list_matrix(rows[f"{role}_kinds"]) for role in ("positive", "negative")]
    return anchors[np.any([(kinds == code).any(axis=1) for kinds in lists], axis=0)]


def _of_clusters(rows: pa.Table, number: int) -> np.ndarray:
    return rows["sample_id"].to_numpy()[list_matrix(rows["cluster_ids"])[:, 0] == number]


def _of_edges(rows: pa.Table, asked: dict[str, str]) -> np.ndarray:
    good = np.ones(rows.num_rows, bool)
    for column, value in asked.items():
        good &= _is(rows[column], value)
    return rows["anchor_id"].to_numpy()[good]


def _is(column: Any, value: str | None) -> np.ndarray:
    return _bools(pc.call_function("equal", [column, pa.scalar(value, pa.string())]))


def _holds(column: Any, word: str) -> np.ndarray:
    options = pc.MatchSubstringOptions(word, ignore_case=True)
    return _bools(pc.call_function("match_substring", [column], options))


def _bools(column: Any) -> np.ndarray:
    return pc.fill_null(column, False).to_numpy(zero_copy_only=False).astype(bool)


def _any_in_lists(column: pa.ChunkedArray, test: Any) -> np.ndarray:
    """Say which lists of texts have a text that passes a test of all texts, bool [rows]."""
    lists = column.combine_chunks()
    if isinstance(lists, pa.ChunkedArray):
        lists = pa.concat_arrays(lists.chunks) if lists.num_chunks else pa.array([], column.type)
    good = np.zeros(len(lists), bool)
    owners = pc.call_function("list_parent_indices", [lists]).to_numpy()
    texts = pc.call_function("list_flatten", [lists])
    good[owners[test(texts)]] = True
    return good

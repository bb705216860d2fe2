"""What the checks share: the opened pairset, the columns that are held, and draws of rows.

Held for the whole verification: 26 bytes a sample (group, split, 128-bit name of the key), and 8
bytes a sample for each attribute that the rule of a miner compares. All else is read row group by
row group.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..codes import encode
from ..errors import PairsetError
from ..fingerprint import draw_uint64
from ..pairset import Pairset
from ..schema import NEIGHBORS_PREFIX, list_matrix
from ..vectors import VectorStore, pair_similarity
from .labels import Labels
from .lists import NeighborLists
from .result import Notes

TOLERANCE = 5e-3
"""How far a stored similarity may be from the dot product of stored float16 vectors."""
_PAIRS = 65536


@dataclass
class Context:
    """One verification.

    Attributes:
        pairset: the opened pairset.
        notes: where findings go.
        deep: look at every image, hash and similarity, not at a sample of them.
        broken: tables and spaces whose bytes or columns are wrong; nothing more is read of them.
        counted: what a rule counts over all blocks, int64 [N] by miner.
        people: records of files of people and oracles that were read already.
    """

    pairset: Pairset
    notes: Notes
    deep: bool = True
    broken: set[str] = field(default_factory=set)
    held: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    """Columns that several checks look up by sample: those of clusters, 8 bytes a sample each."""
    counted: dict[str, np.ndarray] = field(default_factory=dict)
    _lists: dict[str, NeighborLists] = field(default_factory=dict, repr=False)
    people: dict[str, list[dict[str, Any]]] = field(default_factory=dict, repr=False)
    _attributes: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    @property
    def samples(self) -> int:
        """Number of samples, as the manifest says."""
        return int(self.pairset.counts["samples"])

    @property
    def kinds(self) -> list[str]:
        """Ids of the miners; position = code in `pairs`."""
        return list(self.pairset.manifest["kinds"])

    @cached_property
    def group_id(self) -> np.ndarray:
        """int64 [N]: the near-duplicate group of each sample."""
        blocks = [t["group_id"].to_numpy() for t in self.pairset.tables("samples", ["group_id"])]
        return np.concatenate([np.zeros(0, np.int64), *blocks])

    @cached_property
    def splits(self) -> tuple[list[str], np.ndarray]:
        """Names of the splits, and int16 [N], the split of each sample."""
        names: dict[str, int] = {}
        blocks = [np.zeros(0, np.int16)]
        for table in self.pairset.tables("samples", ["split"]):
            found = encode(table["split"], lambda name: names.setdefault(str(name), len(names)))
            blocks.append(found.astype(np.int16))
        return list(names), np.concatenate(blocks)

    @cached_property
    def labels(self) -> Labels:
        """Labels of all samples."""
        return Labels.of(self.pairset)

    def attribute(self, column: str, depth: int = 0) -> np.ndarray:
        """Return a column of `samples` as float64 [N]; NaN where a sample has none.

        Numbers stay, times are seconds since 1970, and texts are numbered as they come; with
        `depth`, texts that agree in their first so many steps ("a/b/c") get one number.
        """
        name = f"{column}/{depth}"
        if name not in self._attributes:
            words: dict[str, int] = {}
            blocks = [np.zeros(0)]
            for table in self.pairset.tables("samples", [column]):
                blocks.append(_as_numbers(table[column], words, depth))
            self._attributes[name] = np.concatenate(blocks)
        return self._attributes[name]

    def blocks(self, table: str, columns: list[str]) -> Iterator[tuple[int, pa.Table]]:
        """Yield (first row, at most 8192 rows) over a table."""
        first = 0
        for block in self.pairset.tables(table, columns):
            yield first, block
            first += block.num_rows

    def vectors(self, space: str) -> VectorStore | None:
        """Open a space, or return None where its files are broken or not there."""
        if f"embeddings/{space}" in self.broken:
            return None
        try:
            return self.pairset.vectors(space)
        except PairsetError:
            return None

    def lists(self, graph: str) -> NeighborLists | None:
        """Open the neighbour lists of a graph, or return None where they are not sound."""
        table = f"{NEIGHBORS_PREFIX}{graph}"
        if table in self.broken or table not in self.pairset.manifest["tables"]:
            return None
        if graph not in self._lists:
            self._lists[graph] = NeighborLists(self.pairset, graph)
        return self._lists[graph]

    def in_range(self, ids: np.ndarray) -> np.ndarray:
        """Say which ids name a sample."""
        return (ids >= 0) & (ids < self.samples)

    def dots(self, graph: str, left: np.ndarray, right: np.ndarray) -> np.ndarray | None:
        """Return float32 [n], the cosines of pairs of samples in "query>bank"; None without them.

        Both ids int64 [n] must be in range.
        """
        query, _, bank = graph.partition(">")
        first, second = self.vectors(query), self.vectors(bank)
        if first is None or second is None:
            return None
        out = np.empty(len(left), np.float32)
        for start in range(0, len(left), _PAIRS):
            step = slice(start, start + _PAIRS)
            out[step] = pair_similarity(first.rows(left[step]), second.rows(right[step]))
        return out


def _as_numbers(column: pa.ChunkedArray, words: dict[str, int], depth: int) -> np.ndarray:
    if pa.types.is_timestamp(column.type):
        column = pc.call_function("divide", [column.cast(pa.int64()).cast(pa.float64()), 1e6])
    if pa.types.is_floating(column.type):
        return pc.fill_null(column, float("nan")).to_numpy().astype(np.float64)

    def code(text: str | None) -> int:
        steps = [] if text is None else text.strip("/").split("/")
        if len(steps) < max(depth, 1):
            return -1
        return words.setdefault("/".join(steps[:depth]) if depth else str(text), len(words))

    found = encode(column, code)
    return np.where(found < 0, np.nan, found)


def matrix(table: pa.Table, column: str, width: int) -> np.ndarray:
    """Return a list column [rows, width]; the schema check saw to its lengths."""
    return list_matrix(table[column], width)


def drawn(total: int, count: int, purpose: str) -> np.ndarray:
    """Draw up to `count` row numbers of `total`, ascending, the same ones every time."""
    if total <= count:
        return np.arange(total)
    picks = draw_uint64(0, np.arange(2 * count), f"verify/{purpose}")[:, 0] % np.uint64(total)
    return np.unique(picks.astype(np.int64))[:count]

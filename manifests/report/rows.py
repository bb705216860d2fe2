"""Rows of a table by id, and a fair draw of ids: what lets a page read only what it shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..fingerprint import draw_uint64
from ..pairset import Pairset
from ..tables import open_parquet


def rows_with(
    pairset: Pairset, table: str, column: str, ids: np.ndarray, columns: Sequence[str]
) -> pa.Table:
    """Read the rows of a table whose `column` (int64) holds one of `ids`, in file order.

    Returns `column` and those of `columns` that the table has.

    Row groups whose range of values holds none of the ids are not read, so a few anchors of a
    table that is sorted by `column` cost a few row groups. Holds one row group and the result.
    """
    wanted = np.unique(np.asarray(ids, np.int64))
    found: list[pa.Table] = []
    schema: pa.Schema | None = None
    for path in pairset.files(table):
        with open_parquet(path) as file:
            have = [n for n in dict.fromkeys([column, *columns]) if n in file.schema_arrow.names]
            schema = pa.schema([file.schema_arrow.field(name) for name in have])
            for group in range(file.num_row_groups):
                if _may_hold(file.metadata.row_group(group), column, wanted):
                    rows = file.read_row_group(group, columns=have)
                    found.append(rows.filter(pa.array(np.isin(rows[column].to_numpy(), wanted))))
    if not found:
        return (schema or pa.schema([])).empty_table()
    return pa.concat_tables(found)


def _may_hold(group: pq.RowGroupMetaData, column: str, wanted: np.ndarray) -> bool:
    for leaf in range(group.num_columns):
        chunk = group.column(leaf)
        if chunk.path_in_schema == column:
            known = chunk.statistics
            if known is None or not known.has_min_max:
                return True
            at = int(np.searchsorted(wanted, known.min))
            return at < len(wanted) and int(wanted[at]) <= known.max
    return True


class LowestDraws:
    """A fair draw of at most `count` of the ids that pass by, in any order, each once.

    Every id has a number drawn from (seed, id, purpose); the ids with the lowest are kept. So the
    draw does not depend on how the ids come, and holds `count` ids only.
    """

    def __init__(self, count: int, seed: int, purpose: str) -> None:
        self._count = count
        self._seed = seed
        self._purpose = purpose
        self._ids = np.zeros(0, np.int64)

    def add(self, ids: np.ndarray) -> None:
        """Let ids pass by (int64 [n], repetitions allowed)."""
        pool = np.unique(np.concatenate([self._ids, np.asarray(ids, np.int64)]))
        order = np.argsort(draw_uint64(self._seed, pool, self._purpose)[:, 0], kind="stable")
        self._ids = pool[order[: self._count]]

    @property
    def ids(self) -> list[int]:
        """The ids drawn, lowest number first."""
        return [int(value) for value in self._ids]

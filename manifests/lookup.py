"""Single rows of a pairset without reading its tables whole: by id, by key, by anchor.

Row groups whose statistics rule a value out are never read; one row group is held at a time.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .errors import DataError
from .pairset import Pairset
from .schema import NO_ID
from .tables import open_parquet

_NEAREST = 5


class SampleRows:
    """Rows of `samples`, or of a table beside it, by sample_id; cheapest for ascending ids."""

    def __init__(self, pairset: Pairset, columns: Sequence[str], table: str = "samples") -> None:
        self._columns = list(columns)
        self._groups: list[tuple[Path, int]] = []
        starts = [0]
        for path in pairset.files(table):
            with open_parquet(path) as file:
                footer = file.metadata
            for number in range(footer.num_row_groups):
                self._groups.append((path, number))
                starts.append(starts[-1] + footer.row_group(number).num_rows)
        self._starts = np.array(starts)
        self._held = -1
        self._table = pa.table({})

    def row(self, sample_id: int) -> dict[str, Any]:
        """Return one row as a dictionary.

        Raises:
            DataError: there is no such sample.
        """
        if not 0 <= sample_id < self._starts[-1]:
            raise DataError(f"sample {sample_id}: ids go from 0 to {int(self._starts[-1]) - 1}.")
        group = int(np.searchsorted(self._starts, sample_id, side="right")) - 1
        if group != self._held:
            path, number = self._groups[group]
            with open_parquet(path) as file:
                self._table = file.read_row_group(number, columns=self._columns)
            self._held = group
        return self._table.slice(sample_id - int(self._starts[group]), 1).to_pylist()[0]

    def rows(self, sample_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Return rows by id, each row group read once."""
        return {sample: self.row(sample) for sample in sorted(set(sample_ids))}


def find_key(pairset: Pairset, key: str) -> int:
    """Return the sample_id of a key.

    Raises:
        DataError: no sample has it; the text names the nearest keys.
    """
    for table in _groups_with(pairset, "samples", "key", key, ["sample_id", "key"]):
        keys = table["key"].to_pylist()
        if key in keys:
            return int(table["sample_id"][keys.index(key)].as_py())
    near = ", ".join(repr(other) for other in nearest_keys(pairset, key))
    raise DataError(f"{pairset.root} has no sample {key!r}. Nearest keys: {near or 'none'}.")


def ids_of_keys(pairset: Pairset, keys: Sequence[str]) -> np.ndarray:
    """Return the sample_id of each key, int64 [n]; -1 for a key that no sample has."""
    wanted, found = pa.array(sorted(set(keys)), pa.string()), dict[str, int]()
    for table in pairset.tables("samples", ["sample_id", "key"]) if len(wanted) else ():
        rows = table.filter(pc.call_function("is_in", [table["key"]], pc.SetLookupOptions(wanted)))
        found |= zip(rows["key"].to_pylist(), rows["sample_id"].to_pylist(), strict=True)
    return np.array([found.get(key, NO_ID) for key in keys], np.int64)


def nearest_keys(pairset: Pairset, key: str, count: int = _NEAREST) -> list[str]:
    """Return the keys that share most characters with `key` at their start and end, any case."""
    wanted = key.casefold()
    best: list[tuple[int, int, str]] = []
    for table in pairset.tables("samples", ["key"]):
        scored = ((*_likeness(wanted, other), other) for other in table["key"].to_pylist())
        best = heapq.nlargest(count, [*best, *scored], key=lambda item: item[:2])
    return [other for *_, other in best]


def _likeness(wanted: str, other: str) -> tuple[int, int]:
    folded = other.casefold()
    head = _common(wanted, folded)
    tail = _common(wanted[:head:-1], folded[:head:-1])
    return (len(wanted) if wanted in folded else head + tail), -abs(len(folded) - len(wanted))


def _common(left: str, right: str) -> int:
    """Return how many characters two texts share at their start."""
    pairs = enumerate(zip(left, right, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(left), len(right)))


def rows_of_anchor(pairset: Pairset, table: str, anchor_id: int) -> list[dict[str, Any]]:
    """Return the rows of `pairs` or `edges` that belong to an anchor, in order."""
    return rows_of(pairset, table, "anchor_id", anchor_id)


def rows_of(pairset: Pairset, table: str, column: str, value: int) -> list[dict[str, Any]]:
    """Return the rows of a table with a number in a column, in order."""
    return table_of(pairset, table, column, value).to_pylist()


def table_of(
    pairset: Pairset, table: str, column: str, value: Any, columns: Sequence[str] | None = None
) -> pa.Table:
    """Return the rows of a table with a value in a column, in order.

    Args:
        pairset: opened.
        table: its name.
        column: that is compared.
        value: a number or a text.
        columns: to read, `column` among them; None for all.
    """
    with open_parquet(pairset.files(table)[0]) as file:
        schema = file.schema_arrow
    empty = schema.empty_table()
    found = [empty.select(list(columns)) if columns else empty]
    for block in _groups_with(pairset, table, column, value, columns):
        places = np.flatnonzero(block[column].to_numpy() == value)
        found.append(block.take(pa.array(places)))
    return pa.concat_tables(found)


def _groups_with(
    pairset: Pairset, table: str, column: str, value: Any, columns: Sequence[str] | None
) -> Iterator[pa.Table]:
    """Yield the row groups whose statistics allow `column == value`."""
    for path in pairset.files(table):
        with open_parquet(path) as file:
            at = file.schema_arrow.names.index(column)
            for number in range(file.num_row_groups):
                if _allows(file.metadata.row_group(number), at, value):
                    yield file.read_row_group(number, columns=list(columns) if columns else None)


def _allows(group: pq.RowGroupMetaData, at: int, value: Any) -> bool:
    statistics = group.column(at).statistics
    if statistics is None or not statistics.has_min_max:
        return True
    # Texts are ordered by their UTF-8 bytes, and so are code points: Python compares alike.
    return bool(statistics.min <= value <= statistics.max)

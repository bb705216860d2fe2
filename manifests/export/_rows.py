"""Rows of a table by their number, those of one split if asked, without reading it whole."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..pairset import Pairset
from ..tables import open_parquet


class TableRows:
    """Rows of a table, numbered from 0 among those of one split; holds 8 bytes a row group."""

    def __init__(
        self,
        pairset: Pairset,
        table: str,
        split: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> None:
        self._split = split
        self._columns = [*columns, "split"] if columns and "split" not in columns else columns
        self._groups: list[tuple[Path, int]] = []
        counts: list[int] = []
        for path in pairset.files(table):
            with open_parquet(path) as file:
                for group in range(file.num_row_groups):
                    self._groups.append((path, group))
                    rows = file.metadata.row_group(group).num_rows
                    if split is not None:
                        column = file.read_row_group(group, columns=["split"])["split"]
                        rows = int(np.count_nonzero(self._mine(column)))
                    counts.append(rows)
        self._starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def tables(self, first: int, behind: int) -> Iterator[pa.Table]:
        """Yield rows [first, behind), a row group or a piece of one at a time."""
        for (path, group), start, stop in zip(
            self._groups, self._starts[:-1], self._starts[1:], strict=True
        ):
            low, high = max(first, int(start)), min(behind, int(stop))
            if low < high:
                with open_parquet(path) as file:
                    found = file.read_row_group(group, columns=self._columns)
                if self._split is not None:
                    found = found.filter(pa.array(self._mine(found["split"])))
                yield found.slice(low - int(start), high - low)

    def _mine(self, column: pa.ChunkedArray) -> np.ndarray:
        return pc.call_function("equal", [column, pa.scalar(self._split)]).to_numpy()


def splits_of(pairset: Pairset, table: str) -> list[str]:
    """Return the names of the splits of a table, in alphabetic order."""
    names: set[str] = set()
    for rows in pairset.tables(table, ["split"]):
        names.update(rows["split"].unique().to_pylist())
    return sorted(names)


def splits_asked(pairset: Pairset, split: str | None) -> list[str]:
    """Return the splits of `pairs` to write: one, all, or the nameless one of an empty table."""
    return [split] if split is not None else splits_of(pairset, "pairs") or [""]


def file_names(splits: Sequence[str]) -> dict[str, str]:
    """Return for each split a name that a file and a split of Hugging Face datasets may have.

    Those take letters, digits and "_"; the nameless split is "train".
    """
    found: dict[str, str] = {}
    for split in splits:
        plain = re.sub(r"\W", "_", split, flags=re.ASCII) or "train"
        name, number = plain, 2
        while name in found.values():
            name, number = f"{plain}_{number}", number + 1
        found[split] = name
    return found


def split_mask(pairset: Pairset, split: str | None) -> np.ndarray:
    """Return bool [N]: the samples of a split; all for None."""
    if split is None:
        return np.ones(int(pairset.counts["samples"]), bool)
    parts = [
        pc.call_function("equal", [rows["split"], pa.scalar(split)]).to_numpy()
        for rows in pairset.tables("samples", ["split"])
    ]
    return np.concatenate([np.zeros(0, bool), *parts])

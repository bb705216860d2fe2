"""Columns of `samples` as integer codes, whole in memory: only those that a miner asks for.

Memory: 4 bytes a sample and coded column, 4 bytes a label entry, 8 bytes a sample for the starts
of sets, and 20 to 30 bytes a sample (or entry) for each index that a miner looks up. The texts
themselves are held one part at a time, and the different values once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from ...manifests.artifact import Artifact
from ...manifests.errors import ConfigError
from ...manifests.schema import NO_ID
from .base import LabelSets, RowIndex

GROUP = "group_id"
SETS = frozenset({"labels", "captions"})
"""Columns of lists; every other column has one value a sample."""
BYTES_A_SAMPLE = 64
"""Upper estimate for the columns and the index of one miner."""


@dataclass(frozen=True)
class Columns:
    """The sample columns of a block of anchors' miner; see `mining.base.SampleColumns`.

    Attributes:
        count: number of samples.
        coded: by column, int32 [count] codes, -1 where a sample has none.
        listed: by column of lists, its sets.
        kept: bool [count], what a selection kept; None where nothing was selected.
    """

    count: int
    coded: Mapping[str, np.ndarray]
    listed: Mapping[str, LabelSets] = field(default_factory=dict)
    kept: np.ndarray | None = None
    _indexes: dict[tuple[str, ...], RowIndex] = field(default_factory=dict, repr=False)

    @classmethod
    def load(
        cls,
        samples: Artifact,
        groups: Artifact,
        wanted: Iterable[str],
        selected: Artifact | None = None,
    ) -> Columns:
        """Read columns of the artifacts `samples` and `groups`.

        Args:
            samples: one table a part.
            groups: one part, int64 [N] group ids.
            wanted: names of columns: "group_id", or text columns of `samples`.
            selected: one part, bool [N], where samples were selected.

        Raises:
            ConfigError: `samples` has no such column of texts.
        """
        coded: dict[str, np.ndarray] = {}
        listed: dict[str, LabelSets] = {}
        for name in dict.fromkeys(wanted):
            if name == GROUP:
                coded[name] = np.asarray(groups.array(groups.parts[0])).astype(np.int32)
            elif name in SETS:
                listed[name] = label_sets(_chunks(samples, name))
            else:
                coded[name] = codes_of(_chunks(samples, name))
        kept = None if selected is None else selected.array(selected.parts[0])
        return cls(samples.rows, coded, listed, kept)

    def take(self, column: str, ids: np.ndarray) -> np.ndarray:
        """Return codes int64, shaped like `ids`; -1 for id -1."""
        codes = self.coded[column]
        if not len(codes):
            return np.full(np.shape(ids), NO_ID, np.int64)
        return np.where(ids == NO_ID, NO_ID, codes[ids].astype(np.int64))

    def sets(self, column: str) -> LabelSets:
        """Return a column of lists as sets of codes."""
        return self.listed[column]

    def is_kept(self, ids: np.ndarray) -> np.ndarray:
        """Say which samples no selector dropped, shaped like `ids`; -1 is not dropped."""
        if self.kept is None or not len(self.kept):
            return np.ones(np.shape(ids), bool)
        return self.kept[ids] | (ids == NO_ID)

    def rows_with(self, *columns: str) -> RowIndex:
        """Return rows by codes, dropped samples left out; made once, then remembered."""
        if columns not in self._indexes:
            first, *others = columns
            if first in self.listed:
                sets = self.listed[first]
                rows = np.repeat(np.arange(self.count), np.diff(sets.starts))
                codes = [sets.codes, *(self.coded[name][rows] for name in others)]
            else:
                rows = np.arange(self.count)
                codes = [self.coded[name] for name in columns]
            if self.kept is not None:
                # An entry whose first code is missing stands in no run: nothing draws it.
                codes[0] = np.where(self.kept[rows], codes[0], NO_ID)
            self._indexes[columns] = RowIndex.of(rows, codes)
        return self._indexes[columns]


def _chunks(samples: Artifact, name: str) -> list[pa.Array]:
    chunks = []
    for part in samples.parts:
        table = samples.table(part, [name])
        if name not in table.column_names:
            raise ConfigError(f"samples have no column {name!r}; a miner asks for it.")
        column = table[name].combine_chunks()
        kind = column.type.value_type if pa.types.is_list(column.type) else column.type
        if not pa.types.is_string(kind):
            raise ConfigError(f"column {name!r} of samples holds {kind}, not texts.")
        chunks.append(_encoded(column))
    return chunks


def _encoded(column: pa.Array) -> pa.Array:
    """Replace texts by a dictionary at once, so that no more than one part's texts are held."""
    if pa.types.is_list(column.type):
        values = column.flatten().dictionary_encode()
        offsets = column.offsets.to_numpy()
        return pa.ListArray.from_arrays(pa.array(offsets - offsets[:1]), values)
    return column.dictionary_encode()


def codes_of(chunks: Sequence[pa.Array]) -> np.ndarray:
    """Number the values of a column of dictionary arrays in sorted order; null is -1.

    Returns:
        int32 [rows of all chunks].
    """
    return _codes(chunks)[0]


def _codes(chunks: Sequence[pa.Array]) -> tuple[np.ndarray, int]:
    known = sorted({value for chunk in chunks for value in chunk.dictionary.to_pylist()})
    number = {value: code for code, value in enumerate(known)}
    coded = []
    for chunk in chunks:
        # The last place holds -1: a null is looked up there.
        table = np.array([*(number[v] for v in chunk.dictionary.to_pylist()), NO_ID], np.int32)
        coded.append(table[chunk.indices.fill_null(len(table) - 1).to_numpy()])
    return (np.concatenate(coded) if coded else np.zeros(0, np.int32)), len(known)


def label_sets(chunks: Sequence[pa.Array]) -> LabelSets:
    """Turn lists of dictionary values into sets: codes ascending in a row, each once."""
    values, count = _codes([chunk.values for chunk in chunks])
    sizes = [np.diff(chunk.offsets.to_numpy()) for chunk in chunks]
    lengths = np.concatenate(sizes).astype(np.int64) if sizes else np.zeros(0, np.int64)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    there = values != NO_ID
    keys = np.unique(rows[there] * max(count, 1) + values[there])
    rows, codes = np.divmod(keys, max(count, 1))
    starts = np.searchsorted(rows, np.arange(len(lengths) + 1))
    return LabelSets(starts.astype(np.int64), codes.astype(np.int32), count)

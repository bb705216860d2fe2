"""Columns of `samples` as codes or numbers, whole in memory: only those that a miner asks for.

Memory: 4 bytes a sample and coded column, 8 bytes a sample and column of numbers, 4 bytes a label
entry, 8 bytes a sample for the starts of sets, and 20 to 30 bytes a sample (or entry) for each
index that a miner looks up. The texts themselves are held one part at a time, and the different
values once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...manifests.artifact import Artifact
from ...manifests.errors import ConfigError
from ...manifests.schema import NO_ID
from .base import LabelSets, RowIndex
from .keys import KeyIds

T = TypeVar("T")
GROUP = "group_id"
STEP = "/"
"""Between the steps of a hierarchy, and between a column and how many of them count."""
MICROS = 1e6
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
        numbered: by column of numbers or times, float64 [count], NaN where a sample has none.
        keys: ids of the keys that the miner names.
    """

    count: int
    coded: Mapping[str, np.ndarray]
    listed: Mapping[str, LabelSets] = field(default_factory=dict)
    numbered: Mapping[str, np.ndarray] = field(default_factory=dict)
    keys: KeyIds = field(default_factory=KeyIds.none)
    _made: dict[str, Any] = field(default_factory=dict, repr=False)
    _indexes: dict[tuple[str, ...], RowIndex] = field(default_factory=dict, repr=False)

    @classmethod
    def load(
        cls,
        samples: Artifact,
        groups: Artifact,
        wanted: Iterable[str],
        numbers: Iterable[str] = (),
        keys: Sequence[str] = (),
    ) -> Columns:
        """Read columns of the artifacts `samples` and `groups`.

        Args:
            samples: one table a part.
            groups: one part, int64 [N] group ids.
            wanted: names of columns: "group_id", or any column of texts, numbers or times;
                "attr_taxon/2" is the first two steps of texts such as "animal/bird/owl".
            numbers: names of columns of numbers or times.
            keys: keys whose sample is asked for.

        Raises:
            ConfigError: `samples` has no such column, or it holds something else.
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
        numbered = {name: _numbers(samples, name) for name in dict.fromkeys(numbers)}
        return cls(samples.rows, coded, listed, numbered, KeyIds.of(samples, keys))

    def take(self, column: str, ids: np.ndarray) -> np.ndarray:
        """Return codes int64, shaped like `ids`; -1 for id -1."""
        codes = self.coded[column]
        if not len(codes):
            return np.full(np.shape(ids), NO_ID, np.int64)
        return np.where(ids == NO_ID, NO_ID, codes[ids].astype(np.int64))

    def sets(self, column: str) -> LabelSets:
        """Return a column of lists as sets of codes."""
        return self.listed[column]

    def numbers(self, column: str, ids: np.ndarray) -> np.ndarray:
        """Return numbers, or seconds since 1970, float64 shaped like `ids`; NaN for none."""
        values = self.numbered[column]
        if not len(values):
            return np.full(np.shape(ids), np.nan)
        return np.where(ids == NO_ID, np.nan, values[ids])

    def ids_of(self, keys: Sequence[str]) -> np.ndarray:
        """Return the sample of each key that the miner names, int64 [n]; -1 where none has it."""
        return self.keys.ids(keys)

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Return what `make` gives, made at the first call and then remembered."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    def rows_with(self, *columns: str) -> RowIndex:
        """Return rows by codes; made once, then remembered."""
        if columns not in self._indexes:
            first, *others = columns
            if first in self.listed:
                sets = self.listed[first]
                rows = np.repeat(np.arange(self.count), np.diff(sets.starts))
                codes = [sets.codes, *(self._code(name)[rows] for name in others)]
            else:
                rows = np.arange(self.count)
                codes = [self._code(name) for name in columns]
            self._indexes[columns] = RowIndex.of(rows, codes)
        return self._indexes[columns]

    def _code(self, column: str) -> np.ndarray:
        """Return codes int [count]; numbers are coded when an index first asks for it."""
        if column in self.coded:
            return self.coded[column]
        return self.once(f"codes of {column}", lambda: rank_codes(self.numbered[column]))


def rank_codes(values: np.ndarray) -> np.ndarray:
    """Number the different values float64 [n] in rising order, int32 [n]; NaN is -1."""
    codes = np.full(len(values), NO_ID, np.int32)
    there = ~np.isnan(values)
    codes[there] = np.unique(values[there], return_inverse=True)[1]
    return codes


def _column(samples: Artifact, part: str, name: str) -> pa.Array:
    table = samples.table(part, [name])
    if name not in table.column_names:
        raise ConfigError(
            f"samples have no column {name!r}; a miner asks for it. An attribute `camera` becomes "
            "column attr_camera by corpus.fields.attributes: {camera: FIELD}."
        )
    return table[name].combine_chunks()


def _numbers(samples: Artifact, name: str) -> np.ndarray:
    blocks = [np.zeros(0)]
    for part in samples.parts:
        column = _column(samples, part, name)
        if pa.types.is_timestamp(column.type):
            column = pc.call_function(
                "divide", [column.cast(pa.int64()).cast(pa.float64()), MICROS]
            )
        if not pa.types.is_floating(column.type):
            raise ConfigError(
                f"column {name!r} of samples holds {column.type}, not numbers or times; "
                "a miner measures distances in it."
            )
        blocks.append(column.fill_null(float("nan")).to_numpy(zero_copy_only=False))
    return np.concatenate(blocks).astype(np.float64)


def _chunks(samples: Artifact, name: str) -> list[pa.Array]:
    name, _, depth = name.partition(STEP)
    chunks = []
    for part in samples.parts:
        column = _column(samples, part, name)
        kind = column.type.value_type if pa.types.is_list(column.type) else column.type
        scalar = pa.types.is_floating(kind) or pa.types.is_timestamp(kind)
        if not (pa.types.is_string(kind) or (scalar and not depth)):
            raise ConfigError(f"column {name!r} of samples holds {kind}, not texts.")
        chunks.append(_encoded(column, int(depth or 0)))
    return chunks


def _encoded(column: pa.Array, depth: int) -> pa.Array:
    """Replace texts by a dictionary at once, so that no more than one part's texts are held.

    With `depth`, a text is its first so many steps; one with fewer is none.
    """
    if depth:
        texts = column.dictionary_encode()
        column = pa.array(
            [first_steps(text, depth) for text in texts.dictionary.to_pylist()], pa.string()
        ).take(texts.indices)
    if pa.types.is_list(column.type):
        values = column.flatten().dictionary_encode()
        offsets = column.offsets.to_numpy()
        return pa.ListArray.from_arrays(pa.array(offsets - offsets[:1]), values)
    return column.dictionary_encode()


def first_steps(text: str, depth: int) -> str | None:
    """Return "animal/bird" of "animal/bird/owl" for depth 2; None where there are fewer steps."""
    steps = text.strip(STEP).split(STEP)
    return STEP.join(steps[:depth]) if len(steps) >= depth else None


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
    return LabelSets.of(rows[there], values[there].astype(np.int64), len(lengths), count)

"""The columns that a stream reads at random, as plain arrays: about 150 bytes a pair.

Parquet is read once, row group by row group. Where the arrays fit the memory budget they stay in
the process (forked workers share them); else they are written once to `.npy` files that all
processes of the machine map. The files stand in the first of: the `cache` that was asked for,
$CURATE_CACHE, OUT/.cache/stream, and, where OUT is read-only, the system's temporary folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..codes import encode
from ..errors import StreamError
from ..pairset import Pairset
from ..schema import NO_ID, SAMPLES, list_matrix
from ..tables import open_parquet
from .extras import extra_bytes, read_extras
from .rows import Allocate, cluster_codes, sort_by_cluster, sort_by_split
from .schedules import read_schedules, schedule_bytes

_DIGEST = 32


@dataclass(frozen=True)
class Request:
    """Which columns a stream needs.

    Attributes:
        captions: whether the first caption of each sample is read.
        groups: columns of `samples` in which equality means "never contrast".
        clusters: whether pairs are walked by cluster; needs `has_clusters`.
        digests: whether the sha256 of each image is read.
    """

    captions: bool = False
    groups: tuple[str, ...] = ("group_id",)
    clusters: bool = False
    digests: bool = False


@dataclass(frozen=True)
class Columns:
    """Columns of `pairs` [M] and `samples` [N] by name.

    pairs: anchor_id, weight [M]; positive_ids, positive_weights [M, P]; negative_ids,
    negative_weights [M, K]; false_negative_ids [M, F]; split_rows [M], the rows of each split one
    after the other, and split_starts [S + 1]; cluster int32 [M], -1 for none, [0] where nothing
    clustered the corpus; when asked for cluster_rows [M] and cluster_starts (see
    `rows.sort_by_cluster`); and the extra columns (see `extras.read_extras`).
    samples: shard (code), offset, size [N + G]; sha256 uint8 [N + G, 32] (zeros where nobody knows
    it), when asked for; groups int64 [N + G, C] (-1 equals nothing), where
    the last G rows are the generated pictures of `assets`: asset a is row N + a;
    caption_starts [N + 1] and caption_bytes, when asked for; and what `schedules.read_schedules`
    adds.

    Attributes:
        arrays: the arrays.
        splits: names of the splits of `pairs`, by position in split_starts.
        shards: names of the shards, by code.
        place: "memory", or the folder of the mapped files.
        methods: names of the methods of synthetic negatives, by code.
        samples: N, number of samples; None where there are no assets.
    """

    arrays: Mapping[str, np.ndarray]
    splits: tuple[str, ...]
    shards: tuple[str, ...]
    place: str = "memory"
    methods: tuple[str, ...] = ()
    samples: int | None = None

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays, in memory or on disk."""
        return sum(array.nbytes for array in self.arrays.values())

    def rows_of(self, split: str) -> np.ndarray:
        """Return the rows of `pairs` in a split, ascending int64."""
        starts, code = self["split_starts"], self.splits.index(split)
        return self["split_rows"][starts[code] : starts[code + 1]]

    def clusters_of(self, split: str | None) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows of a split (None: all splits) by cluster, and where each starts.

        Returns:
            int64 [n] and int64 [C + 1], the end last; see `rows.sort_by_cluster`.
        """
        first, last = 0, len(self["cluster_rows"])
        if split is not None:
            code = self.splits.index(split)
            first, last = self["split_starts"][code : code + 2].tolist()
        starts = self["cluster_starts"]
        low, high = np.searchsorted(starts, [first, last])
        return self["cluster_rows"][first:last], starts[low : high + 1] - first

    def ids_of(self, rows: np.ndarray) -> np.ndarray:
        """Return the ids of rows [N + G]: of a sample its sample_id, of asset a the id -2 - a.

        Ids below 0 are in no list and no mask group, so an asset is never anybody's negative.
        """
        if self.samples is None:
            return rows
        return np.where(rows < self.samples, rows, self.samples - 2 - rows)

    def caption(self, sample_id: int) -> str:
        """Return the first caption of a sample, "" where it has none and for an asset."""
        if self.samples is not None and sample_id >= self.samples:
            return ""
        start, end = self["caption_starts"][sample_id : sample_id + 2]
        return self["caption_bytes"][start:end].tobytes().decode()

    def negative_texts(self, row: int) -> list[str]:
        """Return the negative captions of a row of `pairs`, padding left out."""
        if "text_starts" not in self.arrays:
            return []
        starts, rows = self["text_starts"], len(self["anchor_id"])
        width = (len(starts) - 1) // max(rows, 1)
        bounds = starts[row * width : (row + 1) * width + 1].tolist()
        data = self["text_bytes"]
        return [data[a:b].tobytes().decode() for a, b in pairwise(bounds) if b > a]


@dataclass
class _Codes:
    """Small integers for values, in the order in which they are met; null is -1."""

    known: dict[Any, int] = field(default_factory=dict)

    def of(self, column: pa.ChunkedArray) -> np.ndarray:
        return encode(column, self._code)

    def _code(self, value: Any) -> int:
        return NO_ID if value is None else self.known.setdefault(value, len(self.known))


def has_clusters(pairset: Pairset) -> bool:
    """Say whether `cluster_id` of `pairs` names clusters."""
    return bool(pairset.manifest.get("cluster_id"))


def estimate_bytes(pairset: Pairset, request: Request) -> int:
    """Return about how many bytes the columns take; opens the footers only for captions."""
    counts = pairset.counts
    lists = counts["P"] * 12 + counts["K"] * 12 + counts["F"] * 8
    total = counts["pairs"] * (lists + 20) + counts["samples"] * (20 + 8 * len(request.groups))
    total += counts["pairs"] * (4 * has_clusters(pairset) + 8 * request.clusters)
    total += extra_bytes(pairset, request.captions)
    total += counts.get("assets", 0) * (20 + 8 * len(request.groups))
    total += schedule_bytes(pairset)
    total += request.digests * _DIGEST * (counts["samples"] + counts.get("assets", 0))
    if request.captions:
        total += counts["samples"] * 8 + sum(map(_caption_bytes, pairset.files("samples")))
    return total


def _caption_bytes(path: Path) -> int:
    with open_parquet(path) as file:
        footer = file.metadata
    total = 0
    for group in map(footer.row_group, range(footer.num_row_groups)):
        for column in map(group.column, range(group.num_columns)):
            if column.path_in_schema == "caption":
                total += column.total_uncompressed_size
    return total


def build(pairset: Pairset, request: Request, allocate: Allocate | None = None) -> Columns:
    """Read the columns into arrays that `allocate` makes; ordinary memory when it is not given.

    Raises:
        StreamError: the manifest's counts are not those of its files, or a mask group is no
            column of `samples`.
    """
    arrays: dict[str, np.ndarray] = {}

    def remember(name: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        make = allocate or (lambda _, shape, dtype: np.empty(shape, dtype))
        arrays[name] = make(name, shape, dtype)
        return arrays[name]

    splits, shards = _Codes(), _Codes()
    _read_pairs(pairset, splits, remember, request.clusters)
    blocks = partial(_blocks, pairset, "pairs")
    methods = read_extras(pairset, blocks, remember, request.captions)
    _read_samples(pairset, request, shards, remember)
    read_schedules(pairset, partial(_blocks, pairset, "samples"), remember)
    samples = pairset.counts["samples"] if pairset.counts.get("assets") else None
    names = (tuple(splits.known), tuple(shards.known))
    return Columns(arrays, *names, methods=methods, samples=samples)


def _read_pairs(pairset: Pairset, splits: _Codes, allocate: Allocate, by_cluster: bool) -> None:
    counts = pairset.counts
    rows = counts["pairs"]
    widths = {"positive": counts["P"], "negative": counts["K"], "false_negative": counts["F"]}
    scalars = {
        "anchor_id": allocate("anchor_id", (rows,), np.int64),
        "weight": allocate("weight", (rows,), np.float32),
    }
    lists = {f"{role}_ids": (role, np.int64) for role in widths}
    lists |= {f"{role}_weights": (role, np.float32) for role in ("positive", "negative")}
    matrices = {
        name: allocate(name, (rows, widths[role]), dtype) for name, (role, dtype) in lists.items()
    }
    codes, clustered = np.empty(rows, np.int16), has_clusters(pairset)
    clusters = allocate("cluster", (rows if clustered else 0,), np.int32)
    names = [*scalars, *matrices, "split", *(["cluster_id"] if clustered else [])]
    for start, table in _blocks(pairset, "pairs", names):
        span = slice(start, start + table.num_rows)
        for name, array in scalars.items():
            array[span] = table[name].to_numpy()
        for name, array in matrices.items():
            array[span] = list_matrix(table[name], array.shape[1])
        codes[span] = splits.of(table["split"])
        if clustered:
            clusters[span] = cluster_codes(table["cluster_id"].to_numpy())
    sort_by_split(codes, len(splits.known), allocate)
    if by_cluster:
        sort_by_cluster(codes, len(splits.known), clusters, allocate)


def _read_samples(pairset: Pairset, request: Request, shards: _Codes, allocate: Allocate) -> None:
    assets = pairset.counts.get("assets", 0)
    rows = pairset.counts["samples"] + assets
    shard = allocate("shard", (rows,), np.int32)
    places = {name: allocate(name, (rows,), np.int64) for name in ("offset", "size")}
    groups = allocate("groups", (rows, len(request.groups)), np.int64)
    codes = {name: _Codes() for name in request.groups}
    for start, table in _blocks(pairset, "samples", ["shard", *places, *request.groups]):
        span = slice(start, start + table.num_rows)
        shard[span] = shards.of(table["shard"])
        for name, array in places.items():
            array[span] = table[name].to_numpy()
        for place, name in enumerate(request.groups):
            groups[span, place] = _group(table[name], codes[name])
    for start, table in _blocks(pairset, "assets", ["shard", *places]) if assets else ():
        low = rows - assets + start
        span = slice(low, low + table.num_rows)
        shard[span] = shards.of(table["shard"])
        for name, array in places.items():
            array[span] = table[name].to_numpy()
    groups[rows - assets :] = NO_ID
    if request.digests:
        _read_digests(pairset, rows - assets, allocate("sha256", (rows, _DIGEST), np.uint8))
    if request.captions:
        _read_captions(pairset, allocate)


def _group(column: pa.ChunkedArray, codes: _Codes) -> np.ndarray:
    if pa.types.is_integer(column.type):
        return pc.fill_null(column, NO_ID).to_numpy()
    return codes.of(column)


def _read_digests(pairset: Pairset, samples: int, out: np.ndarray) -> None:
    tables = {"samples": 0, **({"assets": samples} if len(out) > samples else {})}
    for table, low in tables.items():
        for start, block in _blocks(pairset, table, ["sha256"]):
            unknown = "0" * 2 * _DIGEST
            text = "".join(value or unknown for value in block["sha256"].to_pylist())
            found = np.frombuffer(bytes.fromhex(text), np.uint8).reshape(-1, _DIGEST)
            out[low + start : low + start + len(found)] = found


def _read_captions(pairset: Pairset, allocate: Allocate) -> None:
    starts = allocate("caption_starts", (pairset.counts["samples"] + 1,), np.int64)
    starts[0] = 0
    for first, table in _blocks(pairset, "samples", ["caption"]):
        lengths = pc.fill_null(pc.call_function("binary_length", [table["caption"]]), 0).to_numpy()
        starts[first + 1 : first + 1 + len(lengths)] = starts[first] + np.cumsum(lengths)
    text = allocate("caption_bytes", (int(starts[-1]),), np.uint8)
    for first, table in _blocks(pairset, "samples", ["caption"]):
        joined = "".join(value or "" for value in table["caption"].to_pylist()).encode()
        text[starts[first] : starts[first] + len(joined)] = np.frombuffer(joined, np.uint8)


def _blocks(pairset: Pairset, table: str, columns: list[str]) -> Iterator[tuple[int, pa.Table]]:
    unknown = [name for name in columns if table == "samples" and not _is_column(pairset, name)]
    if unknown:
        raise StreamError(
            f"{pairset.root}: mask_groups names {', '.join(unknown)}, which is no column of "
            "samples. Make the pairset anew with mask_groups that it has."
        )
    row, expected = 0, pairset.counts[table]
    for block in pairset.tables(table, list(dict.fromkeys(columns))):
        if row + block.num_rows <= expected:
            yield row, block
        row += block.num_rows
    if row != expected:
        raise StreamError(
            f"{pairset.root}: {table} has {row} rows, manifest.json says {expected}. "
            f"Check the files with: curate verify {pairset.root}"
        )


def _is_column(pairset: Pairset, name: str) -> bool:
    if name in SAMPLES.names:
        return True
    with open_parquet(pairset.files("samples")[0]) as file:
        return name in file.schema_arrow.names

"""Anybody's vectors, wherever they stand: .npy or Parquet, one file or many, local or remote.

Local .npy files are memory-mapped, remote ones are read by byte ranges, Parquet by row groups:
what is held is what was asked for, and for Parquet one row group.
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from . import listing, storage
from .errors import DataError
from .vectors import starts_of

_NAMES = ("vector", "vectors", "embedding", "embeddings", "features")
_HEADER_BYTES = 4096


class VectorFile(ABC):
    """One file of vectors.

    Attributes:
        url: where it stands.
        rows: its rows.
        dim: width of a row.
    """

    url: str
    rows: int
    dim: int

    @abstractmethod
    def read(self, rows: np.ndarray) -> np.ndarray:
        """Return float32 [n, dim] for ascending row numbers int64 [n] of this file."""


class _NpyFile(VectorFile):
    def __init__(self, url: str) -> None:
        self.url = url
        self._data_start = 0
        self._map: np.ndarray | None = None
        if storage.is_remote(url):
            head = storage.read_bytes(url, 0, min(_HEADER_BYTES, listing.describe(url).size))
            shape, fortran, self._dtype, self._data_start = _npy_header(head, url)
            if fortran:
                raise DataError(f"{url}: Fortran order; save it with numpy.ascontiguousarray.")
        else:
            self._map = _map_npy(url)
            shape, self._dtype = self._map.shape, self._map.dtype
        self.rows, self.dim = _checked_shape(url, shape, self._dtype)

    def read(self, rows: np.ndarray) -> np.ndarray:
        if self._map is not None:
            return np.asarray(self._map[rows], np.float32)
        width = self.dim * self._dtype.itemsize
        blocks = [np.zeros((0, self.dim), np.float32)]
        for run in np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1):
            if len(run):
                start = self._data_start + int(run[0]) * width
                data = storage.read_bytes(self.url, start, len(run) * width)
                block = np.frombuffer(data, self._dtype).reshape(-1, self.dim)
                blocks.append(block.astype(np.float32))
        return np.concatenate(blocks)


class _ParquetFile(VectorFile):
    def __init__(self, url: str, column: str | None) -> None:
        self.url = url
        self._file = open_parquet_url(url)
        schema = self._file.schema_arrow
        self._column = _vector_column(url, schema, column)
        self.rows = self._file.metadata.num_rows
        groups = range(self._file.num_row_groups)
        self._starts = starts_of([self._file.metadata.row_group(g).num_rows for g in groups])
        self._group, self._block = -1, np.zeros((0, 0), np.float32)
        kind = schema.field(self._column).type
        fixed = pa.types.is_fixed_size_list(kind)
        self.dim = int(kind.list_size) if fixed else int(self._load(0).shape[1] if self.rows else 0)

    def read(self, rows: np.ndarray) -> np.ndarray:
        out = np.empty((len(rows), self.dim), np.float32)
        groups = np.searchsorted(self._starts, rows, side="right") - 1
        for group in np.unique(groups):
            chosen = groups == group
            out[chosen] = self._load(int(group))[rows[chosen] - self._starts[group]]
        return out

    def _load(self, group: int) -> np.ndarray:
        if group != self._group:
            column = self._file.read_row_group(group, columns=[self._column])[self._column]
            self._block = _list_rows(self.url, column, getattr(self, "dim", None))
            self._group = group
        return self._block


@dataclass(frozen=True)
class VectorTable:
    """Rows of vectors in one or more files, one below the other.

    Attributes:
        files: the files in order; all have one width.
    """

    files: tuple[VectorFile, ...]

    @cached_property
    def starts(self) -> np.ndarray:
        """int64 [files + 1]: the row at which each file starts, and the total."""
        return starts_of([file.rows for file in self.files])

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def dim(self) -> int:
        """Width of a row."""
        return self.files[0].dim

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and width."""
        return len(self), self.dim

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return float32 [n, dim] at row numbers int64 [n], in the order asked.

        Cheapest for ascending numbers. Values are as the file has them: not normalised, NaN kept.
        """
        rows = np.asarray(rows, np.int64)
        order = np.argsort(rows, kind="stable")
        ascending = rows[order]
        out = np.empty((len(rows), self.dim), np.float32)
        where = np.searchsorted(self.starts, ascending, side="right") - 1
        for number in np.unique(where):
            chosen = where == number
            block = self.files[number].read(ascending[chosen] - self.starts[number])
            out[order[chosen]] = block
        return out

    def blocks(self, rows: int = 8192) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (first row, float32 [<= rows, dim]) over all rows in order."""
        for start in range(0, len(self), rows):
            yield start, self.take(np.arange(start, min(start + rows, len(self))))


def open_vectors(path: str, column: str | None = None) -> VectorTable:
    """Open vectors for reading by row number.

    Args:
        path: a `.npy` or Parquet file, a folder of them, a `*` pattern or `{0..9}` list (sorted,
            one below the other); local, or any fsspec URL.
        column: the vector column of Parquet files; when None, the only list-of-floats column, or
            the one called vector, embedding or features.

    Raises:
        DataError: there is no file, or one is not a table of rows of numbers of one width.
    """
    found = listing.matching(path, (".npy", ".parquet"))
    files = tuple(_open(file.url, column) for file in found)
    widths = sorted({file.dim for file in files if file.rows})
    if len(widths) > 1:
        raise DataError(f"{path}: files of different widths: {', '.join(map(str, widths))}.")
    return VectorTable(files)


def open_parquet_url(url: str) -> pq.ParquetFile:
    """Open a Parquet file at a path or URL; a column is read page by page, never whole.

    Raises:
        DataError: the file is not Parquet, or is cut off.
    """
    try:
        if not storage.is_remote(url):
            return pq.ParquetFile(storage.local_path(url), buffer_size=1 << 20, pre_buffer=False)
        fs, path = storage.filesystem(url)
        return pq.ParquetFile(fs.open(path, "rb"), buffer_size=1 << 20, pre_buffer=False)
    except (pa.ArrowException, EOFError) as error:
        raise DataError(f"{url}: not a readable Parquet file ({error}).") from error


def _open(url: str, column: str | None) -> VectorFile:
    if url.lower().endswith(".npy"):
        return _NpyFile(url)
    if url.lower().endswith(".parquet"):
        return _ParquetFile(url, column)
    raise DataError(f"{url}: vectors are read from .npy and .parquet files; this is neither.")


def _map_npy(url: str) -> np.ndarray:
    try:
        return np.load(storage.local_path(url), mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise DataError(f"{url}: not a readable .npy file of numbers ({error}).") from error


def _npy_header(head: bytes, url: str) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    stream = io.BytesIO(head)
    try:
        major, _ = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0
        if major > 1:
            read = np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream)
    except ValueError as error:
        raise DataError(f"{url}: not a readable .npy file of numbers ({error}).") from error
    return shape, fortran, dtype, stream.tell()


def _checked_shape(url: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[int, int]:
    if len(shape) != 2 or shape[1] == 0 or dtype.kind not in "fiu":
        raise DataError(
            f"{url}: shape {shape}, type {dtype}; vectors are numbers of shape [rows, width]."
        )
    return int(shape[0]), int(shape[1])


def _vector_column(url: str, schema: pa.Schema, asked: str | None) -> str:
    lists = [field.name for field in schema if _is_vector(field.type)]
    if asked is not None:
        if asked not in lists:
            raise DataError(f"{url}: no vector column {asked!r}; it has: {_listed(lists)}.")
        return asked
    named = [name for name in lists if name.lower() in _NAMES]
    chosen = lists if len(lists) == 1 else named
    if len(chosen) != 1:
        raise DataError(
            f"{url}: which column holds the vectors? Lists of numbers here: {_listed(lists)}. "
            "Say it with `column`."
        )
    return chosen[0]


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"


def _is_vector(kind: pa.DataType) -> bool:
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if not (lists or pa.types.is_fixed_size_list(kind)):
        return False
    return pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)


def _list_rows(url: str, column: pa.ChunkedArray, dim: int | None) -> np.ndarray:
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], column.type)
    there = array.is_valid().to_numpy(zero_copy_only=False)
    flat = array.drop_null().flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    count = int(there.sum())
    width = dim if dim is not None else (len(flat) // count if count else 0)
    if len(flat) != count * width or not _one_length(array, width):
        raise DataError(f"{url}: vectors of different widths in one column; {width} expected.")
    rows = np.full((len(array), width), np.nan, np.float32)
    rows[there] = flat.reshape(count, width)
    return rows


def _one_length(array: pa.Array, width: int) -> bool:
    if pa.types.is_fixed_size_list(array.type):
        return True
    lengths = np.diff(array.drop_null().offsets.to_numpy())
    return bool((lengths == width).all())

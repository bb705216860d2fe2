"""Rows of `samples` by id: where images stand (held), and texts (read as they are asked for)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from .. import storage
from ..errors import DataError
from ..pairset import Pairset
from ..tables import open_parquet


class ImageBytes:
    """Payloads of images by sample id; holds 20 bytes a sample, never an image."""

    def __init__(self, pairset: Pairset) -> None:
        self._pairset = pairset
        self._shards: dict[str, int] = {}
        codes, offsets, sizes = [], [], []
        for table in pairset.tables("samples", ["shard", "offset", "size"]):
            names = table["shard"].to_pylist()
            known = self._shards
            codes.append(np.array([known.setdefault(n, len(known)) for n in names], np.int32))
            offsets.append(table["offset"].to_numpy())
            sizes.append(table["size"].to_numpy())
        self._code = np.concatenate([np.zeros(0, np.int32), *codes])
        self._offset = np.concatenate([np.zeros(0, np.int64), *offsets])
        self._size = np.concatenate([np.zeros(0, np.int64), *sizes])
        self._names = list(self._shards)

    @property
    def mean_bytes(self) -> float:
        """Mean size of an image."""
        return float(self._size.mean()) if len(self._size) else 0.0

    def read(self, sample_id: int) -> bytes:
        """Return the bytes of an image as the corpus has them.

        Raises:
            DataError: the sample has no image, or its shard cannot be read there.
        """
        shard = self._names[self._code[sample_id]]
        if shard == "":
            raise DataError(
                f"sample {sample_id} of {self._pairset.root} has no image, so it cannot be packed."
            )
        url = self._pairset.shard_url(shard)
        try:
            return storage.read_bytes(url, int(self._offset[sample_id]), int(self._size[sample_id]))
        except (OSError, EOFError) as error:
            raise DataError(
                f"the image of sample {sample_id} cannot be read from {url}: {error}. Where did "
                f"the shard go? `curate verify {self._pairset.root}` lists all that is missing."
            ) from error


class SampleRows:
    """Columns of `samples` by ascending ids; holds one row group."""

    def __init__(self, pairset: Pairset, columns: Sequence[str]) -> None:
        self._columns = list(columns)
        self._groups: list[tuple[Any, int, int]] = []
        first = 0
        for path in pairset.files("samples"):
            with open_parquet(path) as file:
                footer = file.metadata
            for number in range(footer.num_row_groups):
                self._groups.append((path, number, first))
                first += footer.row_group(number).num_rows
        self._starts = np.array([start for _, _, start in self._groups] + [first])
        self._held = -1
        self._table = pa.table({})

    def row(self, sample_id: int) -> dict[str, Any]:
        """Return one row as a dictionary."""
        group = int(np.searchsorted(self._starts, sample_id, side="right")) - 1
        if group != self._held:
            path, number, _ = self._groups[group]
            with open_parquet(path) as file:
                self._table = file.read_row_group(number, columns=self._columns)
            self._held = group
        return self._table.slice(sample_id - int(self._starts[group]), 1).to_pylist()[0]

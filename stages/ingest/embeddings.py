"""A corpus without images: a table of keys with captions, labels, attributes; vectors elsewhere.

The vectors come from the config's `array` spaces. The table is csv, tsv, jsonl or Parquet, alone
in its folder or named; `key` is `fields.key`, else a column key, id, __key__ or image_id. Columns
of vectors or pictures in a Parquet table are not read.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from ...manifests import listing
from ...manifests.errors import ConfigError, DataError
from ...manifests.schema import RejectCode
from .base import Estimate, RawSample, Reader, Slice
from .fields import check_column, choose, guess, scalar_text, value_at
from .tablefile import SUFFIXES, Table, merge_extents, open_table


class EmbeddingsReader(Reader):
    """Reads a table of keys, captions, labels and attributes."""

    has_images: ClassVar[bool] = False

    slice_rows: int = Field(16384, ge=1)

    @classmethod
    def detect(cls, source: str) -> str | None:
        """Return which table holds keys, or None."""
        try:
            url = _table_url(source)
            column = guess("key", open_table(url).columns)
        except (ConfigError, DataError, OSError):
            return None
        return f"a table with column {column!r} and no images" if column else None

    def available(self) -> list[str]:
        """Return the columns of the table."""
        return list(open_table(_table_url(self.source)).columns)

    def slices(self) -> list[Slice]:
        """List the units of reading; holds 24 bytes a row."""
        url = _table_url(self.source)
        table = open_table(url)
        self._key_column(table, url)
        choose(self.fields, table.columns, url, table.typed)
        numbers = array("q")
        for record in table.records():
            numbers.extend((record.start, record.size, record.number))
        places = np.frombuffer(numbers, np.int64).reshape(-1, 3) if numbers else np.zeros((0, 3))
        if not len(places):
            raise DataError(f"{url}: the table has no rows.")
        starts = range(0, len(places), self.slice_rows)
        return [
            Slice(f"{number:05d}", {"extents": _extents(places[at : at + self.slice_rows])})
            for number, at in enumerate(starts)
        ]

    def read(self, piece: Slice) -> Iterator[RawSample]:
        """Stream the samples of one slice in corpus order."""
        url = _table_url(self.source)
        table = open_table(url)
        key = self._key_column(table, url)
        picker = choose(self.fields, table.columns, url, table.typed)
        file = url.replace("\\", "/").rpartition("/")[2]
        for record in table.records(piece.spec["extents"]):
            where = f"{file}:{record.number}"
            if record.values is None:
                yield RawSample("", where, code=RejectCode.BAD_RECORD, message=record.problem)
                continue
            name = scalar_text(value_at(record.values, key)).strip()
            yield picker.sample(record.values, name, where)

    def _key_column(self, table: Table, url: str) -> str:
        if self.fields.key is not None:
            check_column(self.fields.key, table.columns, url)
            return self.fields.key
        column = guess("key", table.columns)
        if column is None:
            raise ConfigError(
                f"{url}: which column holds the keys? It has: {', '.join(table.columns)}. "
                "Say it: corpus.fields.key."
            )
        return column

    def estimate(self) -> Estimate:
        """Say how many rows the table has."""
        url = _table_url(self.source)
        rows = sum(1 for _ in open_table(url).records())
        return Estimate(rows, max(listing.describe(url).size, 0), True)

    def content_identity(self) -> Any:
        """Return a name for the table's size and time."""
        return listing.content_digest([listing.describe(_table_url(self.source))])


def _extents(places: np.ndarray) -> list[list[int]]:
    return merge_extents((int(a), int(b), int(c)) for a, b, c in places)


def _table_url(source: str) -> str:
    if not listing.is_folder(source):
        return source
    found = [
        file
        for file in listing.first_files(source)
        if "/" not in file.path and file.path.lower().endswith(SUFFIXES)
    ]
    if len(found) != 1:
        names = ", ".join(file.path for file in found) or "none"
        raise ConfigError(
            f"{source}: one table of keys is expected in this folder; found: {names}. "
            "Give the table itself as corpus.source."
        )
    return found[0].url

"""A table that names image files: open_clip's tab-separated `filepath`, `title`; csv, tsv, jsonl.

    image     `fields.image`, else the first column of `imagelist.NAME_COLUMNS`: a path, counted
              from the table's folder when it is relative, or any URL
    captions  `fields.caption`, else a column captions, caption, text, txt or title
    key       `fields.key`, else the path without extension

Rows that name one image are one sample with several captions, at the place of the first row.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...manifests import listing, storage
from ...manifests.errors import ConfigError, DataError
from ...manifests.refused import Refused
from ...manifests.schema import RejectCode
from .base import Estimate, RawSample, Reader, Slice, cut
from .fields import Picker, check_column, choose, guess, scalar_text, value_at
from .files import inside, read_image
from .grouping import group_records
from .imagelist import NAME_COLUMNS
from .names import extension, stem
from .tablefile import Record, Table, open_table

SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson")


class CsvReader(Reader):
    """Reads a table of image paths and captions."""

    @classmethod
    def detect(cls, source: str) -> str | None:
        """Return which column names images, or None."""
        if not source.lower().endswith(SUFFIXES) or not listing.exists(source):
            return None
        column = guess("image", open_table(source).columns, NAME_COLUMNS)
        return f"a table with column {column!r}" if column else None

    def available(self) -> list[str]:
        """Return the columns of the table."""
        return list(open_table(self.source).columns)

    def slices(self) -> list[Slice]:
        """List the units of reading; holds 60 bytes a row."""
        table = open_table(self.source)
        column = self._image_column(table)
        self._picker(table, column)
        bytes_of_row: list[int] = []

        def named() -> Iterator[tuple[Record, str | None]]:
            last: str | None = None
            for record in table.records():
                name = _name(record, column)
                again = name is not None and name == last
                bytes_of_row.append(0 if again else self._size(name))
                last = name
                yield record, name

        groups = group_records(named())
        if not len(groups):
            raise DataError(f"{self.source}: the table has no rows.")
        sizes = np.asarray(bytes_of_row)[groups.first].tolist()
        return [
            Slice(f"{number:05d}", {"extents": groups.extents(start, stop)})
            for number, (start, stop) in enumerate(cut(sizes, self.slice_rows, self.shard_bytes))
        ]

    def read(self, piece: Slice) -> Iterator[RawSample]:
        """Stream the samples of one slice in corpus order."""
        table = open_table(self.source)
        column = self._image_column(table)
        picker = self._picker(table, column)
        file = self.source.replace("\\", "/").rpartition("/")[2]
        found: dict[str, RawSample] = {}
        for record in table.records(piece.spec["extents"]):
            name = _name(record, column)
            where = f"{file}:{record.number}"
            if name is None or record.values is None:
                problem = record.problem or f"column {column!r} names no image"
                found[f"\0{record.start}"] = RawSample(
                    "", where, code=RejectCode.BAD_RECORD, message=problem
                )
                continue
            sample = picker.sample(record.values, "", where)
            if name in found:
                _merge(found[name], sample)
                continue
            sample.key = scalar_text(value_at(record.values, self.fields.key)) or _key(name)
            sample.ext = extension(name)
            found[name] = sample
        for name, sample in found.items():
            if sample.code is None:
                try:
                    sample.data = read_image(self._url(name), self.max_file_bytes)
                except Refused as refused:
                    sample.code, sample.message = refused.code, refused.message
            yield sample
            sample.data = None

    def _url(self, name: str) -> str:
        if storage.is_remote(name):
            return name
        path = storage.local_path(name)
        return str(path) if path.is_absolute() else inside(listing.parent(self.source), str(path))

    def _size(self, name: str | None) -> int:
        if name is None or storage.is_remote(name) or storage.is_remote(self.source):
            return 0  # asking a store for each file would take longer than an uneven slice costs
        try:
            return storage.local_path(self._url(name)).stat().st_size
        except (OSError, ValueError, Refused):
            return 0

    def _image_column(self, table: Table) -> str:
        if self.fields.image is not None:
            check_column(self.fields.image, table.columns, self.source)
            return self.fields.image
        column = guess("image", table.columns, NAME_COLUMNS)
        if column is None:
            raise ConfigError(
                f"{self.source}: which column names the images? It has: "
                f"{', '.join(table.columns)}. Say it: corpus.fields.image."
            )
        return column

    def _picker(self, table: Table, image: str) -> Picker:
        columns = [column for column in table.columns if column != image]
        if self.fields.key is not None:
            check_column(self.fields.key, table.columns, self.source)
        return choose(self.fields, columns, self.source, table.typed)

    def estimate(self) -> Estimate:
        """Say how many rows there are; bytes from the sizes of the first thousand images."""
        table = open_table(self.source)
        column = self._image_column(table)
        rows, measured = 0, []
        for record in table.records():
            rows += 1
            if len(measured) < 1000:
                measured.append(self._size(_name(record, column)))
        mean = sum(measured) / len(measured) if measured else 0
        return Estimate(rows, int(mean * rows), False)

    def content_identity(self) -> Any:
        """Return a name for the table, and for sizes and times of the local images it names."""
        table = open_table(self.source)
        column = self._image_column(table)
        files = [listing.describe(self.source)]
        for record in table.records():
            name = _name(record, column)
            if name is not None and not storage.is_remote(name):
                try:
                    files.append(listing.describe(self._url(name)))
                except (OSError, ValueError, Refused):
                    continue
        return listing.content_digest(files)


def _name(record: Record, column: str) -> str | None:
    return scalar_text(value_at(record.values, column)).strip() or None


def _key(name: str) -> str:
    return stem(name if storage.is_remote(name) else name.replace("\\", "/").removeprefix("./"))


def _merge(sample: RawSample, more: RawSample) -> None:
    sample.captions = [*sample.captions, *more.captions]
    sample.labels = list(dict.fromkeys([*sample.labels, *more.labels]))
    if more.code is not None and sample.code is None:
        sample.code, sample.message = more.code, more.message

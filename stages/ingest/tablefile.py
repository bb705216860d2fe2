"""Tables that lie beside images: csv, tsv, jsonl, Flickr token and Parquet, read by extents.

An extent [start, size, number] is where consecutive records stand: bytes of a text file, or rows
of a Parquet file; `number` is the first one's line or row, for people. A slice of a corpus holds
extents, so its worker reads its own records only.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import pyarrow as pa

from ...manifests import storage
from ...manifests.errors import DataError
from ...manifests.vector_table import open_parquet_url
from .fields import decode_text
from .files import open_binary

SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".token", ".parquet")
Extent = Sequence[int]

_TOKEN = re.compile(r"(.*)#(\d+)\t(.*)")
_LOOK_AT = 100


@dataclass(frozen=True)
class Record:
    """One record: where it stands, its values, or what is wrong with it (`values` None)."""

    start: int
    size: int
    number: int
    values: Mapping[str, Any] | None
    problem: str = ""


class Table(Protocol):
    """A table file."""

    url: str
    columns: list[str]
    typed: bool

    def records(self, extents: Iterable[Extent] | None = None) -> Iterator[Record]:
        """Yield the records of some extents, or of the whole file."""
        ...


def open_table(url: str) -> Table:
    """Open a table by its name's ending.

    Raises:
        DataError: an ending that is not read, or a file without a header.
    """
    name = url.lower()
    if name.endswith(".parquet"):
        return _ParquetTable(url)
    if name.endswith((".jsonl", ".ndjson")):
        return _JsonTable(url)
    if name.endswith(".token"):
        return _TokenTable(url)
    if name.endswith((".csv", ".tsv", ".txt")):
        return _CsvTable(url)
    raise DataError(f"{url}: tables are read from {', '.join(SUFFIXES)} files.")


class _Lines:
    """Lines of a byte stream with their offsets; lines can be given back."""

    def __init__(self, stream: Iterable[bytes], start: int, number: int) -> None:
        self._stream = iter(stream)
        self._back: list[tuple[bytes, int, int]] = []
        self._at, self._number = start, number

    def next(self) -> tuple[bytes, int, int] | None:
        """Return (line, offset, line number), or None at the end."""
        if self._back:
            return self._back.pop()
        line = next(self._stream, None)
        if line is None:
            return None
        item = (line, self._at, self._number)
        self._at, self._number = self._at + len(line), self._number + 1
        return item

    def give_back(self, items: Sequence[tuple[bytes, int, int]]) -> None:
        """Let these lines come again."""
        self._back.extend(reversed(items))


class _TextTable:
    """A text file with one record a line, or, for csv, a few lines."""

    typed = True

    def __init__(self, url: str) -> None:
        self.url = url
        self.columns: list[str] = []
        self._header_size, self._header_lines = 0, 0

    def records(self, extents: Iterable[Extent] | None = None) -> Generator[Record, None, None]:
        """Yield the records of some extents, or of the whole file."""
        if extents is None:
            with open_binary(self.url) as stream:
                stream.seek(self._header_size)
                yield from self._parse(_Lines(stream, self._header_size, self._header_lines + 1))
            return
        for start, size, number in extents:
            data = storage.retrying(
                self.url, lambda at=start, n=size: storage.read_bytes(self.url, at, n)
            )
            yield from self._parse(_Lines(io.BytesIO(data), start, number))

    def _parse(self, lines: _Lines) -> Iterator[Record]:
        while (item := lines.next()) is not None:
            line, start, number = item
            text = decode_text(line).strip("\r\n")
            if text.strip():
                values, problem = self._values(text)
                yield Record(start, len(line), number, values, problem)

    def _values(self, text: str) -> tuple[Mapping[str, Any] | None, str]:
        del text
        return None, ""


class _JsonTable(_TextTable):
    def __init__(self, url: str) -> None:
        super().__init__(url)
        seen: dict[str, None] = {}
        with closing(self.records()) as records:
            for record in islice(records, _LOOK_AT):
                seen.update(dict.fromkeys(record.values or ()))
        self.columns = list(seen)

    def _values(self, text: str) -> tuple[Mapping[str, Any] | None, str]:
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            return None, f"not JSON: {error}"
        return (values, "") if isinstance(values, dict) else (None, "not a JSON object")


class _TokenTable(_TextTable):
    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.columns = ["image", "caption"]

    def _values(self, text: str) -> tuple[Mapping[str, Any] | None, str]:
        match = _TOKEN.fullmatch(text)
        if not match:
            return None, "not of the form image#number<tab>caption"
        return {"image": match[1], "caption": match[3]}, ""


class _CsvTable(_TextTable):
    typed = False

    def __init__(self, url: str) -> None:
        super().__init__(url)
        with open_binary(url) as stream:
            first = stream.readline()
        if first[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise DataError(f"{url}: this is UTF-16; save it as UTF-8 (iconv -f UTF-16 -t UTF-8).")
        header = decode_text(first).strip("\r\n")
        self._delimiter = max("\t,;", key=header.count)
        names = next(csv.reader([header], delimiter=self._delimiter), [])
        self.columns = [name.strip() for name in names]
        if not self.columns:
            raise DataError(f"{url}: the first line must name the columns; it is empty.")
        self._header_size, self._header_lines = len(first), 1

    def _parse(self, lines: _Lines) -> Iterator[Record]:
        while (item := lines.next()) is not None:
            if not item[0].strip():
                continue
            taken = [item]
            row, problem = self._row(lines, taken)
            if problem:
                # A stray quote swallows what follows, so only its own line is given up.
                lines.give_back(taken[1:])
                del taken[1:]
            size = sum(len(line) for line, _, _ in taken)
            values = None if problem else dict(zip(self.columns, row, strict=True))
            yield Record(item[1], size, item[2], values, problem)

    def _row(self, lines: _Lines, taken: list[tuple[bytes, int, int]]) -> tuple[list[str], str]:
        def feed() -> Iterator[str]:
            yield decode_text(taken[0][0])
            while (more := lines.next()) is not None:
                taken.append(more)
                yield decode_text(more[0])

        # The csv module gives up a field of more than 131072 characters, which bounds `taken`.
        try:
            row = next(csv.reader(feed(), delimiter=self._delimiter, strict=True), [])
        except csv.Error as error:
            return [], f"not csv: {error}"
        if len(row) != len(self.columns):
            return [], f"{len(row)} values, but the header names {len(self.columns)} columns"
        return row, ""


class _ParquetTable:
    typed = True

    def __init__(self, url: str) -> None:
        self.url = url
        self._file = open_parquet_url(url)
        schema = self._file.schema_arrow
        self.columns = [field.name for field in schema if not _is_heavy(field.type)]

    def records(self, extents: Iterable[Extent] | None = None) -> Iterator[Record]:
        """Yield the records of some extents (rows), or of the whole file."""
        wanted = [(0, self._file.metadata.num_rows)] if extents is None else None
        for start, size in wanted or [(e[0], e[1]) for e in extents or ()]:
            yield from self._rows(start, start + size)

    def _rows(self, start: int, stop: int) -> Iterator[Record]:
        first = 0
        for group in range(self._file.num_row_groups):
            count = self._file.metadata.row_group(group).num_rows
            if first < stop and first + count > start:
                at = first
                for batch in self._file.iter_batches(
                    1024, row_groups=[group], columns=self.columns
                ):
                    for row, values in enumerate(batch.to_pylist(), at):
                        if start <= row < stop:
                            yield Record(row, 1, row, values)
                    at += batch.num_rows
            first += count


def _is_heavy(kind: pa.DataType) -> bool:
    # Vectors and pictures: a table of captions and labels is read without them.
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return bool(pa.types.is_floating(kind.value_type))
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def merge_extents(records: Iterable[tuple[int, int, int]]) -> list[list[int]]:
    """Join the extents of records that stand one behind the other."""
    merged: list[list[int]] = []
    for start, size, number in records:
        if merged and merged[-1][0] + merged[-1][1] == start:
            merged[-1][1] += size
        else:
            merged.append([start, size, number])
    return merged

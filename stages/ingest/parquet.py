"""Parquet: a file, a folder or a pattern, one row a sample.

    image     the bytes (a binary column), a Hugging Face Image struct {bytes, path}, a path below
              the file's folder (a string column), or columns shard, offset, size of a tar there
    key       `fields.key`, else a column key, id, __key__ or image_id, else FILE-ROW
    captions  a string or a list of strings; labels the same; integers that the file's Hugging Face
              metadata calls ClassLabel become their names
    split     a column, else the file's name or folder: train-00000-of-00001.parquet -> train
    status    an img2dataset column: rows whose status is not "success" are refused

A slice is one or more whole row groups; a row group is read page by page, 16 rows at a time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ...manifests import listing, storage
from ...manifests.errors import ConfigError, DataError
from ...manifests.listing import FoundFile
from ...manifests.refused import Refused
from ...manifests.schema import RejectCode
from ...manifests.vector_table import open_parquet_url
from .base import Estimate, RawSample, Reader, Slice
from .fields import Picker, check_column, choose, guess, scalar_text, value_at
from .files import inside, read_image, read_range
from .imagelist import SPLIT_FOLDERS
from .names import extension, stem

_IMAGES = ("image", "img", "jpg", "jpeg", "png", "webp", "image_bytes", "bytes", "content")
_PATHS = ("image", "image_path", "file_name", "filename", "filepath", "path")
_TAR = ("shard", "offset", "size")
_BATCH = 16
_OTHER_TABLES = ("captions", "splits", "split", "labels", "metadata")


@dataclass(frozen=True)
class _Layout:
    """Where one file keeps pictures and keys; kind is "bytes", "struct", "path" or "tar"."""

    kind: str
    image: str
    key: str | None
    picker: Picker
    columns: list[str]
    classes: Mapping[str, list[str]]
    status: bool
    split: str


class ParquetReader(Reader):
    """Reads images and their data from Parquet rows."""

    @classmethod
    def detect(cls, source: str) -> str | None:
        """Return which column holds images, or None."""
        try:
            files = _files(source)
            schema = open_parquet_url(files[0].url).schema_arrow
        except (DataError, OSError):
            return None
        kind, column = _image_column(schema, None)
        return f"{len(files)} Parquet files with {kind} column {column!r}" if kind else None

    def available(self) -> list[str]:
        """Return the columns of the first file."""
        return list(open_parquet_url(_files(self.source)[0].url).schema_arrow.names)

    def slices(self) -> list[Slice]:
        """List the units of reading: runs of row groups, in the order of the files."""
        pieces: list[Slice] = []
        for file in _files(self.source):
            table = open_parquet_url(file.url)
            self._layout(table, file.url)
            groups = [table.metadata.row_group(n) for n in range(table.num_row_groups)]
            first = 0
            for start, stop in _runs(groups, self.slice_rows, self.shard_bytes):
                spec = {"url": file.url, "groups": [start, stop], "row": first}
                pieces.append(Slice(f"{file.path}:{start}", spec))
                first += sum(group.num_rows for group in groups[start:stop])
        if not pieces:
            raise DataError(f"{self.source}: the Parquet files hold no rows.")
        return pieces

    def read(self, piece: Slice) -> Iterator[RawSample]:
        """Stream the samples of one slice in corpus order."""
        url, row = piece.spec["url"], piece.spec["row"]
        table = open_parquet_url(url)
        layout = self._layout(table, url)
        file = url.replace("\\", "/").rpartition("/")[2]
        groups = list(range(*piece.spec["groups"]))
        for batch in table.iter_batches(_BATCH, row_groups=groups, columns=layout.columns):
            for record in batch.to_pylist():
                sample = self._sample(record, layout, f"{file}:{row}", f"{stem(file)}-{row:08d}")
                if sample.code is None:
                    self._add_image(sample, record, layout, url)
                yield sample
                sample.data = None
                row += 1

    def _sample(self, record: dict[str, Any], layout: _Layout, where: str, key: str) -> RawSample:
        for name, names in layout.classes.items():
            number = record.get(name)
            if isinstance(number, int) and 0 <= number < len(names):
                record[name] = names[number]
        name = scalar_text(value_at(record, layout.key)) if layout.key else key
        sample = layout.picker.sample(record, name, where)
        sample.split = sample.split or layout.split
        if layout.status and record.get("status") != "success":
            why = scalar_text(record.get("error_message")) or scalar_text(record.get("status"))
            sample.code, sample.message = RejectCode.UPSTREAM_FAILURE, why or "no status"
        return sample

    def _add_image(
        self, sample: RawSample, record: Mapping[str, Any], layout: _Layout, url: str
    ) -> None:
        folder = listing.parent(listing.absolute(url))
        value = value_at(record, layout.image)
        try:
            if layout.kind == "tar":
                _add_from_tar(sample, record, folder, self.max_file_bytes)
                return
            path = value.get("path") if isinstance(value, Mapping) else value
            data = value.get("bytes") if isinstance(value, Mapping) else value
            if isinstance(data, bytes):
                if len(data) > self.max_file_bytes:
                    raise Refused(RejectCode.TOO_LARGE_FILE, f"{len(data)} bytes")
                sample.data = data
            elif isinstance(path, str) and path:
                sample.ext = extension(path)
                sample.data = read_image(_place(folder, path), self.max_file_bytes)
            else:
                raise Refused(RejectCode.NO_IMAGE, f"column {layout.image!r} is empty")
        except Refused as refused:
            sample.code, sample.message = refused.code, refused.message

    def _layout(self, table: pq.ParquetFile, url: str) -> _Layout:
        schema = table.schema_arrow
        if self.fields.image is not None:
            check_column(self.fields.image, schema.names, url)
        kind, image = _image_column(schema, self.fields.image)
        if kind is None:
            raise ConfigError(
                f"{url}: which column holds the images? It has: {', '.join(schema.names)}. "
                "Say it: corpus.fields.image (bytes, a struct with bytes and path, or a path)."
            )
        used = set(_TAR) if kind == "tar" else {image}
        rest = [name for name in schema.names if name not in used]
        key = self.fields.key or guess("key", rest)
        if self.fields.key is not None:
            check_column(self.fields.key, schema.names, url)
        picker = choose(self.fields, rest, url)
        paths = [*picker.caption, *picker.attributes.values(), key]
        paths += [picker.label, picker.labels, picker.split, picker.uid]
        paths += ["status", "error_message", *used]
        tops = {path if path in schema.names else path.split(".")[0] for path in paths if path}
        columns = [name for name in schema.names if name in tops]
        classes = _class_names(schema)
        status = "status" in schema.names and "url" in schema.names
        return _Layout(kind, image, key, picker, columns, classes, status, _split_of(url))

    def estimate(self) -> Estimate:
        """Say how many rows and bytes there are."""
        files = _files(self.source)
        rows = sum(open_parquet_url(file.url).metadata.num_rows for file in files)
        return Estimate(rows, sum(max(file.size, 0) for file in files), True)

    def content_identity(self) -> Any:
        """Return a name for the names, sizes and times of the Parquet files."""
        return listing.content_digest(_files(self.source))


def _files(source: str) -> list[FoundFile]:
    found = listing.matching(source, (".parquet",))
    kept = [f for f in found if stem(f.path.rpartition("/")[2]).lower() not in _OTHER_TABLES]
    if not kept or not all(file.path.lower().endswith(".parquet") for file in kept):
        raise DataError(f"{source}: no Parquet file of samples is there.")
    return kept


def _image_column(schema: pa.Schema, asked: str | None) -> tuple[str | None, str]:
    names = [asked] if asked else list(schema.names)
    if asked is None and all(name in schema.names for name in _TAR):
        return "tar", "shard"
    by_lower = {name.lower(): name for name in names}
    for wanted in [asked.lower()] if asked else _IMAGES:
        name = by_lower.get(wanted)
        kind = schema.field(name).type if name in schema.names else None
        if name is None or kind is None:
            continue
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            return "bytes", name
        if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            return "struct", name
    for wanted in [asked.lower()] if asked else _PATHS:
        name = by_lower.get(wanted, "")
        if name in schema.names and _is_text(schema.field(name).type):
            return "path", name
    return None, ""


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _split_of(url: str) -> str:
    folder, _, file = url.replace("\\", "/").rpartition("/")
    name = re.split(r"[-_.]", file)[0]
    return next((n for n in (name, folder.rpartition("/")[2]) if n.lower() in SPLIT_FOLDERS), "")


def _runs(groups: list[Any], rows: int, size: int) -> Iterator[tuple[int, int]]:
    start = held = held_bytes = 0
    for number, group in enumerate(groups):
        over = held + group.num_rows > rows or held_bytes + group.total_byte_size > size
        if number > start and over:
            yield start, number
            start, held, held_bytes = number, 0, 0
        held, held_bytes = held + group.num_rows, held_bytes + group.total_byte_size
    if groups:
        yield start, len(groups)


def _class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """Return column -> names of its classes, from the metadata that `datasets` writes."""
    try:
        info = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {
            name: list(feature["names"])
            for name, feature in info.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
    except (KeyError, ValueError, TypeError):
        return {}


def _place(folder: str, path: str) -> str:
    return path if storage.is_remote(path) and storage.is_remote(folder) else inside(folder, path)


def _add_from_tar(
    sample: RawSample, record: Mapping[str, Any], folder: str, max_bytes: int
) -> None:
    shard, offset, size = (record.get(name) for name in _TAR)
    if not isinstance(shard, str) or not isinstance(offset, int) or not isinstance(size, int):
        raise Refused(RejectCode.BAD_RECORD, f"shard {shard!r}, offset {offset!r}, size {size!r}")
    url = _place(folder, shard)
    sample.data = read_range(url, offset, size, max_bytes)
    sample.shard, sample.offset, sample.size = url, offset, size

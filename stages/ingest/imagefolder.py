"""Hugging Face imagefolder: images, and metadata.{csv,jsonl,parquet} with a column `file_name`.

    key     path below the root, without extension (or the column that `fields.key` names)
    where   the metadata file stands in the root or in any folder; its names count from there
    split   a column, else a top folder called train, val or test
    label   a column; or `fields: {label: parent}`

The corpus is in the order of the metadata files, then come the images that none names, sorted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...manifests import listing
from ...manifests.errors import DataError
from ...manifests.refused import Refused
from ...manifests.schema import RejectCode
from .base import Estimate, RawSample, Reader, Slice, cut
from .fields import check_column, choose, guess, scalar_text, value_at
from .files import read_image
from .imagelist import ImageList, split_of
from .names import extension, stem
from .sidetables import PARENT
from .tablefile import Record, Table, merge_extents, open_table

_METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_NAMES = ("file_name", "filename", "image")


class ImageFolderReader(Reader):
    """Reads images that a metadata file describes."""

    @classmethod
    def detect(cls, source: str) -> str | None:
        """Return the metadata files that stand in the folder or just below, or None."""
        if not listing.is_folder(source):
            return None
        found = [name for name in _METADATA if listing.exists(listing.join(source, name))]
        if not found:
            files = listing.first_files(source)
            found = [file.path for file in files if _is_metadata(file.path)]
        return f"has {found[0]}" if found else None

    def available(self) -> list[str]:
        """Return the columns of the metadata files."""
        tables = [open_table(url) for _, url in self._metadata(ImageList.of(self.source))]
        return [PARENT, *dict.fromkeys(name for table in tables for name in table.columns)]

    def slices(self) -> list[Slice]:
        """List the units of reading in corpus order; holds the names of all images."""
        images = ImageList.of(self.source)
        specs = [
            spec
            for path, url in self._metadata(images)
            for spec in self._table_specs(path, open_table(url), images)
        ]
        rest, links = images.unnamed()
        entries: list[dict[str, Any]] = [{"path": file.path} for file in rest]
        for file in links:
            message = {"code": RejectCode.UNSAFE_PATH, "message": file.unsafe}
            entries.append({"name": file.path, **message})
        specs += [{"images": entries[a:b]} for a, b in self._cut(entries, images)]
        if not specs:
            raise DataError(f"{self.source}: the metadata names no image, and none is there.")
        return [Slice(f"{number:05d}", spec) for number, spec in enumerate(specs)]

    def _table_specs(self, path: str, table: Table, images: ImageList) -> list[dict[str, Any]]:
        column = self._name_column(path, table)
        self._picker(path, table)
        entries: list[dict[str, Any]] = []
        places: list[tuple[int, int, int]] = []
        for record in table.records():
            entries.append(_entry(path, record, column, images))
            places.append((record.start, record.size, record.number))
        return [
            {"images": entries[a:b], "table": path, "extents": merge_extents(places[a:b])}
            for a, b in self._cut(entries, images)
        ]

    def _cut(self, entries: list[dict[str, Any]], images: ImageList) -> list[tuple[int, int]]:
        found = (images.images.get(entry.get("path", "")) for entry in entries)
        sizes = [file.size if file else 0 for file in found]
        return cut(sizes, self.slice_rows, self.shard_bytes)

    def read(self, piece: Slice) -> Iterator[RawSample]:
        """Stream the samples of one slice in corpus order."""
        root = listing.absolute(self.source)
        if "table" in piece.spec:
            path = piece.spec["table"]
            table = open_table(listing.join(root, path))
            picker = self._picker(path, table)
            records = table.records(piece.spec["extents"])
        else:
            path, picker, records = "", None, iter(())
        for entry in piece.spec["images"]:
            record = next(records, None)
            sample = RawSample("", "")
            if record is not None and record.values is not None and picker is not None:
                sample = picker.sample(record.values, "", "")
                sample.key = scalar_text(value_at(record.values, self.fields.key))
            self._fill(sample, entry, f"{path}:{record.number}" if record else "")
            if sample.code is None:
                try:
                    url = listing.join(root, entry["path"])
                    sample.data = read_image(url, self.max_file_bytes)
                except Refused as refused:
                    sample.code, sample.message = refused.code, refused.message
            yield sample
            sample.data = None

    def _fill(self, sample: RawSample, entry: dict[str, Any], where: str) -> None:
        path = entry.get("path", "")
        sample.key = sample.key or stem(path or entry.get("name", ""))
        sample.where, sample.ext = path or where or sample.key, extension(path)
        sample.split = sample.split or split_of(path)
        if self.fields.label == PARENT and "/" in path:
            sample.labels = [path.rsplit("/", 2)[-2]]
        if "code" in entry:
            sample.code, sample.message = RejectCode(entry["code"]), entry["message"]

    def _metadata(self, images: ImageList) -> list[tuple[str, str]]:
        found = [(path, file.url) for path, file in images.others.items() if _is_metadata(path)]
        if not found:
            raise DataError(
                f"{self.source}: no {', '.join(_METADATA)} is in this folder. Without one, read it "
                "as plain images: format: folder."
            )
        return found

    def _name_column(self, path: str, table: Table) -> str:
        if self.fields.image is not None:
            check_column(self.fields.image, table.columns, path)
            return self.fields.image
        column = guess("image", table.columns, _NAMES)
        if column is None:
            raise DataError(
                f"{path}: no column `file_name`; it has: {', '.join(table.columns)}. "
                "Say which names the image: corpus.fields.image."
            )
        return column

    def _picker(self, path: str, table: Table) -> Any:
        fields = self.fields
        if fields.label == PARENT:
            fields = fields.model_copy(update={"label": None})
        return choose(fields, table.columns, path, table.typed)

    def estimate(self) -> Estimate:
        """Say how many images there are, and their bytes."""
        images = ImageList.of(self.source).images.values()
        return Estimate(len(images), sum(file.size for file in images), True)

    def content_identity(self) -> Any:
        """Return a name for the names, sizes and times of all files."""
        return listing.content_digest(listing.files_below(self.source))


def _is_metadata(path: str) -> bool:
    return path.rpartition("/")[2].lower() in _METADATA


def _entry(table: str, record: Record, column: str, images: ImageList) -> dict[str, Any]:
    if record.values is None:
        return {"code": RejectCode.BAD_RECORD, "message": record.problem}
    name = scalar_text(value_at(record.values, column)).strip()
    if not name:
        return {"code": RejectCode.BAD_RECORD, "message": f"column {column!r} names no image"}
    folder = table.rpartition("/")[0]
    path = f"{folder}/{name}" if folder and not name.startswith("/") else name
    try:
        found = images.exact(path)
    except Refused as refused:
        return {"name": path, "code": refused.code, "message": refused.message}
    images.taken.add(found)
    return {"path": found}

"""Images in folders, with captions beside them.

    key       path below the root, without extension
    captions  `NAME.txt` beside `NAME.jpg` (one caption a line), and/or a table in the root:
              captions.{csv,tsv,txt,jsonl,parquet} or *.token (Flickr: image#number<tab>caption)
    split     a table splits.{csv,tsv,jsonl,parquet}, else a top folder called train, val or test
    label     a table labels.*; or `fields: {label: parent}`, the folder that an image stands in

A table names the image in its first column of `imagelist.NAME_COLUMNS`. `fields` may name a column
as "column" or as "file:column" ("splits.jsonl:split"). The corpus is in the order of the caption
table, then come the images that it does not name, sorted; without one all are sorted. Hidden
files are left out; links that leave the folder are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...manifests import listing, storage
from ...manifests.refused import Refused
from ...manifests.schema import RejectCode
from .base import Estimate, RawSample, Reader, Slice, cut
from .files import read_image
from .grouping import group_records
from .imagelist import KNOWN_PICTURES, ImageList, split_of
from .names import extension, stem
from .sidetables import PARENT, SideTable, add_text, open_side_table, side_tables
from .tablefile import Record

Entry = dict[str, Any]
"""One input in a slice: path, name (as the table has it), text (has a .txt), facts, code, message;
only what applies."""


class FolderReader(Reader):
    """Reads images in nested folders with captions beside them."""

    @classmethod
    def detect(cls, source: str) -> str | None:
        """Return how many images a look at the folder found, or None."""
        if not listing.is_folder(source):
            return None
        found = listing.first_files(source)
        images = sum(extension(file.path) in KNOWN_PICTURES for file in found)
        return f"{images} images among the first {len(found)} files" if images else None

    def available(self) -> list[str]:
        """Return the columns of the tables, as "file:column"."""
        tables = side_tables(ImageList.of(self.source), self.fields)
        return [PARENT, *(f"{t.name}:{column}" for t in tables for column in t.table.columns)]

    def slices(self) -> list[Slice]:
        """List the units of reading in corpus order; holds the names of all images."""
        images = ImageList.of(self.source)
        images.check()
        tables = side_tables(images, self.fields)
        captions = next((table for table in tables if table.picker.caption), None)
        plan = _Plan(images, _facts([t for t in tables if t is not captions], images), self)
        pieces = plan.captioned(captions) if captions else []
        pieces += plan.others()
        return [Slice(f"{number:05d}", spec) for number, spec in enumerate(pieces)]

    def read(self, piece: Slice) -> Iterator[RawSample]:
        """Stream the samples of one slice in corpus order."""
        root = listing.absolute(self.source)
        told = self._told(root, piece.spec)
        for entry in piece.spec["images"]:
            sample = told.pop(entry.get("name", ""), None) or RawSample("", "")
            self._fill(sample, entry)
            if sample.code is None:
                try:
                    if entry.get("text"):
                        url = listing.join(root, f"{stem(entry['path'])}.txt")
                        data = storage.retrying(url, lambda at=url: storage.read_bytes(at))
                        add_text(sample, data, "caption")
                    url = listing.join(root, entry["path"])
                    sample.data = read_image(url, self.max_file_bytes)
                except Refused as refused:
                    sample.code, sample.message = refused.code, refused.message
            yield sample
            sample.data = None

    def _fill(self, sample: RawSample, entry: Entry) -> None:
        path = entry.get("path", "")
        sample.key = stem(path or entry.get("name", ""))
        sample.where = path or entry.get("where", "")
        sample.ext = extension(path)
        for name, value in entry.get("facts", {}).items():
            setattr(sample, name, value)
        sample.split = sample.split or split_of(path)
        if self.fields.label == PARENT and "/" in path:
            sample.labels = [path.rsplit("/", 2)[-2]]
        if "code" in entry:
            sample.code, sample.message = RejectCode(entry["code"]), entry["message"]

    def _told(self, root: str, spec: Mapping[str, Any]) -> dict[str, RawSample]:
        told: dict[str, RawSample] = {}
        if "table" not in spec:
            return told
        side = open_side_table(listing.join(root, spec["table"]), spec["table"], self.fields)
        for record in side.table.records(spec["extents"]):
            name = side.name_of(record)
            if name is None or record.values is None:
                continue
            sample = side.picker.sample(record.values, stem(name), "")
            if name not in told:
                told[name] = sample
                continue
            told[name].captions = [*told[name].captions, *sample.captions]
            if sample.code is not None:
                told[name].code, told[name].message = sample.code, sample.message
        return told

    def estimate(self) -> Estimate:
        """Say how many images there are, and their bytes."""
        images = ImageList.of(self.source).images.values()
        return Estimate(len(images), sum(file.size for file in images), True)

    def content_identity(self) -> Any:
        """Return a name for the names, sizes and times of all files."""
        return listing.content_digest(listing.files_below(self.source))


@dataclass(frozen=True)
class _Plan:
    images: ImageList
    facts: Mapping[str, Mapping[str, Any]]
    reader: FolderReader

    def captioned(self, side: SideTable) -> list[dict[str, Any]]:
        """Return the slices of the images that the caption table names, in its order."""
        entries: list[Entry] = []
        seen: set[str] = set()

        def named() -> Iterator[tuple[Record, str | None]]:
            for record in side.table.records():
                name = side.name_of(record)
                if name is None or name not in seen:
                    entries.append(self._named(side, record, name))
                    seen.add(name or "")
                yield record, name

        groups = group_records(named())
        return [
            {
                "images": entries[start:stop],
                "table": side.name,
                "extents": groups.extents(start, stop),
            }
            for start, stop in self._cut(entries)
        ]

    def others(self) -> list[dict[str, Any]]:
        """Return the slices of the images that no caption table has named, and refused links."""
        images, links = self.images.unnamed()
        entries = [self._entry(file.path) for file in images]
        entries += [_refused(file.path, file.unsafe) for file in links]
        return [{"images": entries[start:stop]} for start, stop in self._cut(entries)]

    def _named(self, side: SideTable, record: Record, name: str | None) -> Entry:
        where = f"{side.name}:{record.number}"
        if name is None:
            problem = record.problem or f"no image is named in column {side.image!r}"
            return {"where": where, "code": RejectCode.BAD_RECORD, "message": problem}
        try:
            path = self.images.find(name)
        except Refused as refused:
            problem = {"code": refused.code, "message": refused.message}
            return {"name": name, "where": where, **problem}
        self.images.taken.add(path)
        return {"name": name, **self._entry(path)}

    def _entry(self, path: str) -> Entry:
        entry: Entry = {"path": path}
        if f"{stem(path)}.txt" in self.images.others:
            entry["text"] = True
        if path in self.facts:
            entry["facts"] = dict(self.facts[path])
        return entry

    def _cut(self, entries: list[Entry]) -> list[tuple[int, int]]:
        found = (self.images.images.get(entry.get("path", "")) for entry in entries)
        sizes = [file.size if file else 0 for file in found]
        return cut(sizes, self.reader.slice_rows, self.reader.shard_bytes)


def _refused(path: str, why: str) -> Entry:
    return {"name": path, "where": path, "code": RejectCode.UNSAFE_PATH, "message": why}


def _facts(tables: list[SideTable], images: ImageList) -> dict[str, dict[str, Any]]:
    facts: dict[str, dict[str, Any]] = {}
    for side in tables:
        for record in side.table.records():
            name = side.name_of(record)
            try:
                path = images.find(name) if name else ""
            except Refused:
                continue  # a list of splits may cover more images than a corpus holds
            if path and record.values is not None:
                sample = side.picker.sample(record.values, "", "")
                facts.setdefault(path, {}).update(_told_by(sample))
    return facts


def _told_by(sample: RawSample) -> dict[str, Any]:
    told = {
        "split": sample.split,
        "labels": list(sample.labels),
        "uid": sample.uid,
        "attributes": dict(sample.attributes),
    }
    return {name: value for name, value in told.items() if value}

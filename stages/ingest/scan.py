"""Scan: every input of the corpus is read once: its bytes are hashed, checked and put in a tar.

One part a slice, streamed: what is held is one image and the rows of the slice.

    PART.parquet  schema `SCAN`: one row an input, refused ones too (`code` is not "")
    PART.tar      the good images, where the corpus has images that are not in its own tars
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from ...manifests.artifact import Output
from ...manifests.images import MAX_PIXELS, inspect_image
from ...manifests.refused import Refused
from ...manifests.schema import TEXTS, RejectCode
from ..base import Inputs, Resources, Stage, Task, Worker
from .attributes import KindMeter
from .base import RawSample, Reader, Slice
from .names import check_key, readable
from .shard import ShardWriter

SCAN = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("where", pa.string(), nullable=False),
        pa.field("code", pa.string(), nullable=False),
        pa.field("message", pa.string(), nullable=False),
        pa.field("shard", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("sha256", pa.string()),
        pa.field("ext", pa.string(), nullable=False),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("captions", TEXTS, nullable=False),
        pa.field("num_captions", pa.int32(), nullable=False),
        pa.field("labels", TEXTS, nullable=False),
        pa.field("attributes", pa.string(), nullable=False),
        pa.field("uid", pa.string()),
        pa.field("split", pa.string(), nullable=False),
    ]
)
"""Rows of `scan`. `shard` is "" for images in the part's own tar (`offset` >= 0) and for samples
without an image (`offset` -1); `attributes` is a JSON object."""

_MESSAGE_LENGTH = 500


class Scan(Stage):
    """Reads the corpus.

    Attributes:
        reader: the corpus.
        max_pixels: larger pictures are refused before they are decoded.
    """

    version = 1

    reader: Reader
    max_pixels: int = MAX_PIXELS

    def plan(self, inputs: Inputs) -> list[Task]:
        """Plan one task for each slice of the corpus."""
        del inputs
        return [
            Task(f"part-{number:05d}", {"name": piece.name, "slice": dict(piece.spec)})
            for number, piece in enumerate(self.reader.slices())
        ]

    def open(self, inputs: Inputs) -> Worker:
        """Return the function that reads one slice."""
        del inputs

        def work(task: Task) -> Output:
            piece = Slice(task.spec["name"], task.spec["slice"])
            return Output(0, {}, fill=lambda folder: self._fill(piece, folder))

        return work

    def resources(self, inputs: Inputs) -> Resources:
        """Hold one image, and what the decoder makes of it."""
        del inputs
        return Resources(memory_bytes=700 << 20)

    def _fill(self, piece: Slice, folder: Path) -> Output:
        rows = _Rows(self.max_pixels)
        with ShardWriter(folder / "images.tar") as shard:
            for sample in self.reader.read(piece):
                rows.add(sample, self.reader.has_images, shard)
        files: dict[str, Any] = {"parquet": rows.table()}
        if shard.begun:
            files["tar"] = shard.path
        return Output(rows.count, files, rows.facts(self.reader))


@dataclass
class _Rows:
    """The rows of one slice."""

    max_pixels: int
    columns: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in SCAN.names})
    codes: Counter[str] = field(default_factory=Counter)
    seen: set[str] = field(default_factory=set)
    kinds: KindMeter = field(default_factory=KindMeter)
    found: Counter[str] = field(default_factory=Counter)
    image_bytes: int = 0

    @property
    def count(self) -> int:
        """Rows so far."""
        return len(self.columns["key"])

    def add(self, sample: RawSample, has_images: bool, shard: ShardWriter) -> None:
        """Check one input and add its row; a good image goes to the tar."""
        image: dict[str, Any] = {}
        try:
            image = self._check(sample, has_images)
        except Refused as problem:
            sample.code, sample.message = problem.code, problem.message
        place = (sample.shard, sample.offset, sample.size)
        if sample.code is not None:
            self.codes[sample.code] += 1
            place = ("", -1, 0)
        else:
            self.seen.add(sample.key)
            self._note(sample)
            if image and not sample.shard:
                size = {"width": image["width"], "height": image["height"]}
                place = ("", *shard.add(sample, image["ext"], size))
        self._append(sample, image, place)

    def _check(self, sample: RawSample, has_images: bool) -> dict[str, Any]:
        if sample.code is not None:
            return {}
        check_key(sample.key)
        if sample.key in self.seen:
            raise Refused(RejectCode.DUPLICATE_KEY, "an earlier input has this key")
        if not has_images:
            return {}
        if sample.data is None:
            raise Refused(RejectCode.NO_IMAGE, "no image")
        width, height, ext = inspect_image(sample.data, self.max_pixels)
        digest = hashlib.sha256(sample.data).hexdigest()
        self.image_bytes += len(sample.data)
        return {"width": width, "height": height, "ext": ext, "sha256": digest}

    def _note(self, sample: RawSample) -> None:
        self.kinds.add(sample.attributes)
        told = {
            "caption": sample.captions,
            "label": sample.labels,
            "labels": sample.labels,
            "split": sample.split,
            "uid": sample.uid,
        }
        self.found.update(name for name, value in told.items() if value)
        self.found.update(
            f"attributes.{name}" for name, value in sample.attributes.items() if value is not None
        )

    def _append(
        self, sample: RawSample, image: Mapping[str, Any], place: tuple[str, int, int]
    ) -> None:
        row = {
            "key": readable(sample.key),
            "where": readable(sample.where),
            "code": sample.code or "",
            "message": readable(sample.message)[:_MESSAGE_LENGTH],
            "shard": place[0],
            "offset": place[1],
            "size": place[2],
            "sha256": image.get("sha256"),
            "ext": image.get("ext", ""),
            "width": image.get("width"),
            "height": image.get("height"),
            "captions": list(sample.captions),
            "num_captions": len(sample.captions),
            "labels": list(sample.labels),
            "attributes": json.dumps(dict(sample.attributes), sort_keys=True),
            "uid": sample.uid,
            "split": sample.split,
        }
        for name, value in row.items():
            self.columns[name].append(value)

    def table(self) -> pa.Table:
        """Return the rows as a table."""
        return pa.table(self.columns, SCAN)

    def facts(self, reader: Reader) -> dict[str, Any]:
        """Return counts of the slice, kinds of attributes, and what `fields` asked and got."""
        asked = [
            n for n in ("caption", "label", "labels", "split", "uid") if getattr(reader.fields, n)
        ]
        asked += [f"attributes.{name}" for name in reader.fields.attributes]
        return {
            "inputs": self.count,
            "captions": sum(self.columns["num_captions"]),
            "rejects_by_code": dict(sorted(self.codes.items())),
            "attributes": self.kinds.kinds,
            "fields_asked": sorted(asked),
            "fields_found": dict(sorted(self.found.items())),
            "image_bytes": self.image_bytes,
            "has_images": reader.has_images,
        }

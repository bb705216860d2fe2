"""COCO: `captions_*.json` and/or `instances_*.json` in a folder or its `annotations/`, and images.

    key       path of the image below the root, without extension (or `fields.key`, such as "id")
    captions  all captions of an image, in the order of the file
    labels    names of its categories, each once, in the order of the file
    split     from the file's name: captions_train2017.json -> train
    fields    columns of the `images` list (`license`, `date_captured`) for attributes

Images are looked for in ROOT/train2017, ROOT/images/train2017, ROOT/images and ROOT. The corpus is
in the order of the `images` lists. The annotations of all images are held while slices are listed
(about 1 KB an image; outlines are dropped while parsing), because the files are in no order.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ...manifests import listing, storage
from ...manifests.errors import DataError
from ...manifests.refused import Refused
from ...manifests.schema import RejectCode
from .base import Estimate, RawSample, Reader, Slice, cut
from .fields import check_column, choose, scalar_text, value_at
from .files import read_image
from .imagelist import ImageList
from .names import extension, stem

_FILE = re.compile(r"(captions|instances)_(.+)\.json", re.IGNORECASE)


class CocoReader(Reader):
    """Reads COCO captions and instances."""

    @classmethod
    def detect(cls, source: str) -> str | None:
        """Return the annotation files that are there, or None."""
        found = [path.rpartition("/")[2] for path, _ in _annotation_files(source)]
        return f"has {', '.join(found)}" if found else None

    def available(self) -> list[str]:
        """Return the columns of the first `images` list."""
        return self._columns(self._corpus())

    def slices(self) -> list[Slice]:
        """List the units of reading in corpus order."""
        corpus = self._corpus()
        columns = self._columns(corpus)
        self._picker(columns)
        images = ImageList.of(_root(self.source))
        entries = [
            _entry(record, suffix, images) for suffix, part in corpus.items() for record in part
        ]
        if not entries:
            raise DataError(f"{self.source}: the annotation files list no images.")
        found = (images.images.get(entry.get("path", "")) for entry in entries)
        sizes = [file.size if file else 0 for file in found]
        return [
            Slice(f"{number:05d}", {"images": entries[a:b], "columns": columns})
            for number, (a, b) in enumerate(cut(sizes, self.slice_rows, self.shard_bytes))
        ]

    def read(self, piece: Slice) -> Iterator[RawSample]:
        """Stream the samples of one slice in corpus order."""
        root = listing.absolute(_root(self.source))
        picker = self._picker(piece.spec["columns"])
        for entry in piece.spec["images"]:
            record, path = entry["record"], entry.get("path", "")
            name = scalar_text(record.get("file_name"))
            sample = picker.sample(record, "", path or name)
            sample.key = scalar_text(value_at(record, self.fields.key)) or stem(path or name)
            sample.split = sample.split or entry["split"]
            sample.ext = extension(path)
            if "code" in entry:
                sample.code, sample.message = RejectCode(entry["code"]), entry["message"]
            if sample.code is None:
                try:
                    url = listing.join(root, path)
                    sample.data = read_image(url, self.max_file_bytes)
                except Refused as refused:
                    sample.code, sample.message = refused.code, refused.message
            yield sample
            sample.data = None

    def _picker(self, columns: list[str]) -> Any:
        known = [*columns, "captions", "labels"]
        if self.fields.key is not None:
            check_column(self.fields.key, known, self.source)
        return choose(self.fields, list(dict.fromkeys(known)), self.source)

    @staticmethod
    def _columns(corpus: Mapping[str, list[dict[str, Any]]]) -> list[str]:
        return list(
            dict.fromkeys(name for part in corpus.values() for record in part for name in record)
        )

    def _corpus(self) -> dict[str, list[dict[str, Any]]]:
        """Return suffix ("train2017") -> image records with their captions and labels."""
        parts: dict[str, dict[Any, dict[str, Any]]] = {}
        files = _annotation_files(self.source)
        if not files:
            raise DataError(
                f"{self.source}: no captions_*.json or instances_*.json is there, nor in its "
                "folder annotations/."
            )
        for path, url in files:
            match = _FILE.fullmatch(path.rpartition("/")[2])
            _add_annotations(parts.setdefault(match[2] if match else "", {}), path, url)
        return {suffix: list(records.values()) for suffix, records in parts.items()}

    def estimate(self) -> Estimate:
        """Say how many images there are, and their bytes."""
        images = ImageList.of(_root(self.source)).images.values()
        return Estimate(len(images), sum(file.size for file in images), False)

    def content_identity(self) -> Any:
        """Return a name for the names, sizes and times of all files."""
        return listing.content_digest(listing.files_below(_root(self.source)))


def _annotation_files(source: str) -> list[tuple[str, str]]:
    if source.lower().endswith(".json"):
        name = source.replace("\\", "/").rpartition("/")[2]
        return [(name, source)] if _FILE.fullmatch(name) and listing.exists(source) else []
    if not listing.is_folder(source):
        return []
    found = []
    for folder in ("", "annotations/"):
        place = listing.join(source, folder.rstrip("/")) if folder else source
        if listing.is_folder(place):
            names = listing.names_in(place)
            found += [(folder + name, listing.join(place, name)) for name in names]
    return [(path, url) for path, url in found if _FILE.fullmatch(path.rpartition("/")[2])]


def _root(source: str) -> str:
    if not source.lower().endswith(".json"):
        return source
    folder = listing.parent(source)
    inner = folder.rstrip("/").rpartition("/")[2] == "annotations"
    return listing.parent(folder) if inner else folder


def _add_annotations(records: dict[Any, dict[str, Any]], path: str, url: str) -> None:
    try:
        body = json.loads(
            storage.retrying(url, lambda: storage.read_bytes(url)), object_hook=_without_outlines
        )
        images, annotations = body["images"], body["annotations"]
        names = {item["id"]: item["name"] for item in body.get("categories", ())}
        for image in images:
            records.setdefault(image["id"], {**image, "captions": [], "labels": []})
        for item in annotations:
            record = records.setdefault(item["image_id"], _unknown(path, item["image_id"]))
            if "caption" in item:
                record["captions"].append(item["caption"])
            label = names.get(item.get("category_id"))
            if label is not None and label not in record["labels"]:
                record["labels"].append(label)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{url}: not a COCO annotation file ({type(error).__name__}: {error}). It must be an "
            "object with lists `images` (id, file_name) and `annotations` (image_id, ...)."
        ) from error


def _without_outlines(value: dict[str, Any]) -> dict[str, Any]:
    for name in ("segmentation", "bbox", "area"):
        value.pop(name, None)
    return value


def _unknown(path: str, image_id: Any) -> dict[str, Any]:
    problem = f"{path}: annotations of image {image_id}, which the list of images does not have"
    return {"id": image_id, "captions": [], "labels": [], "problem": problem}


def _entry(record: dict[str, Any], suffix: str, images: ImageList) -> dict[str, Any]:
    split = re.sub(r"[\d_-]+$", "", suffix)
    entry = {"record": record, "split": split}
    name = scalar_text(record.get("file_name"))
    if "problem" in record or not name:
        problem = record.pop("problem", f"image {record.get('id')} has no file_name")
        name = scalar_text(record.get("id"))
        record["file_name"] = name
        return {**entry, "code": RejectCode.BAD_RECORD, "message": problem}
    for folder in (f"{suffix}/", f"images/{suffix}/", "images/", ""):
        try:
            return {**entry, "path": images.exact(folder + name)}
        except Refused as refused:
            problem = {"code": refused.code, "message": refused.message}
    return {**entry, **problem}

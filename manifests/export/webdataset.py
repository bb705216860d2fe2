"""`--to webdataset`: pairs with their images inside, for `wds.WebDataset(...)` and nothing else.

    pairs-000000.tar
      000000000000.jpg        the anchor: the plain extension, so open_clip trains on it as it is
      000000000000.json       the row of `pairs`, with the anchor's key and label; no empty lists
      000000000000.neg0.jpg   .. one a negative
      000000000000.pos0.jpg   .. one a positive (the first `positives` of the row)
      000000000000.txt        the anchor's caption, empty where it has none
    pairs-000000_stats.json   count, written, skipped, bytes
    sizes.json                samples of each shard, as open_clip and DataComp read it

Every key has the same members (readers that look at the first few samples only rely on it). JPEGs
keep their bytes; other formats are decoded (first frame, upright) and written as JPEG, quality 95.
The same pairset and options give the same bytes. A shard under its name is whole.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image

from .. import storage
from ..lookup import SampleRows
from ..pairset import Pairset
from ..schema import NO_ID, PADDING_KIND
from ._image_bytes import ImageBytes, as_jpeg
from ._rows import TableRows
from ._tars import add_members
from .base import FILE_BYTES, Exported, Progress, Target, at_least, summed, within_row, write_file


@dataclass(frozen=True)
class WebDataset(Target):
    """Materialised pair shards.

    Attributes:
        pairs_per_shard: rows of `pairs` a shard; None for about 256 MB at the mean image size.
        positives: how many positives of a row are packed, from the first on.
        negatives: how many negatives of a row are packed; None for all K.
        allow_missing: keep rows with an empty place among these: it holds a black image of one
            pixel, and -1 stands at its place in the json. Otherwise such rows are left out.
    """

    name: ClassVar[str] = "webdataset"

    pairs_per_shard: int | None = None
    positives: int = 1
    negatives: int | None = None
    allow_missing: bool = False

    def check(self, pairset: Pairset) -> None:
        """Refuse more places than a row has."""
        within_row(pairset, positives=(self.positives, "P"), negatives=(self.negatives, "K"))
        at_least(1, pairs_per_shard=self.pairs_per_shard)

    def fill(self, pairset: Pairset, out: Path, progress: Progress) -> Exported:
        """Write all shards that are not there yet, then `sizes.json`; holds one image at a time."""
        images = ImageBytes(pairset)
        places = 1 + sum(self.places(pairset).values())
        rows = self.pairs_per_shard or images.rows_per_file(FILE_BYTES, places)
        packer = _Packer(pairset, images, self)
        total = len(packer.rows)
        stats = {}
        for number, first in enumerate(range(0, total, rows)):
            name, behind = f"pairs-{number:06d}", min(first + rows, total)
            stats[name], written = packer.write_shard(out, name, first, behind)
            if written:
                progress(f"{name}.tar: pairs {first} to {behind} of {total}")
        sizes = {f"{name}.tar": stat["written"] for name, stat in stats.items()}
        storage.write_json(out / "sizes.json", sizes)
        notes = list(stats.values())
        return Exported(
            target=self.name,
            out=str(out),
            rows=summed(notes, "written"),
            skipped=summed(notes, "skipped"),
            files=len(stats),
            bytes=summed(notes, "bytes"),
            note="a place without an image; keep them with --allow-missing",
        )

    def places(self, pairset: Pairset) -> dict[str, int]:
        """Return how many images of each role a key has: {"neg": 4, "pos": 1}."""
        negatives = pairset.counts["K"] if self.negatives is None else self.negatives
        return {"neg": int(negatives), "pos": self.positives}


class _Packer:
    """Writes shards; the blocks of `pairs` are read in order, once."""

    def __init__(self, pairset: Pairset, images: ImageBytes, target: WebDataset) -> None:
        self.rows = TableRows(pairset, "pairs", target.split)
        self._images = images
        self._texts = SampleRows(pairset, ["key", "caption", "label"])
        self._places = target.places(pairset)
        self._allow_missing = target.allow_missing
        self._blank = as_jpeg(Image.new("RGB", (1, 1)))

    def write_shard(
        self, out: Path, name: str, first: int, behind: int
    ) -> tuple[dict[str, int], bool]:
        """Write rows [first, behind) of `pairs` as one tar, then its statistics."""
        return write_file(
            out / f"{name}.tar",
            out / f"{name}_stats.json",
            lambda path: self._fill(path, first, behind),
        )

    def _fill(self, path: Path, first: int, behind: int) -> dict[str, int]:
        written = 0
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
            for row in self._between(first, behind):
                members = self._members(row)
                written += bool(members)
                add_members(tar, f"{row['pair_id']:012d}", members)
        count = behind - first
        return {"count": count, "written": written, "skipped": count - written}

    def _between(self, first: int, behind: int) -> Iterator[dict[str, Any]]:
        for table in self.rows.tables(first, behind):
            yield from table.to_pylist()

    def _members(self, row: dict[str, Any]) -> dict[str, bytes]:
        """Return the members of a row by extension; none for a row that is left out."""
        others = {
            f"{short}{place}": row[f"{role}_ids"][place]
            for short, role in (("neg", "negative"), ("pos", "positive"))
            for place in range(self._places[short])
        }
        if NO_ID in others.values() and not self._allow_missing:
            return {}
        anchor = self._texts.row(row["anchor_id"])
        members = {f"{name}.jpg": self._payload(other) for name, other in others.items()}
        members["jpg"] = self._payload(row["anchor_id"])
        members["txt"] = (anchor["caption"] or "").encode()
        about = {**_without_empty_lists(row), "key": anchor["key"], "label": anchor["label"] or ""}
        members["json"] = json.dumps(about, sort_keys=True, allow_nan=False).encode()
        return members

    def _payload(self, sample_id: int) -> bytes:
        return self._blank if sample_id == NO_ID else self._images.jpeg(sample_id)


def _without_empty_lists(row: dict[str, Any]) -> dict[str, Any]:
    """Put one empty place into lists of length 0: readers infer a type from the first samples."""
    empty = {"ids": NO_ID, "kinds": PADDING_KIND, "scores": 0.0, "weights": 0.0, "from": 0.0}
    return {
        name: [empty[name.rsplit("_", 1)[1]]] if value == [] else value
        for name, value in row.items()
    }

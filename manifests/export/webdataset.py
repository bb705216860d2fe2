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

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
from PIL import Image

from .. import storage
from ..errors import DataError, UsageError
from ..images import ImageError, decode
from ..lookup import SampleRows
from ..pairset import Pairset
from ..schema import NO_ID, PADDING_KIND
from ..tables import open_parquet
from .base import ABOUT, Exported, Progress, Target
from .image_bytes import ImageBytes

_SHARD_BYTES = 256 << 20
_QUALITY = 95


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

    def write(self, pairset: Pairset, out: Path, progress: Progress) -> Exported:
        """Write all shards that are not there yet, then `sizes.json`; holds one image at a time."""
        self._check(pairset)
        images = ImageBytes(pairset)
        rows = self._rows_per_shard(pairset, images)
        total = int(pairset.counts["pairs"])
        self._claim(pairset, out, rows)
        storage.sweep_scratch(out)
        packer = _Packer(pairset, images, self)
        stats = {}
        for number, first in enumerate(range(0, total, rows)):
            name = f"pairs-{number:06d}"
            done = _finished(out, name)
            stats[name] = done or packer.write_shard(out, name, first, min(first + rows, total))
            if not done:
                progress(f"{name}.tar: pairs {first} to {min(first + rows, total)} of {total}")
        sizes = {f"{name}.tar": stat["written"] for name, stat in stats.items()}
        storage.write_json(out / "sizes.json", sizes)
        return Exported(
            target=self.name,
            out=str(out),
            rows=sum(stat["written"] for stat in stats.values()),
            skipped=sum(stat["skipped"] for stat in stats.values()),
            files=len(stats),
            bytes=sum(stat["bytes"] for stat in stats.values()),
            note="a place without an image; keep them with --allow-missing",
        )

    def _check(self, pairset: Pairset) -> None:
        for name, most in (("positives", "P"), ("negatives", "K")):
            value, places = getattr(self, name), pairset.counts[most]
            if value is not None and not 0 <= value <= places:
                raise UsageError(f"{name}={value}: a row of this pairset has 0 to {places}.")
        if self.pairs_per_shard is not None and self.pairs_per_shard < 1:
            raise UsageError(f"pairs_per_shard={self.pairs_per_shard}: at least 1.")

    def places(self, pairset: Pairset) -> dict[str, int]:
        """Return how many images of each role a key has: {"neg": 4, "pos": 1}."""
        negatives = pairset.counts["K"] if self.negatives is None else self.negatives
        return {"neg": int(negatives), "pos": self.positives}

    def _rows_per_shard(self, pairset: Pairset, images: ImageBytes) -> int:
        if self.pairs_per_shard is not None:
            return self.pairs_per_shard
        images_a_row = 1 + sum(self.places(pairset).values())
        return max(int(_SHARD_BYTES / (2048 + images.mean_bytes * images_a_row)), 1)

    def _claim(self, pairset: Pairset, out: Path, rows: int) -> None:
        """Note what the folder holds, or refuse to mix it with something else."""
        options = {**asdict(self), "pairs_per_shard": rows}
        about = {"manifest_id": pairset.manifest_id, "target": self.name, "options": options}
        note = out / ABOUT
        if note.exists():
            if json.loads(note.read_text()) != about:
                raise DataError(
                    f"{out} holds an export of another pairset or with other options. Choose "
                    "another folder with -d, or delete that one."
                )
            return
        if out.exists() and any(storage.SCRATCH not in path.name for path in out.iterdir()):
            raise DataError(f"{out} is not empty. Choose another folder with -d.")
        storage.write_json(note, about)


def _finished(out: Path, name: str) -> dict[str, int] | None:
    """Return the numbers of a shard that an earlier export finished, else None."""
    tar, note = out / f"{name}.tar", out / f"{name}_stats.json"
    if not (tar.exists() and note.exists()):
        return None
    stats = json.loads(note.read_text())
    return stats if tar.stat().st_size == stats["bytes"] else None


class _Packer:
    """Writes shards; the blocks of `pairs` are read in order, once."""

    def __init__(self, pairset: Pairset, images: ImageBytes, target: WebDataset) -> None:
        self._pairset = pairset
        self._images = images
        self._texts = SampleRows(pairset, ["key", "caption", "label"])
        self._places = target.places(pairset)
        self._allow_missing = target.allow_missing
        self._blank = _jpeg(Image.new("RGB", (1, 1)))

    def write_shard(self, out: Path, name: str, first: int, behind: int) -> dict[str, int]:
        """Write rows [first, behind) of `pairs` as one tar, then its statistics."""
        written = 0

        def write(path: Path) -> None:
            nonlocal written
            written = 0
            with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
                for row in _rows(self._pairset, first, behind):
                    members = self._members(row)
                    written += bool(members)
                    for ending, data in sorted(members.items()):
                        info = tarfile.TarInfo(f"{row['pair_id']:012d}.{ending}")
                        info.size = len(data)
                        tar.addfile(info, io.BytesIO(data))

        storage.write_atomically(out / f"{name}.tar", write)
        stats = {
            "count": behind - first,
            "written": written,
            "skipped": behind - first - written,
            "bytes": (out / f"{name}.tar").stat().st_size,
        }
        storage.write_json(out / f"{name}_stats.json", stats)
        return stats

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
        if sample_id == NO_ID:
            return self._blank
        data = self._images.read(sample_id)
        if data[:3] == b"\xff\xd8\xff":
            return data
        try:
            return _jpeg(decode(data))
        except ImageError as error:
            raise DataError(f"the image of sample {sample_id}: {error.message}.") from error


def _rows(pairset: Pairset, first: int, behind: int) -> Iterator[dict[str, Any]]:
    """Yield rows [first, behind) of `pairs`; only the row groups that hold them are read."""
    start = 0
    for path in pairset.files("pairs"):
        with open_parquet(path) as file:
            for group in range(file.num_row_groups):
                count = file.metadata.row_group(group).num_rows
                low, high = max(first, start), min(behind, start + count)
                if low < high:
                    table: pa.Table = file.read_row_group(group)
                    yield from table.slice(low - start, high - low).to_pylist()
                start += count


def _without_empty_lists(row: dict[str, Any]) -> dict[str, Any]:
    """Put one empty place into lists of length 0: readers infer a type from the first samples."""
    empty = {"ids": NO_ID, "kinds": PADDING_KIND, "scores": 0.0, "weights": 0.0}
    return {
        name: [empty[name.rsplit("_", 1)[1]]] if value == [] else value
        for name, value in row.items()
    }


def _jpeg(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()

"""`--to open-clip`: images with captions, as `open_clip_train` reads them.

    form "csv"     open_clip.csv             tab-separated: filepath, title
                   images/00000/*.jpg        each image once
    form "tars"    pairs-000000.tar ..       {number}.jpg, .txt, .json (key, sample_id, caption)
                   pairs-000000_stats.json   count, written, skipped, bytes
                   sizes.json                rows of each tar: --train-num-samples is not needed

Both readers know one caption a row, so an image with five captions is five rows (`captions`
"first" keeps one). In tars, all first captions come before all second ones, and so on: the trainer
shuffles a few thousand neighbours only, and two captions of one image in a batch would be false
negatives of each other. Rows are the samples that every selector keeps; mined negatives have no
place in this format.
"""

from __future__ import annotations

import csv
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from .. import storage
from ..errors import DataError
from ..pairset import Pairset
from ..verdicts import kept_samples
from ._captions import CaptionRow, CaptionRows, cell
from ._image_bytes import ImageBytes
from ._image_files import placed, write_images
from ._rows import split_mask
from ._tars import add_members
from .base import (
    FILE_BYTES,
    NOTES,
    Exported,
    Progress,
    Target,
    at_least,
    one_of,
    summed,
    write_file,
)

CSV, TARS = "csv", "tars"
ALL, FIRST = "all", "first"


@dataclass(frozen=True)
class OpenClip(Target):
    """Images and captions for open_clip_train.

    Attributes:
        split: only samples of this split.
        form: "csv" or "tars".
        captions: "all" of each image, or the "first".
        prefix: what stands before each path in the csv; "" for paths below the export, which hold
            where the trainer is started in that folder.
        pairs_per_shard: rows a tar; None for about 256 MB. The trainer wants as many tars as it
            has workers, at least.
    """

    name: ClassVar[str] = "open-clip"

    form: str = CSV
    captions: str = ALL
    prefix: str = ""
    pairs_per_shard: int | None = None

    def check(self, pairset: Pairset) -> None:
        """Refuse a corpus without captions or without images."""
        one_of((CSV, TARS), form=self.form)
        one_of((ALL, FIRST), captions=self.captions)
        at_least(1, pairs_per_shard=self.pairs_per_shard)
        if not len(self._rows(pairset, ImageBytes(pairset))):
            raise DataError(f"no kept sample of {pairset.root} has both an image and a caption.")

    def fill(self, pairset: Pairset, out: Path, progress: Progress) -> Exported:
        """Write the rows; holds one image and a row group of captions at a time."""
        images = ImageBytes(pairset)
        rows = self._rows(pairset, images)
        write = self._csv if self.form == CSV else self._tars
        files, size = write(rows, images, out, progress)
        chosen = kept_samples(pairset) & split_mask(pairset, self.split)
        first = CaptionRows(pairset, chosen & images.there, first_only=True)
        return Exported(
            target=self.name,
            out=str(out),
            rows=len(rows),
            skipped=int(chosen.sum()) - len(first),
            files=files,
            bytes=size,
            note="samples without an image or without a caption",
        )

    def _rows(self, pairset: Pairset, images: ImageBytes) -> CaptionRows:
        wanted = kept_samples(pairset) & split_mask(pairset, self.split) & images.there
        return CaptionRows(pairset, wanted, self.captions == FIRST)

    def _csv(
        self, rows: CaptionRows, images: ImageBytes, out: Path, progress: Progress
    ) -> tuple[int, int]:
        wanted = images.there & False
        for row in rows.between(0, len(rows)):
            wanted[row.sample_id] = True
        files, size = write_images(images, wanted, out, progress)

        def put(path: Path) -> dict[str, int]:
            with path.open("w", encoding="utf-8", newline="") as file:
                table = csv.writer(file, delimiter="\t", lineterminator="\n")
                table.writerow(["filepath", "title"])
                for row in rows.between(0, len(rows)):
                    table.writerow([placed(self.prefix, row.sample_id), cell(row.text)])
            return {"rows": len(rows)}

        note, written = write_file(out / "open_clip.csv", out / NOTES / "open_clip.csv.json", put)
        if written:
            progress(f"open_clip.csv: {len(rows)} rows")
        return files + 1, size + note["bytes"]

    def _tars(
        self, rows: CaptionRows, images: ImageBytes, out: Path, progress: Progress
    ) -> tuple[int, int]:
        each = self.pairs_per_shard or images.rows_per_file(FILE_BYTES, 1)
        sizes, notes = {}, []
        for number, first in enumerate(range(0, len(rows), each)):
            name, behind = f"pairs-{number:06d}", min(first + each, len(rows))

            def put(path: Path, first: int = first, behind: int = behind) -> dict[str, int]:
                with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
                    for at, row in enumerate(rows.between(first, behind), first):
                        add_members(tar, f"{at:012d}", _members(row, images))
                count = behind - first
                return {"count": count, "written": count, "skipped": 0}

            note, written = write_file(out / f"{name}.tar", out / f"{name}_stats.json", put)
            if written:
                progress(f"{name}.tar: rows {first} to {behind} of {len(rows)}")
            sizes[f"{name}.tar"] = note["written"]
            notes.append(note)
        storage.write_json(out / "sizes.json", sizes)
        return len(notes), summed(notes, "bytes")


def _members(row: CaptionRow, images: ImageBytes) -> dict[str, bytes]:
    about = {"key": row.key, "sample_id": row.sample_id, "caption": row.number}
    return {
        "jpg": images.jpeg(row.sample_id),
        "txt": row.text.encode(),
        "json": json.dumps(about, sort_keys=True).encode(),
    }

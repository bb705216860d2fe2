"""`--to negclip`: the table that NegCLIP's trainer reads (github.com/vinid/neg_clip).

    negclip.tsv         tab-separated: title, filepath, neg_caption, neg_image
    images/00000/*.jpg  each image once

`title` is the anchor's first caption. `neg_caption` is a Python list of captions that are wrong
for the image, `neg_image` a list of row numbers of this table: its trainer draws one of each a
step, and then one wrong caption of the drawn image, so neither list may be empty, and a row may
only name rows that are there. Rows are left out until that holds. Negatives that only fill a row
stand in `neg_image` where no mined one is left.

Start it with --csv-hard-captions-key neg_caption; the other column names are its defaults.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa

from ..errors import DataError
from ..lookup import SampleRows
from ..pairset import Pairset
from ..schema import NO_ID, list_matrix
from ._captions import cell
from ._image_bytes import ImageBytes
from ._image_files import placed, write_images
from ._rows import TableRows
from .base import NOTES, Exported, Progress, Target, write_file

_FILL = "random"
_COLUMNS = ("anchor_id", "negative_ids", "negative_kinds", "negative_texts")


@dataclass(frozen=True)
class NegClip(Target):
    """Images, captions and hard negatives of both for NegCLIP.

    Attributes:
        prefix: what stands before each path; "" for paths below the export, which hold where the
            trainer is started in that folder.
    """

    name: ClassVar[str] = "negclip"

    prefix: str = ""

    def check(self, pairset: Pairset) -> None:
        """Refuse a pairset without hard captions."""
        if not pairset.counts.get("T"):
            raise DataError(
                f"{pairset.root} has no hard captions (column negative_texts). They are mined by "
                "`negclip`: run again with --recipe negclip."
            )
        if not _Table(pairset, self.split).there.any():
            raise DataError(
                f"no pair of {pairset.root} has an image, a caption, a hard caption and a negative "
                "that has them, too."
            )

    def fill(self, pairset: Pairset, out: Path, progress: Progress) -> Exported:
        """Write images, then the table; holds 9 bytes a sample and a row group of pairs."""
        rows = _Table(pairset, self.split)
        files, size = write_images(ImageBytes(pairset), rows.there, out, progress)

        def put(path: Path) -> dict[str, int]:
            with path.open("w", encoding="utf-8", newline="") as file:
                table = csv.writer(file, delimiter="\t", lineterminator="\n")
                table.writerow(["title", "filepath", "neg_caption", "neg_image"])
                for anchor, caption, texts, numbers in rows.rows():
                    where = placed(self.prefix, anchor)
                    table.writerow([cell(caption), where, repr(texts), repr(numbers)])
            return {"rows": int(rows.there.sum())}

        note, written = write_file(out / "negclip.tsv", out / NOTES / "negclip.tsv.json", put)
        if written:
            progress(f"negclip.tsv: {note['rows']} rows")
        return Exported(
            target=self.name,
            out=str(out),
            rows=note["rows"],
            skipped=len(rows.pairs) - note["rows"],
            files=files + 1,
            bytes=size + note["bytes"],
            note="no image, caption, hard caption, or negative that has them",
        )


class _Table:
    """Which anchors have a row, and what stands in it.

    Attributes:
        pairs: the rows of `pairs` that are looked at.
        there: bool [N], the samples that have a row.
    """

    def __init__(self, pairset: Pairset, split: str | None) -> None:
        self._pairset = pairset
        self._fills = [
            code for code, name in enumerate(pairset.manifest["kinds"]) if _is_fill(name)
        ]
        self.pairs = TableRows(pairset, "pairs", split, _COLUMNS)
        self.there = self._able(ImageBytes(pairset).there & _captioned(pairset))
        self._narrow()

    def rows(self) -> Iterator[tuple[int, str, list[str], list[int]]]:
        """Yield the sample, title, hard captions and numbers of hard images of each row."""
        number = np.cumsum(self.there) - 1
        captions = SampleRows(self._pairset, ["caption"])
        for table in self.pairs.tables(0, len(self.pairs)):
            ids, chosen = list_matrix(table["negative_ids"]), self._negatives(table)
            for place, pair in enumerate(table.to_pylist()):
                anchor = pair["anchor_id"]
                if self.there[anchor]:
                    numbers = number[ids[place][chosen[place]]].tolist()
                    texts = [text for text in pair["negative_texts"] if text]
                    yield anchor, captions.row(anchor)["caption"], texts, numbers

    def _able(self, shown: np.ndarray) -> np.ndarray:
        found = np.zeros(len(shown), bool)
        for table in self.pairs.tables(0, len(self.pairs)):
            some = [any(texts) for texts in table["negative_texts"].to_pylist()]
            anchors = table["anchor_id"].to_numpy()
            found[anchors[np.array(some, bool)]] = True
        return found & shown

    def _narrow(self) -> None:
        """Leave rows out until each that is left names one that is left."""
        before = -1
        while before != int(self.there.sum()):
            before = int(self.there.sum())
            kept = np.zeros(len(self.there), bool)
            for table in self.pairs.tables(0, len(self.pairs)):
                anchors = table["anchor_id"].to_numpy()
                kept[anchors[self._negatives(table).any(axis=1)]] = True
            self.there &= kept

    def _negatives(self, table: pa.Table) -> np.ndarray:
        """Return bool [rows, K]: the negatives of each row that have a row themselves."""
        ids, kinds = list_matrix(table["negative_ids"]), list_matrix(table["negative_kinds"])
        named = (ids != NO_ID) & self.there[ids]
        mined = named & ~np.isin(kinds, self._fills)
        return np.where(mined.any(axis=1, keepdims=True), mined, named)


def _is_fill(miner: str) -> bool:
    return miner.partition("-")[0] == _FILL


def _captioned(pairset: Pairset) -> np.ndarray:
    parts = [np.zeros(0, bool)]
    for table in pairset.tables("samples", ["caption"]):
        texts: list[str | None] = table["caption"].to_pylist()
        parts.append(np.array([bool(text and text.strip()) for text in texts], bool))
    return np.concatenate(parts)

"""`--to triplets`: anchor, positive, negative_1 .. negative_K, as sentence-transformers takes them.

    README.md                    the card: `datasets.load_dataset(FOLDER)`
    data/<split>-00000.parquet   one row a triplet; these columns and no other, in this order
    ids/<split>-00000.npy        int64, the `pair_id` of each row: its trainer would take a column
                                 of ids for one more input

The order of the columns counts, not their names. A column holds pictures (`datasets.Image`),
captions, or both ({"image": .., "text": ..}). A row is left out where a place is empty or lacks
its picture or caption, and where a negative's caption is, letter for letter, the anchor's or the
positive's: it would be pulled and pushed at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from .. import storage
from ..pairset import Pairset
from ..schema import NO_ID
from ..tables import ROW_GROUP_ROWS, write_parquet_stream
from . import _hub
from ._image_bytes import ImageBytes
from ._image_files import placed, write_images
from ._rows import TableRows, file_names, splits_asked
from ._texts import FirstCaptions
from .base import (
    FILE_BYTES,
    Exported,
    Progress,
    Target,
    at_least,
    one_of,
    summed,
    within_row,
    write_files,
)

IMAGE, CAPTION, BOTH = "image", "caption", "both"
_TYPES = {
    IMAGE: _hub.PICTURE,
    CAPTION: pa.string(),
    BOTH: pa.struct([pa.field("image", _hub.PICTURE), pa.field("text", pa.string())]),
}
_TEXT_BYTES = 128


@dataclass(frozen=True)
class Triplets(Target):
    """Triplets for sentence-transformers.

    Attributes:
        anchor: what stands for an anchor: "image", "caption" (its first) or "both".
        others: what stands for positives and negatives.
        images: "embed" puts the bytes of each picture into each row that has it; "files" writes
            each picture once, and rows hold its path.
        prefix: what stands before the path of a picture; "" for paths below the export.
        positives: rows an anchor has, one for each of its first positives.
        negatives: negatives of a row; None for all K.
        hard_captions: captions that a miner made wrong, as further negatives of a row.
        pairs_per_shard: rows of `pairs` a file; None for about 256 MB.
    """

    name: ClassVar[str] = "triplets"

    anchor: str = IMAGE
    others: str = IMAGE
    images: str = "embed"
    prefix: str = ""
    positives: int = 1
    negatives: int | None = None
    hard_captions: int = 0
    pairs_per_shard: int | None = None

    def check(self, pairset: Pairset) -> None:
        """Refuse columns that this pairset cannot fill."""
        one_of(tuple(_TYPES), anchor=self.anchor, others=self.others)
        one_of(("embed", "files"), images=self.images)
        at_least(1, pairs_per_shard=self.pairs_per_shard, positives=self.positives)
        within_row(
            pairset,
            positives=(self.positives, "P"),
            negatives=(self.negatives, "K"),
            hard_captions=(self.hard_captions, "T"),
        )
        if self.hard_captions:
            one_of((CAPTION,), others=self.others)

    def columns(self, pairset: Pairset) -> pa.Schema:
        """Return the columns of a row, in their order."""
        negatives = int(pairset.counts["K"]) if self.negatives is None else self.negatives
        names = ["positive", *(f"negative_{i + 1}" for i in range(negatives + self.hard_captions))]
        others = [pa.field(name, _TYPES[self.others]) for name in names]
        return _hub.with_features(pa.schema([pa.field("anchor", _TYPES[self.anchor]), *others]))

    def fill(self, pairset: Pairset, out: Path, progress: Progress) -> Exported:
        """Write images if they are files, then the rows of each split, then the card."""
        pictures = {self.anchor, self.others} != {CAPTION}
        splits = file_names(splits_asked(pairset, self.split))
        images = ImageBytes(pairset) if pictures else None
        files = size = 0
        if images is not None and self.images == "files":
            wanted = self._wanted(pairset) & images.there
            files, size = write_images(images, wanted, out, progress)
        notes, rows = [], 0
        with ExitStack() as scratch:
            texts = None
            if {self.anchor, self.others} != {IMAGE}:
                folder = scratch.enter_context(storage.scratch_folder(out / "captions"))
                texts = FirstCaptions(pairset, folder / "captions.bin")
            for split, name in splits.items():
                source = _Rows(self, pairset, split, images, texts)
                rows += len(source.rows) * self.positives
                notes += source.write(out, name, progress)
        storage.write_text(out / "README.md", self._card(pairset, list(splits.values())))
        written = summed(notes, "rows")
        return Exported(
            target=self.name,
            out=str(out),
            rows=written,
            skipped=rows - written,
            files=len(notes) + files,
            bytes=summed(notes, "bytes") + size,
            note="an empty place, no picture or caption there, or a negative with the caption of "
            "the anchor or positive",
        )

    def _wanted(self, pairset: Pairset) -> np.ndarray:
        wanted = np.zeros(int(pairset.counts["samples"]), bool)
        roles = {"anchor": self.anchor, "positive": self.others, "negative": self.others}
        shown = [role for role, kind in roles.items() if kind != CAPTION]
        names = [f"{role}_id" if role == "anchor" else f"{role}_ids" for role in shown]
        for table in TableRows(pairset, "pairs", self.split, names).tables(0, 1 << 62):
            for name in names:
                column = table[name].combine_chunks()
                ids = (column if name == "anchor_id" else column.flatten()).to_numpy()
                wanted[ids[ids != NO_ID]] = True
        return wanted

    def _card(self, pairset: Pairset, splits: Sequence[str]) -> str:
        text = f"""
Made by {pairset.manifest["created_by"]} from `{pairset.manifest_id}`: one anchor, one positive and
its negatives a row, in the order that sentence-transformers takes.

```python
from datasets import load_dataset
triplets = load_dataset(FOLDER, split="{splits[0]}")
```
"""
        return _hub.card({"default": _hub.patterns("data", splits)}, "Triplets", text)


class _Rows:
    """The triplets of one split."""

    def __init__(
        self,
        target: Triplets,
        pairset: Pairset,
        split: str,
        images: ImageBytes | None,
        texts: FirstCaptions | None,
    ) -> None:
        self._target = target
        self._images = images
        self._texts = texts
        self._schema = target.columns(pairset)
        self._negatives = len(self._schema) - 2 - target.hard_captions
        columns = ["pair_id", "anchor_id", "positive_ids", "negative_ids"]
        columns += ["negative_texts"] if target.hard_captions else []
        self.rows = TableRows(pairset, "pairs", split, columns)

    def write(self, out: Path, name: str, progress: Progress) -> list[dict[str, int]]:
        """Write the files of the split, and the ids of their rows."""
        embedded = self._images if self._target.images == "embed" else None
        group = ROW_GROUP_ROWS if embedded is None else _hub.GROUP_ROWS
        a_file = FILE_BYTES // (_TEXT_BYTES * len(self._schema))
        if embedded is not None:
            a_file = embedded.rows_per_file(FILE_BYTES, len(self._schema))

        def put(path: Path, first: int, behind: int) -> dict[str, int]:
            ids: list[int] = []
            tables = self._tables(first, behind, group, ids)
            rows = write_parquet_stream(tables, self._schema, path, group=group)
            stem = path.name.split(".parquet", 1)[0]
            target = out / "ids" / f"{stem}.npy"
            storage.write_atomically(target, lambda scratch: _save(scratch, ids))
            return {"rows": rows}

        rows = (len(self.rows), self._target.pairs_per_shard or a_file)
        return write_files(out, f"data/{name}-{{:05d}}.parquet", rows, put, progress)

    def _tables(self, first: int, behind: int, group: int, ids: list[int]) -> Iterator[pa.Table]:
        held: list[dict[str, Any]] = []
        for table in self.rows.tables(first, behind):
            for start in range(0, table.num_rows, group):
                for pair in table.slice(start, group).to_pylist():
                    for positive in pair["positive_ids"][: self._target.positives]:
                        row = self._row(pair, positive)
                        if row is not None:
                            held.append(row)
                            ids.append(pair["pair_id"])
                yield pa.Table.from_pylist(held, self._schema)
                held = []

    def _row(self, pair: dict[str, Any], positive: int) -> dict[str, Any] | None:
        """Return a row, or None for one that is left out."""
        target = self._target
        negatives = pair["negative_ids"][: self._negatives]
        if NO_ID in (positive, *negatives):
            return None
        texts = pair["negative_texts"][: target.hard_captions] if target.hard_captions else []
        wrong = [self._text(other) for other in negatives] if self._captioned else []
        near = [self._text(positive)] if self._captioned else []
        near += [self._text(pair["anchor_id"])] if target.anchor != IMAGE else []
        if "" in texts or set(near) & {*wrong, *texts}:
            return None
        found = [self._value(target.anchor, pair["anchor_id"])]
        found += [self._value(target.others, other) for other in (positive, *negatives)]
        found += texts
        return None if None in found else dict(zip(self._schema.names, found, strict=True))

    @property
    def _captioned(self) -> bool:
        return self._target.others == CAPTION

    def _text(self, sample: int) -> str:
        return self._texts.text(sample) if self._texts is not None else ""

    def _value(self, kind: str, sample: int) -> Any:
        """Return what stands for a sample; None where it lacks it."""
        text = self._text(sample) if kind != IMAGE else ""
        if kind != IMAGE and not text.strip():
            return None
        if kind == CAPTION:
            return text
        if self._images is None or not self._images.there[sample]:
            return None
        if self._target.images == "files":
            shown = _hub.picture(None, placed(self._target.prefix, sample))
        else:
            shown = _hub.picture(self._images.jpeg(sample), None)
        return shown if kind == IMAGE else {"image": shown, "text": text}


def _save(path: Path, ids: Sequence[int]) -> None:
    with path.open("wb") as file:
        np.save(file, np.array(ids, np.int64))

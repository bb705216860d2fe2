"""`--to hf`: a folder that `datasets.load_dataset` reads and that can be pushed to a hub.

    README.md                     the card: configs `pairs` and `samples`
    pairs/<split>-00000.parquet   the columns of `pairs`, one split each
    samples/train-00000.parquet   the columns of `samples`, all of them in the order of their ids,
                                  and `image`, a picture (`datasets.Image`)

Row number and `sample_id` are one thing in `samples`, so an id of a pair is looked up by
`samples[id]`. Other splits' samples stay in, for the same reason. The card names Parquet only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from .. import storage
from ..pairset import Pairset
from ..tables import ROW_GROUP_ROWS, open_parquet, write_parquet_stream
from . import _hub
from ._image_bytes import ImageBytes
from ._rows import TableRows, file_names, splits_asked
from .base import FILE_BYTES, Exported, Progress, Target, at_least, one_of, summed, write_files

_ROWS_PER_FILE = 1_000_000


@dataclass(frozen=True)
class HuggingFace(Target):
    """Parquet for Hugging Face datasets.

    Attributes:
        split: only the pairs of this split.
        images: "embed" puts the bytes of each image into `samples`, as the corpus has them;
            "reference" leaves `shard`, `offset` and `size` as they are and adds nothing.
        pairs_per_shard: rows a file of `pairs` and of `samples`; None for about 256 MB with
            pictures and a million without.
    """

    name: ClassVar[str] = "hf"

    images: str = "embed"
    pairs_per_shard: int | None = None

    def check(self, pairset: Pairset) -> None:
        """Refuse what is no way to hold images."""
        del pairset
        one_of(("embed", "reference"), images=self.images)
        at_least(1, pairs_per_shard=self.pairs_per_shard)

    def fill(self, pairset: Pairset, out: Path, progress: Progress) -> Exported:
        """Write the files that are not there, then the card; holds 64 images at a time."""
        splits = file_names(splits_asked(pairset, self.split))
        notes, rows = [], 0
        for split, name in splits.items():
            table = TableRows(pairset, "pairs", split)
            made = self._write(_Pairs(pairset, table), out, f"pairs/{name}", progress)
            rows += len(table)
            notes += made
        samples = _Samples(pairset, self.images == "embed")
        notes += self._write(samples, out, "samples/train", progress)
        storage.write_text(out / "README.md", self._card(pairset, list(splits.values())))
        size = summed(notes, "bytes")
        return Exported(self.name, str(out), rows, 0, len(notes), size)

    def _write(
        self, source: _Pairs | _Samples, out: Path, name: str, progress: Progress
    ) -> list[dict[str, int]]:
        def put(path: Path, first: int, behind: int) -> dict[str, int]:
            tables = source.tables(first, behind)
            rows = write_parquet_stream(tables, source.schema, path, group=source.group)
            return {"rows": rows}

        rows = self.pairs_per_shard or source.rows_per_file
        return write_files(out, f"{name}-{{:05d}}.parquet", (source.total, rows), put, progress)

    def _card(self, pairset: Pairset, splits: list[str]) -> str:
        configs = {
            "pairs": _hub.patterns("pairs", splits),
            "samples": _hub.patterns("samples", ["train"]),
        }
        text = f"""
Made by {pairset.manifest["created_by"]} from `{pairset.manifest_id}`. Each row of `pairs` is one
anchor; its ids are row numbers of `samples`, padded with -1.

```python
from datasets import load_dataset
pairs = load_dataset(FOLDER, "pairs", split="{splits[0] if splits else "train"}")
samples = load_dataset(FOLDER, "samples", split="train")
samples[pairs[0]["anchor_id"]]
```
"""
        return _hub.card(configs, "Pairs for contrastive training", text)


class _Pairs:
    """The rows of `pairs` of one split."""

    group = ROW_GROUP_ROWS
    rows_per_file = _ROWS_PER_FILE

    def __init__(self, pairset: Pairset, rows: TableRows) -> None:
        self._rows = rows
        self.total = len(rows)
        self.schema = _schema(pairset, "pairs")

    def tables(self, first: int, behind: int) -> Iterator[pa.Table]:
        """Yield rows [first, behind)."""
        return self._rows.tables(first, behind)


class _Samples:
    """The rows of `samples`, with the bytes of their images if they are to be embedded."""

    def __init__(self, pairset: Pairset, embed: bool) -> None:
        self._rows = TableRows(pairset, "samples")
        self._images = ImageBytes(pairset) if embed else None
        self.total = len(self._rows)
        self.schema = _schema(pairset, "samples")
        self.rows_per_file, self.group = _ROWS_PER_FILE, ROW_GROUP_ROWS
        if self._images is not None:
            self.schema = self.schema.append(pa.field("image", _hub.PICTURE))
            self.rows_per_file = self._images.rows_per_file(FILE_BYTES, 1)
            self.group = _hub.GROUP_ROWS
        self.schema = _hub.with_features(self.schema)

    def tables(self, first: int, behind: int) -> Iterator[pa.Table]:
        """Yield rows [first, behind), with pictures 64 at a time."""
        for rows in self._rows.tables(first, behind):
            for start in range(0, rows.num_rows, self.group):
                yield self._with_images(rows.slice(start, self.group))

    def _with_images(self, rows: pa.Table) -> pa.Table:
        if self._images is None:
            return rows
        pictures: list[Any] = [
            _hub.picture(self._images.read(row), None) if self._images.there[row] else None
            for row in rows["sample_id"].to_pylist()
        ]
        return rows.append_column("image", pa.array(pictures, _hub.PICTURE))


def _schema(pairset: Pairset, table: str) -> pa.Schema:
    with open_parquet(pairset.files(table)[0]) as file:
        return file.schema_arrow.remove_metadata()

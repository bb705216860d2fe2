"""The table `assets` of pairset/1: pictures that a run generated."""

from __future__ import annotations

import pyarrow as pa


def _required(*fields: tuple[str, pa.DataType]) -> list[pa.Field]:
    return [pa.field(name, kind, nullable=False) for name, kind in fields]


ASSETS = pa.schema(
    [
        *_required(
            ("asset_id", pa.int64()),
            ("key", pa.string()),
            ("anchor_id", pa.int64()),
            ("shard", pa.string()),
            ("offset", pa.int64()),
            ("size", pa.int64()),
            ("sha256", pa.string()),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("generator", pa.string()),
            ("recipe", pa.string()),
        ),
        pa.field("similarity", pa.float32()),
        pa.field("hardness", pa.float32()),
        pa.field("nearest_id", pa.int64()),
        pa.field("nearest_similarity", pa.float32()),
    ]
)
"""`assets`: one row a generated picture, by section of `generate`, then by anchor; ids are dense.

`key` is SECTION/ANCHOR-NUMBER; `shard` a tar below the pairset; `recipe` JSON. `similarity` is the
cosine to the anchor in the frozen space, `hardness` 1 - similarity, `nearest_id` the nearest
sample of the anchor's split and of another group, with its cosine; null without a vector."""

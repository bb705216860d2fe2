"""Generated pictures at the end of a run: their published table, and their numbers in pair rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...manifests.artifact import Artifact
from ...manifests.pairset import ASSETS as FOLDER
from ...manifests.schema import FLOATS, IDS, NO_ID, padded_list
from ...manifests.schema_assets import ASSETS
from ..base import Inputs
from .final import Final
from .rows import Lists

_EARLIER = "earlier:"


def published_shard(section: str, part: str) -> str:
    """Return the name in `assets` of the tar that holds the pictures of a part."""
    return f"{FOLDER}/{section}-{part}.tar"


class FinalAssets(Final):
    """`assets` of one section: ids are added, and what was measured.

    Inputs: assets, measured, and `earlier:<section>` of the sections before, whose rows count.
    """

    section: str
    generator: str

    @property
    def name(self) -> str:
        """Name of the table."""
        return "assets"

    def source(self, inputs: Inputs) -> Artifact:
        """The assets."""
        return inputs["assets"]

    def layout(self, inputs: Inputs) -> pa.Schema:
        """ASSETS."""
        del inputs
        return ASSETS

    def table(self, inputs: Inputs, part: str, first: int) -> pa.Table:
        """The rows of a part; nulls where a vector is missing, or no other sample was found."""
        made, measured = inputs["assets"].table(part), inputs["measured"]
        before = sum(item.rows for key, item in inputs.items() if key.startswith(_EARLIER))
        sims = np.asarray(measured.array(part, "sims.npy"))
        nearest = np.asarray(measured.array(part, "nearest.npy"))
        value = np.asarray(measured.array(part, "nearest_sims.npy"))
        rows = made.num_rows
        columns = {
            **{name: made[name] for name in made.column_names},
            "asset_id": pa.array(np.arange(before + first, before + first + rows)),
            "shard": pa.array([published_shard(self.section, part)] * rows, pa.string()),
            "generator": pa.array([self.generator] * rows, pa.string()),
            "similarity": pa.array(sims, mask=np.isnan(sims)),
            "hardness": pa.array((1 - sims).astype(np.float32), mask=np.isnan(sims)),
            "nearest_id": pa.array(nearest, mask=nearest == NO_ID),
            "nearest_similarity": pa.array(value, mask=nearest == NO_ID),
        }
        return pa.table([columns[name] for name in ASSETS.names], schema=ASSETS)


class AssetNumbers:
    """The ids of the assets of a part by key.

    Args:
        inputs: `assets:<section>` in the order of the sections.
    """

    def __init__(self, inputs: Inputs) -> None:
        self._made: Mapping[str, Artifact] = {
            key: item for key, item in inputs.items() if key.startswith("assets:")
        }

    def columns(self, lists: Lists, edges: pa.Table, part: str) -> dict[str, pa.Array]:
        """Return the columns of generated positives.

        Args:
            lists: of the rows that are written.
            edges: of the part; `lists.assets` points into it.
            part: name of the part.
        """
        keys, ids = self._known(part)
        there = lists.assets != NO_ID
        rows = pa.array(lists.assets[there])
        at = pc.call_function("index_in", [edges["asset"].take(rows)], pc.SetLookupOptions(keys))
        numbers = np.full(lists.assets.shape, NO_ID, np.int64)
        numbers[there] = ids[at.to_numpy()]
        valid_from = np.zeros(lists.assets.shape, np.float32)
        valid_from[there] = edges["valid_from"].take(rows).to_numpy()
        return {
            "positive_asset_ids": padded_list(numbers, IDS),
            "positive_asset_valid_from": padded_list(valid_from, FLOATS),
        }

    def _known(self, part: str) -> tuple[pa.Array, np.ndarray]:
        keys: list[pa.ChunkedArray] = []
        ids, before = [np.zeros(0, np.int64)], 0
        for made in self._made.values():
            start = int(made.starts()[made.parts.index(part)])
            table = made.table(part, ["key"])
            keys.append(table["key"])
            ids.append(before + start + np.arange(table.num_rows))
            before += made.rows
        chunks = [chunk for column in keys for chunk in column.chunks]
        joined = pa.concat_arrays(chunks) if chunks else pa.array([], pa.string())
        return joined, np.concatenate(ids)
